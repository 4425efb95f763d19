"""From the bytes of a graph to the bytes of a file, with the names that its signature asks for."""

from typing import TYPE_CHECKING

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.metadata import with_metadata
from toolkit.flatbuffer.translate import translate
from toolkit.foreign.trees import with_plain_trees
from toolkit.onnx_graph import parse

if TYPE_CHECKING:
    import onnx

TITLE = "Sanderling"


def compiled(graph: bytes, signature: Signature, job: Job, *, free_batch: bool = False) -> bytes:
    """The bare file: it computes, and says nothing of itself."""
    model = with_plain_trees(parse(graph))
    refuse_other_names(model, signature)
    return translate(model, job, title=TITLE, free_batch=free_batch)


def described(data: bytes, signature: Signature) -> bytes:
    """The finished file."""
    return with_metadata(data, signature, TITLE)


def refuse_other_names(model: "onnx.ModelProto", signature: Signature) -> None:
    stored = {tensor.name for tensor in model.graph.initializer}
    found = [
        {value.name for value in model.graph.input} - stored,
        {value.name for value in model.graph.output},
    ]
    asked = [{spec.name for spec in specs} for specs in (signature.inputs, signature.outputs)]
    if found != asked:
        raise UnsupportedError(
            f"The graph has inputs and outputs {sorted(found[0] | found[1])}, "
            f"its signature {sorted(asked[0] | asked[1])}.",
            "Import the model again: the names must be the same.",
        )
