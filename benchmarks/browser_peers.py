"""Pages of others with the same model: stock Pyodide with ONNX Runtime Web, and TensorFlow.js.

Stock is made from `web/node_modules`; TensorFlow.js and transformers.js are from an environment
of their own (peers/README.md), and left out where that is missing.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.browser_subject import Subject, layers
from edge_targets.bundling import WEB
from edge_targets.bundling.beside import write_beside
from edge_targets.runtime.events import QUIET

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "benchmarks" / "peers" / "browser"
MODULES = ROOT / "web" / "node_modules"
ESBUILD = MODULES / ".bin" / "esbuild"
INDEX = """<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<script type="module" src="page.js"></script>
"""
PYODIDE = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
ORT = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
RUNTIME = (  # what transformers.js fetches in a browser of today, before any model
    "@huggingface/transformers/dist/transformers.web.min.js",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
)


@dataclass(frozen=True)
class Page:
    """A folder to serve, and how many bytes of it a browser fetches, compressed."""

    folder: Path
    sent_bytes: int


def installed() -> Path | None:
    """The peers' `node_modules`, where there is one."""
    folder = Path(os.environ.get("SANDERLING_BROWSER_PEERS") or SOURCES) / "node_modules"
    # npm writes this last: without it the folder is half of one
    return folder if (folder / ".package-lock.json").is_file() else None


def stock(subject: Subject, folder: Path) -> Page:
    """Nothing left out, nothing compiled anew: what `npm install` brings, and the model."""
    copy(MODULES / "pyodide", PYODIDE, folder / "python")
    copy(MODULES / "onnxruntime-web" / "dist", ORT, folder / "engines" / "ort")
    copy(SOURCES, ("page.js", "serve.js"), folder)
    shutil.copyfile(SOURCES / "stock.js", folder / "worker.js")
    (folder / "model.onnx").write_bytes(subject.files["onnx"])
    return finished(subject, folder)


def tfjs(subject: Subject, modules: Path, folder: Path) -> Page:
    folder.mkdir()
    found = layers(subject.files["onnx"])
    shapes = [[kind, [list(values.shape) for values in weights]] for kind, weights in found]
    (folder / "layers.json").write_text(json.dumps(shapes))
    values = [array.astype("<f4").reshape(-1) for _, weights in found for array in weights]
    (folder / "weights.bin").write_bytes(np.concatenate(values).tobytes())
    copy(SOURCES, ("page.js",), folder)
    copy(modules / "@tensorflow/tfjs-backend-wasm/dist", ("tfjs-backend-wasm-simd.wasm",), folder)
    words = [str(ESBUILD), str(SOURCES / "tfjs.js"), "--bundle", "--minify", "--format=esm"]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    subprocess.run(
        [*words, f"--outfile={folder / 'worker.js'}"],
        env=environment,
        check=True,
        capture_output=True,
    )
    return finished(subject, folder)


def transformers_bytes(modules: Path, folder: Path) -> int:
    """Of its library and engine alone, compressed."""
    folder.mkdir()
    for name in RUNTIME:
        shutil.copyfile(modules / name, folder / Path(name).name)
    return sent(folder)


def finished(subject: Subject, folder: Path) -> Page:
    (folder / "index.html").write_text(INDEX)
    (folder / "item.bin").write_bytes(subject.items[:1].astype("<f4").tobytes())
    return Page(folder, sent(folder))


def sent(folder: Path) -> int:
    """Compress all that is there as a bundle is; the bytes a browser then fetches."""
    names = [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    packed = write_beside(folder, names, {name: WEB / name for name in names}, QUIET)
    return sum(packed.get(f"{name}.br", (folder / name).stat().st_size) for name in names)


def copy(source: Path, names: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, folder / name)
