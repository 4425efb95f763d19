"""Olive's static quantization of an ONNX file; runs in Olive's own environment."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    os.environ["OLIVE_DISABLE_TELEMETRY"] = "1"  # nothing leaves this machine
    from olive.data.config import DataComponentConfig, DataConfig  # type: ignore[import-not-found]
    from olive.data.registry import Registry  # type: ignore[import-not-found]
    from olive.hardware import AcceleratorSpec  # type: ignore[import-not-found]
    from olive.model import ONNXModelHandler  # type: ignore[import-not-found]
    from olive.passes.olive_pass import create_pass_from_dict  # type: ignore[import-not-found]
    from olive.passes.onnx.quantization import OnnxStaticQuantization  # type: ignore[import-not-found]

    model = ONNXModelHandler(str(folder / "float.onnx"))
    name = model.io_config["input_names"][0]
    items = np.load(folder / "calibration.npy")

    class Items:
        def __len__(self) -> int:
            return len(items)

        def __getitem__(self, index: int) -> Any:
            return {name: items[index]}, 0

    def load(**_: Any) -> Items:
        return Items()

    Registry.register_dataset("sanderling_items")(load)
    data = DataConfig(
        name="items",
        load_dataset_config=DataComponentConfig(type="sanderling_items"),
        pre_process_data_config=DataComponentConfig(type="skip_pre_process"),
        post_process_data_config=DataComponentConfig(type="skip_post_process"),
        dataloader_config=DataComponentConfig(params={"batch_size": 1}),
    )
    start = time.perf_counter()
    step = create_pass_from_dict(
        OnnxStaticQuantization,
        {"data_config": data, "quant_format": "QDQ"},
        disable_search=True,
        accelerator_spec=AcceleratorSpec("cpu", "CPUExecutionProvider"),
    )
    found = step.run(model, str(folder / "olive"))
    seconds = time.perf_counter() - start
    (folder / "int8.onnx").write_bytes(Path(found.model_path).read_bytes())
    (folder / "done.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
