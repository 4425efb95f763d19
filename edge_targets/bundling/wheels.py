"""Python packages of the user's own in a bundle: checked, copied, and named in a local lock.

Pyodide installs what its lock names and nothing else, so that the page asks no registry.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_targets.bundling.contents import Contents
from edge_targets.runtime.errors import IntegrityError, UnsupportedError, UsageError

LOCK = "python/pyodide-lock.json"
WHEELS = "python/wheels"
TEXTS = "licences/packages"
MANY = 40  # wheels: more is a mistake
UNTOLD = "not told by its makers"


@dataclass(frozen=True)
class Python:
    """The one in the browser; `info` is what its lock says of it."""

    info: Mapping[str, str]

    @property
    def version(self) -> str:
        return self.info["python"]

    @property
    def platforms(self) -> tuple[str, ...]:
        """Of wheels with compiled parts, the tags that fit, by PEP 783 and before it."""
        abi, arch = self.info["abi_version"], self.info["arch"]
        return (f"pyemscripten_{abi}_{arch}", f"pyodide_{abi}_{arch}",
                f"{self.info['platform']}_{arch}")  # fmt: skip

    def tags(self) -> frozenset[str]:
        """All tags of wheels that run there."""
        from packaging.tags import compatible_tags, cpython_tags

        major, minor, *_ = (int(part) for part in self.version.split("."))
        own = cpython_tags((major, minor), platforms=self.platforms)
        pure = compatible_tags((major, minor), f"cp{major}{minor}", self.platforms)
        return frozenset(str(tag) for tag in (*own, *pure))

    def environment(self) -> dict[str, str]:
        """For the markers of requirements (PEP 508)."""
        short = ".".join(self.version.split(".")[:2])
        return {
            "extra": "",
            "implementation_name": "cpython",
            "implementation_version": self.version,
            "os_name": "posix",
            "platform_machine": self.info["arch"],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Emscripten",
            "platform_version": "",
            "python_full_version": self.version,
            "python_version": short,
            "sys_platform": "emscripten",
        }


@dataclass(frozen=True)
class Wheel:
    """One package.

    Attributes:
        file: its path here.
        name: of the distribution, normalized (PEP 503).
        imports: the names that it can be imported by.
        needs: requirements that hold in a browser, as they are written.
        licence: as the package says it.
        texts: its licence files by name.
    """

    file: Path
    sha256: str
    name: str
    version: str
    imports: tuple[str, ...]
    needs: tuple[str, ...]
    licence: str
    texts: Mapping[str, bytes]


def read_wheels(files: Sequence[Path], python: Python, after: str = "") -> tuple[Wheel, ...]:
    """Read and check the wheels, in the order of their names.

    Args:
        files: what was named.
        python: that they are for.
        after: `module:function` that must be in one of them; empty for none.

    Raises:
        IntegrityError: one is damaged, or not what its name says.
        UnsupportedError: one does not run in a browser, or needs one that is not there.
        UsageError: two are of one package, or none has the function's module.
    """
    if len(files) > MANY:
        raise UsageError(f"{len(files)} wheels are too many.", f"Name {MANY} at most.")
    found: dict[str, Wheel] = {}
    for file in files:
        wheel = read_wheel(file, python)
        if wheel.name in found:
            raise UsageError(
                f"{found[wheel.name].file.name} and {file.name} are one package.", "Name one."
            )
        found[wheel.name] = wheel
    for wheel in found.values():
        _check_needs(wheel, found)
    module = after.partition(":")[0].partition(".")[0]
    known = sorted({name for wheel in found.values() for name in wheel.imports})
    if module and module not in known:
        raise UsageError(
            f"No wheel here has the module {module!r} of --after.",
            f"They have: {', '.join(known) or 'none'}. Name its wheel with --with.",
        )
    return tuple(found[name] for name in sorted(found))


def read_wheel(file: Path, python: Python) -> Wheel:
    """One wheel, every byte of it checked against its own record (PEP 427)."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
    from packaging.version import InvalidVersion, Version

    try:
        name, version, _, tags = parse_wheel_filename(file.name)
    except InvalidWheelFilename as error:
        raise UsageError(
            f"{file.name} is not the name of a wheel.",
            "Give a file such as tool-1.0-py3-none-any.whl.",
        ) from error
    if not {str(tag) for tag in tags} & python.tags():
        wanted = (
            f"py3-none-any or cp{''.join(python.version.split('.')[:2])}-…-{python.platforms[0]}"
        )
        raise UnsupportedError(
            f"{file.name} does not run in a browser.",
            f"Give a wheel whose name ends in {wanted}; `--build FOLDER` makes one of a package "
            "of yours.",
        )
    contents = Contents.read(file)
    told, pure = contents.metadata(), {tag.platform for tag in tags} == {"any"}
    try:
        same = canonicalize_name(told["Name"] or "") == name and Version(told["Version"]) == version
        requirements = [Requirement(text) for text in told.get_all("Requires-Dist", ())]
        allowed = SpecifierSet(told["Requires-Python"] or "").contains(python.version)
    except (TypeError, InvalidVersion, InvalidRequirement, InvalidSpecifier) as error:
        raise IntegrityError(f"{file.name}: its METADATA cannot be read: {error}.") from error
    if not same or {str(tag) for tag in tags} != contents.tags():
        raise IntegrityError(
            f"{file.name} is not what its name says.", "Get it again from where it was made."
        )
    if not allowed:
        raise UnsupportedError(
            f"{file.name} needs Python {told['Requires-Python']}; the browser's is "
            f"{python.version}.",
            "Give another version of it.",
        )
    contents.check_compiled(pure)
    environment = python.environment()
    needs = [one for one in requirements if not one.marker or one.marker.evaluate(environment)]
    return Wheel(
        file,
        contents.sha256,
        name,
        str(version),
        contents.imports(),
        tuple(str(one) for one in needs),
        told["License-Expression"]
        or (told["License"] or "").partition("\n")[0]
        or "as in its text",
        contents.texts(),
    )


def _check_needs(wheel: Wheel, found: Mapping[str, Wheel]) -> None:
    """Refuse a package that would fail at its first import."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for text in wheel.needs:
        need = Requirement(text)
        there = found.get(canonicalize_name(need.name))
        if there is None:
            raise UnsupportedError(
                f"{wheel.name} needs {text.partition(';')[0].strip()}, which is not in the bundle.",
                f"Name its wheel too: --with {need.name}-….whl",
            )
        if not need.specifier.contains(there.version, prereleases=True):
            raise UnsupportedError(
                f"{wheel.name} needs {need.name}{need.specifier}; {there.file.name} is "
                f"{there.version}.",
                "Give the version that it needs.",
            )


def write_wheels(folder: Path, wheels: Sequence[Wheel], python: Python) -> list[dict[str, Any]]:
    """Copy the wheels into a bundle and write their lock; what `licences.json` says of each."""
    if not wheels:
        return []
    (folder / WHEELS).mkdir(parents=True)
    told = []
    for wheel in wheels:
        place = f"{WHEELS}/{wheel.file.name}"
        shutil.copyfile(wheel.file, folder / place)
        if hashlib.sha256((folder / place).read_bytes()).hexdigest() != wheel.sha256:
            raise IntegrityError(f"{wheel.file.name} was changed while it was read.", "Try again.")
        row: dict[str, Any] = {"name": wheel.name, "version": wheel.version}
        row |= {"licence": wheel.licence, "files": [place]}
        for name, text in wheel.texts.items():
            there = folder / TEXTS / wheel.name / name
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(text)
            row.setdefault("text", there.relative_to(folder).as_posix())
        told.append(row)
    packages = {wheel.name: _locked(wheel) for wheel in wheels}
    lock = {"info": dict(python.info), "packages": packages}
    (folder / LOCK).write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n")
    return told


def _locked(wheel: Wheel) -> dict[str, Any]:
    """An entry as Pyodide reads it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    return {
        "name": wheel.name,
        "version": wheel.version,
        "file_name": f"{Path(WHEELS).name}/{wheel.file.name}",
        "sha256": wheel.sha256,
        "imports": list(wheel.imports),
        "depends": sorted(canonicalize_name(Requirement(text).name) for text in wheel.needs),
        "install_dir": "site",
        "package_type": "package",
        "unvendored_tests": False,
    }
