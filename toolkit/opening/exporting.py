"""From torch to ONNX, for programs that were made elsewhere."""

import re
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import UnsupportedError, first_line
from toolkit.onnx_graph import OPSET
from toolkit.quiet import quiet


def exported(program: Any, file: Path) -> Any:
    """An exported program as an ONNX graph; weights keep their torch names.

    Raises:
        UnsupportedError: an operator has no counterpart in ONNX.
    """
    import torch

    try:
        with quiet(), torch.no_grad():
            found = torch.onnx.export(
                program, dynamo=True, verbose=False, external_data=False, opset_version=OPSET
            )
    except Exception as error:  # the exporter's errors share no other base
        raise untranslatable(file, error) from error
    if found is None:
        raise AssertionError("the exporter gives a program unless it is told a file")
    return found.model_proto


def untranslatable(file: Path, error: Exception) -> UnsupportedError:
    cause = error.__cause__ or error
    said = first_line(cause)[:300]
    if node := re.search(r"node %?(\w+) .*?target=(?:torch\.ops\.)?([\w.]+)", str(cause)):
        said = f"{node[2]} (node {node[1]!r}) has no translation"
    hint = "Build the model from standard torch layers, without branches that depend on values."
    if "quantized" in said:
        hint = "Export the model as it was before it was quantized; it can be quantized here."
    return UnsupportedError(f"{file} cannot be exported to ONNX: {said}.", hint)
