"""Stands for the built browser files where only what is made of them is looked at."""

import hashlib
import json
from pathlib import Path
from typing import Any

from edge_targets.bundling import runtime_digest

INDEX_HTML = """<!doctype html>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; connect-src 'self'" />
<!-- head -->
<link rel="stylesheet" href="page.css" />
<script type="module" src="page.js"></script>
"""
FILES = {
    "page": {
        "index.html": INDEX_HTML,
        "page.css": "body { color: black }\n" * 40,
        "page.js": 'import { a } from "./chunks/a.js"; import("./chunks/later.js"); a();\n' * 9,
        "worker.js": 'import "./chunks/worker.js";\n',
        "sanderling.js": "export {};\n",
        "sanderling.d.ts": "export {};\n",
        "sw.js": "self;\n",
        "chunks/a.js": 'import"./b.js";export const a=()=>{};\n',
        "chunks/b.js": "export {};\n",
        "chunks/later.js": "export {};\n",
        "chunks/worker.js": "export {};\n",
    },
    "ort": {"engines/ort.js": "export {};\n", "engines/ort/ort.wasm": "\0asm" * 500},
    "ort-gpu": {"engines/ort-gpu/ort.wasm": "\0asm" * 700},
    "litert": {"engines/litert.js": "export {};\n", "engines/litert/lite.wasm": "\0asm" * 400},
    "litert-compat": {"engines/litert-compat/lite.wasm": "\0asm" * 300},
    "litert-threads": {"engines/litert-threads/lite.wasm": "\0asm" * 300},
    "python-whole": {"python/library.zip": "PK" * 200},
    "python": {
        "python/python.js": "export {};\n",
        "python/stdlib.zip": "PK",
        "python/pyodide.asm.wasm": "\0asm" * 900,
    },
}
PARTS = [
    {"name": "Sanderling", "licence": "Apache-2.0", "files": ["page.js", "chunks/"],
     "text": "licences/Apache-2.0.txt"},
    {"name": "ONNX Runtime Web", "licence": "MIT", "files": ["engines/ort/"],
     "text": "licences/MIT.txt"},
    {"name": "LiteRT.js", "licence": "Apache-2.0", "files": ["engines/litert/"],
     "text": "licences/Apache-2.0.txt"},
    {"name": "CPython", "licence": "PSF-2.0", "files": ["python/pyodide.asm.wasm"],
     "text": "licences/PSF-2.0.txt"},
]  # fmt: skip
LOCK = {"abi_version": "2026_0", "arch": "wasm32", "platform": "emscripten_5_0_3",
        "python": "3.14.2"}  # fmt: skip


def write(folder: Path, name: str, text: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def built(made: Path) -> Path:
    for files in FILES.values():
        for name, text in files.items():
            write(made, name, text)
    write(made, "python/pyodide.asm.wasm.br", b"as brotli has it")
    write(made, "proving/index.html", "<!doctype html>")
    for name in ("Apache-2.0", "MIT", "PSF-2.0"):
        write(made, f"licences/{name}.txt", f"{name}: as is, without warranty.\n" * 20)
    write(made, "licences.json", json.dumps({"schema": 1, "parts": PARTS}))
    versions = {"sanderling": "0.5.0", "pyodide": "314.0.7", "python": "3.14.2"}
    index = {"schema": 1, "versions": versions, "lock": LOCK, "runtime": runtime_digest(),
             "parts": {part: list(files) for part, files in FILES.items()}}  # fmt: skip
    write(made, "parts.json", json.dumps(index))
    return made


def index_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "bundle.json").read_text())
    return found


def digest_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
