"""A payload: one folder with all that makes a board a device, by SSH, on a card or on a stick.

```
install.py           run it there as root: python3 install.py
plan.json            what lies here, and for which board
wheels/*.whl         the agent and all it needs
settings.json  trusted_keys.json     who the device is, and whose packages it takes
sanderling.service   for systemd
package.sndl  root.json              a model to serve at once, a repository to follow; or neither
```
"""

import hashlib
import importlib.metadata
import io
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import edge_targets
from edge_targets.agent.home import Settings, TrustedKeys
from edge_targets.enrolment import launcher
from edge_targets.enrolment.plan import AGENT_WHEEL, PACKAGE, PLAN, PORT, ROOT, Plan
from edge_targets.enrolment.unit import SERVICE, unit
from edge_targets.enrolment.wheels import fetch_wheels
from edge_targets.package import verify
from edge_targets.runtime.contract import FileFact
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.events import Job

if TYPE_CHECKING:
    from edge_targets.places.target import Target

INSTALLER = "install.py"
# `_web` is for browsers; `emulation` and `flashing` are for this side
LEFT_OUT = ("_web", "emulation", "flashing", "catalog", "__pycache__")
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file: the same code makes the same wheel
MODULES = {
    "cryptography": "cryptography.hazmat.primitives.asymmetric.ed25519",
    "zstandard": "zstandard",
    "bsdiff4": "bsdiff4",
    "tuf": "tuf.ngclient",
    "paho_mqtt": "paho.mqtt.client",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
}
"""What is imported there before anything is switched, by the name of the wheel."""


def default_cache() -> Path:
    """Where fetched wheels are kept between boards."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "sanderling/wheels"


def write_payload(
    folder: Path,
    device: Settings,
    trusted: Sequence[str],
    target: "Target",
    python: str,
    formats: Sequence[str],
    job: Job,
    package: Path | None = None,
    root: bytes = b"",
    cache: Path | None = None,
    port: int = PORT,
) -> Plan:
    """Fill `folder`, which need not be there.

    Args:
        device: its settings; `target` is the catalog name there.
        trusted: public keys, in base64, whose packages it takes.
        python: of the board, such as 3.11.
        formats: of the models that it shall run.
        package: served at once.
        root: a repository's root.json, where `device` names a repository.
        cache: where wheels are kept; the user's own cache unless given.
        port: that the agent listens at, on the board's loopback.

    Raises:
        DeviceError: a wheel cannot be had.
        UnsupportedError: nothing is known to run there.
        IntegrityError: the package is not signed by a trusted key.
        StorageError: the folder cannot be written.
    """
    found = fetch_wheels(target.runtime, python, formats, cache or default_cache(), job)
    job.step("write payload")
    extras = {PACKAGE: package.read_bytes()} if package else {}
    if package:
        verify(package, trusted)
    if root:
        extras[ROOT] = root
    board = Board(python, target.runtime.machine, target.facts.cores, port)
    return fill(folder, found, board, device, trusted, extras)


@dataclass(frozen=True)
class Board:
    """What a payload must know of the board it is for."""

    python: str
    machine: str
    cores: int = 1
    port: int = PORT


def fill(
    folder: Path,
    found: Sequence[Path],
    board: Board,
    device: Settings,
    trusted: Sequence[str],
    extras: Mapping[str, bytes],
) -> Plan:
    """Write the folder, with wheels that were found."""
    version = our_version()
    with storing(folder):
        wheels = folder / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        wheels.mkdir(parents=True)
        for wheel in found:
            shutil.copyfile(wheel, wheels / wheel.name)
        (folder / f"{AGENT_WHEEL}{version}-py3-none-any.whl").write_bytes(agent_wheel(version))
        (folder / INSTALLER).write_text(launcher_text())
        (folder / SERVICE).write_text(unit(board.cores))
        device.save(folder)
        TrustedKeys(tuple(trusted)).save(folder)
        for name in (PACKAGE, ROOT):
            (folder / name).unlink(missing_ok=True)
        for name, data in extras.items():
            (folder / name).write_bytes(data)
        files = {
            path.relative_to(folder).as_posix(): fact(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != PLAN
        }
        names = {wheel.name.partition("-")[0] for wheel in found}
        plan = Plan(
            device.device,
            device.target,
            environment_of(files, board),
            board.python,
            board.machine,
            version,
            tuple(module for name, module in MODULES.items() if name in names),
            files,
            sum(unpacked(wheel) for wheel in wheels.iterdir()),
            board.port,
        )
        replace_file(folder / PLAN, plan.dump().encode())
    return plan


def environment_of(files: Mapping[str, FileFact], board: Board) -> str:
    """The name of the environment that these wheels make."""
    wheels = [f"{name} {fact.sha256}" for name, fact in sorted(files.items()) if ".whl" in name]
    return hashlib.sha256("\n".join([board.python, board.machine, *wheels]).encode()).hexdigest()[
        :16
    ]


def fact(path: Path) -> FileFact:
    data = path.read_bytes()
    return FileFact(hashlib.sha256(data).hexdigest(), len(data))


def unpacked(wheel: Path) -> int:
    with zipfile.ZipFile(wheel) as archive:
        return sum(member.file_size for member in archive.infolist())


def our_version() -> str:
    try:
        return importlib.metadata.version("sanderling")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return "0"


def launcher_text() -> str:
    return Path(launcher.__file__).read_text("utf-8")


def agent_wheel(version: str) -> bytes:
    """What of ourselves runs on a board, as a wheel; the same code gives the same bytes."""
    source = Path(edge_targets.__path__[0])
    members = {
        f"edge_targets/{path.relative_to(source).as_posix()}": path.read_bytes()
        for path in sorted(source.rglob("*.py"))
        if not set(path.relative_to(source).parts) & set(LEFT_OUT)
    }
    info = f"sanderling_agent-{version}.dist-info"
    members[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: sanderling-agent\nVersion: {version}\n".encode()
    )
    members[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: sanderling\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = f"{info}/RECORD"
    members[record] = "".join(f"{name},,\n" for name in (*members, record)).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:  # zlib's versions differ
        for name, data in members.items():
            member = zipfile.ZipInfo(name, EPOCH)
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return made.getvalue()
