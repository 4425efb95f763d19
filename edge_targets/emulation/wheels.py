"""Wheels for another processor and Python, laid into a folder that its Python can import from."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge_targets.emulation.sysroot import default_cache
from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.events import Job

TIMEOUT_S = 900  # 60 MB over a slow line


def site_of(
    requirements: Sequence[str],
    python: str,
    platforms: Sequence[str],
    job: Job,
    cache: Path | None = None,
) -> Path:
    """A folder with these packages and all they need: found in the cache, else made there.

    Args:
        requirements: as pip takes them; pinned, or the folder is what was newest at first.
        python: such as 3.11.
        platforms: pip's tags.
        cache: `default_cache()` unless given.

    Raises:
        DeviceError: a wheel could not be had.
    """
    kept = (cache or default_cache()) / "emulation"
    wanted = "\n".join([python, *platforms, *sorted(requirements)])
    site = kept / f"site-{python}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    if site.is_dir():
        return site
    job.step("fetching the board's Python packages")
    with storing(kept):
        kept.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{site.name}-", dir=kept))
    try:
        install(requirements, python, platforms, half / "site")
        with storing(site):
            if not site.is_dir():  # somebody may have made it meanwhile
                (half / "site").rename(site)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return site


def install(requirements: Sequence[str], python: str, platforms: Sequence[str], site: Path) -> None:
    abi = "cp" + python.replace(".", "")
    tags = [f"--platform={platform}" for platform in platforms]
    words = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-compile", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}",
        f"--abi={abi}", "--abi=abi3", "--abi=none", *tags, f"--target={site}", *requirements,
    ]  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"The wheels for Python {python} take too long to come.", "Try again later."
        ) from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise DeviceError(
            f"pip has no {', '.join(requirements)} for Python {python} on {platforms[-1]}: "
            f"{' '.join(said)[:300] or done.stderr.strip()[-300:]}",
            "Check the network, and that this Python has pip (python -m ensurepip).",
        )
