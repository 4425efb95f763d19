"""NNCF's post-training quantization of an ONNX file; runs in NNCF's own environment."""

import json
import sys
import time
from pathlib import Path

import numpy as np


def main(folder: Path) -> None:
    import nncf  # type: ignore[import-not-found]
    import onnx

    model = onnx.load(folder / "float.onnx")
    name = model.graph.input[0].name
    items = np.load(folder / "calibration.npy")
    start = time.perf_counter()
    data = nncf.Dataset([{name: item[None]} for item in items])
    quantized = nncf.quantize(model, data, subset_size=len(items))
    seconds = time.perf_counter() - start
    onnx.save(quantized, str(folder / "int8.onnx"))
    (folder / "done.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
