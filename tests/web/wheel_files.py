"""Wheels and what builds them, as other people make them."""

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

COMPILED = "cp314-cp314-pyemscripten_2026_0_wasm32"
CODE = {"tool/__init__.py": b"def fix(answer):\n    return answer\n"}
# a whole build backend of the standard library (PEP 517), so that no network is needed
BACKEND = """
import base64, hashlib, zipfile

TAG = "{tag}"

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = f"mine-0.1-{{TAG}}.whl"
    files = {{
        "mine.py": b"def fix(answer): return answer",
        "mine-0.1.dist-info/METADATA": b"Metadata-Version: 2.1\\nName: mine\\nVersion: 0.1\\n",
        "mine-0.1.dist-info/WHEEL": f"Wheel-Version: 1.0\\nTag: {{TAG}}\\n".encode(),
    }}
    record = ""
    with zipfile.ZipFile(f"{{wheel_directory}}/{{name}}", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            record += f"{{path}},sha256={{digest}},{{len(data)}}\\n"
        archive.writestr("mine-0.1.dist-info/RECORD", record + "mine-0.1.dist-info/RECORD,,\\n")
    return name
"""


def coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def wheel(
    folder: Path,
    name: str = "tool",
    version: str = "1.0",
    tag: str = "py3-none-any",
    code: Mapping[str, bytes] = CODE,
    told: str = "",
    metadata: str = "",
    wheel_tag: str = "",
    unrecorded: Mapping[str, bytes] = {},
) -> Path:
    """A wheel as a build backend writes it; the last four are for those that lie.

    Args:
        told: the package's own words, more lines of METADATA.
        metadata: in place of all of METADATA.
        wheel_tag: in WHEEL, in place of the one in the file's name.
        unrecorded: files that RECORD does not name.
    """
    info = f"{name}-{version}.dist-info"
    about = metadata or f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{told}"
    members = {
        **code,
        f"{info}/METADATA": about.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nTag: {wheel_tag or tag}\n".encode(),
        f"{info}/licenses/LICENSE": b"Do what you like.\n",
    }
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for member, data in members.items():
        writer.writerow([member, f"sha256={coded(data)}", len(data)])
    writer.writerow([f"{info}/RECORD", "", ""])
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {**members, **unrecorded}.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/RECORD", rows.getvalue())
    return path
