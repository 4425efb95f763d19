"""TensorFlow Lite in eight bits, quantized by ai-edge-quantizer behind our compiler."""

from collections import Counter
from typing import Any

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.flatbuffer.ends import compiled, described
from toolkit.flatbuffer.serialize import renamed
from toolkit.formats.base import Format, Samples, Written
from toolkit.onnx_graph import operators
from toolkit.quiet import silent

SIGNATURE = "serving_default"  # the one that our compiler writes
ITEMS = 200  # more hardly move a smallest or largest value
QUANTIZED = {"DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QuantizeLinear"}
DYNAMIC = (
    "Quantize the weights with the pass quantize_weights or quantize_dynamic, and build tflite."
)


class TFLiteInt8(Format):
    """Weights and activations as int8, inputs and outputs as floats.

    The range of every value is its smallest and largest on the samples: the quantizer's own
    choice, a moving average, clips (a root mean square error of 0.106 instead of 0.010 on a
    network for images).
    """

    title = "TensorFlow Lite int8"
    suffix = ".tflite"
    engine = "tflite"
    usual = False
    lossy = True

    def build(
        self, graph: bytes, signature: Signature, job: Job, samples: Samples | None = None
    ) -> Written:
        if not samples or not all(len(values) for values in samples.values()):
            raise UnsupportedError(
                "TFLite int8 is calibrated on data, and there is none.",
                "Name the data with --data, or build tflite.",
            )
        if QUANTIZED & set(operators(graph)):
            raise UnsupportedError(
                "The graph is quantized already; TFLite int8 begins with a float one.",
                "Build tflite: it keeps what is quantized.",
            )
        data = compiled(graph, signature, job)
        found = quantized(data, signature, samples, job)
        kinds = arithmetic(found)
        if not kinds["int8"] or len(found) >= len(data):
            raise UnsupportedError(
                "ai-edge-quantizer left every operator of the model in floats.", DYNAMIC
            )
        note = f"{kinds['int8']} of {sum(kinds.values())} operators compute on int8"
        return Written(described(found, signature), (note,))


def quantized(data: bytes, signature: Signature, samples: Samples, job: Job) -> bytes:
    from ai_edge_quantizer import calibrator, quantizer
    from ai_edge_quantizer.utils import qsv_utils

    count = min(ITEMS, *(len(values) for values in samples.values()))
    recipe = recipe_of()
    try:
        with silent():
            ranges = calibrator.Calibrator(
                data, num_threads=1, qsv_update_func=qsv_utils.min_max_update
            )
        for item in job.track(range(count), "calibrate"):
            feed = {
                spec.name: samples[spec.name][item : item + 1].astype(spec.dtype)
                for spec in signature.inputs
            }
            with silent():
                ranges.calibrate({SIGNATURE: [feed]}, recipe)
        with silent():
            work = quantizer.Quantizer(data, recipe.get_quantization_recipe())
            found = work.quantize(ranges.get_model_qsvs(), enable_progress_report=False)
    except (ValueError, RuntimeError, KeyError) as error:
        raise UnsupportedError(
            f"ai-edge-quantizer does not take the model: {error}.", DYNAMIC
        ) from error
    return renamed(bytes(found.quantized_model))


def recipe_of() -> Any:
    """Everything in eight bits but the ends."""
    from ai_edge_quantizer import recipe_manager
    from ai_edge_quantizer.qtyping import TFLOperationName as Operation

    manager = recipe_manager.RecipeManager()
    manager.add_static_config(
        regex=".*",
        operation_name=Operation.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
    )
    for end in (Operation.INPUT, Operation.OUTPUT):
        manager.add_quantization_config(
            regex=".*",
            operation_name=end,
            algorithm_key=recipe_manager.AlgorithmName.NO_QUANTIZE,
        )
    return manager


def arithmetic(data: bytes) -> Counter[str]:
    """How many operators give each type of number."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k.lower() for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
    graph = schema.Model.GetRootAs(data).Subgraphs(0)
    results = [graph.Operators(i).Outputs(0) for i in range(graph.OperatorsLength())]
    return Counter(names[graph.Tensors(place).Type()] for place in results)
