"""What is not read, named before any work is done, with what to do about it."""

from collections.abc import Collection, Sequence

from edge_targets.runtime.errors import UnsupportedError
from toolkit.tflite_graph.parts import File, Operation

CONTROL = {"CALL", "CALL_ONCE", "IF", "STABLEHLO_CASE", "STABLEHLO_WHILE", "WHILE"}
RESOURCES = {
    "ASSIGN_VARIABLE", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_LOOKUP",
    "HASHTABLE_SIZE", "READ_VARIABLE", "SVDF", "VAR_HANDLE",
}  # fmt: skip
FLEX = "Flex"
KNOWN_CUSTOM = {
    "TFLite_Detection_PostProcess": "Export the detector without its post-processing, and choose "
    "boxes behind it with the step non_max_suppression.",
}


def refuse_unknown(file: File, operations: Sequence[Operation], known: Collection[str]) -> None:
    """Name every operator that has no translation, and where the first of its kind stands."""
    if not file.inputs or not file.outputs:
        raise UnsupportedError(
            "The TFLite file holds a graph that takes or gives nothing.",
            "Export a model with an input and an output.",
        )
    unknown: dict[str, Operation] = {}
    for operation in operations:
        if operation.is_custom or operation.code not in known:
            unknown.setdefault(operation.code, operation)
    if not unknown:
        return
    named = ", ".join(f"{code}{made_by(o, file)}" for code, o in sorted(unknown.items()))
    message = f"TFLite import knows no operator {named}."
    raise UnsupportedError(message, hint(unknown))


def made_by(operation: Operation, file: File) -> str:
    """Where an operator stands: the name of what it makes."""
    names = [file.tensors[place].name or f"tensor {place}" for place in operation.outputs[:1]]
    return f" (making {names[0]!r})" if names else ""


def hint(unknown: dict[str, Operation]) -> str:
    """What to do about the first that something is known of."""
    for code, operation in sorted(unknown.items()):
        if code in CONTROL:
            return (
                "It branches or loops while it runs: export the model without (a recurrent layer "
                "of Keras made with unroll=True has no loop), or as ONNX."
            )
        if code in RESOURCES:
            return (
                "It keeps something from one run to the next: export the model so that what it "
                "keeps is an input and an output."
            )
        if operation.is_custom and code.startswith(FLEX):
            return (
                f"{code} runs inside TensorFlow only (SELECT_TF_OPS): convert with "
                "TFLITE_BUILTINS alone, or export the model as ONNX."
            )
        if operation.is_custom:
            return KNOWN_CUSTOM.get(
                code, f"{code} is somebody's own operator: export the model without it."
            )
    return "Export the model with standard layers, or as ONNX from where it was made."
