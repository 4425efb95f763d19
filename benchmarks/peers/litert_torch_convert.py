"""litert-torch's conversion of exported programs; runs in litert-torch's own environment.

For each NAME.pt2 with its NAME.npy of one item it writes NAME.peer.tflite, or NAME.failed.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def main(folder: Path) -> None:
    import litert_torch
    import torch

    seconds = {}
    for path in sorted(folder.glob("*.pt2")):
        module = torch.export.load(path).module()
        example = torch.from_numpy(np.load(path.with_suffix(".npy")))
        start = time.perf_counter()
        try:
            found = litert_torch.convert(module, (example,))
        except Exception as error:  # noqa: BLE001 - whatever it is, the table says so
            path.with_suffix(".failed").write_text(str(error)[:200])
            continue
        seconds[path.stem] = time.perf_counter() - start
        found.export(str(path.with_suffix(".peer.tflite")))
    (folder / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
