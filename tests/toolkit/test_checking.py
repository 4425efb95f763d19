"""Every compiled file is checked: form, odd inputs, determinism, and what is accelerated."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.events import QUIET
from toolkit import journeys, shelf
from toolkit.artifact import Compiled, compile_model
from toolkit.checking import Pair, checks_of
from toolkit.data import Dataset
from toolkit.delegation import delegation_of, left_in_float
from toolkit.formats import formats
from toolkit.formats.onnx import Onnx
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.proof import proof_inputs
from toolkit.report import Check
from toolkit.workspace import Workspace

FLOAT = TensorProto.FLOAT
TWO, LOW, HIGH = (np.array(value, np.float32) for value in ([2], -50, 50))


def graph_model(
    nodes: list[Any],
    inputs: dict[str, tuple[str, tuple[int, ...]]],
    output: tuple[str, tuple[int, ...]],
    weights: dict[str, NDArray[Any]] | None = None,
    labels: tuple[str, ...] = (),
) -> Model:
    """A graph with a free batch; inputs by name, each with dtype and the sizes of an item."""

    def value(name: str, dtype: str, sizes: tuple[int, ...]) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, ["batch", *sizes])

    made = helper.make_model(
        helper.make_graph(
            nodes,
            "made",
            [value(name, *kind) for name, kind in inputs.items()],
            [value("y", *output)],
            [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    onnx.checker.check_model(made, full_check=True)
    signature = Signature(
        tuple(TensorSpec(name, (-1, *sizes), dtype) for name, (dtype, sizes) in inputs.items()),
        (TensorSpec("y", (-1, *output[1]), output[0]),),
        labels,
    )
    return Model(signature, graph=made.SerializeToString())


def compiled(model: Model, name: str) -> Compiled:
    return compile_model(model, name, proof_inputs(model).inputs, QUIET)


def check_named(checks: tuple[Check, ...], name: str) -> Check:
    [found] = [check for check in checks if check.name == name]
    return found


def against(original: Model, other: Model, lossy: bool = False) -> tuple[Check, ...]:
    """What is found when the file of one model is passed off as that of another."""
    inputs = proof_inputs(original).inputs
    one, two = (Runner(model.graph, "onnx", original.signature) for model in (original, other))
    before, after = one.outputs(inputs, QUIET), two.outputs(inputs, QUIET)
    pair = Pair(original.signature, inputs, one, two, before, after, 1e-4, lossy)
    return checks_of(pair, lambda: two)


def linear(*nodes: Any, weights: dict[str, NDArray[Any]]) -> Model:
    return graph_model(list(nodes), {"x": ("float32", (4,))}, ("float32", (4,)), weights)


PLAIN = linear(helper.make_node("Mul", ["x", "two"], ["y"], "twice"), weights={"two": TWO})


@pytest.mark.parametrize("name", ["onnx", "tflite"])
@pytest.mark.parametrize("quantized", [False, True])
def test_a_healthy_file_passes_every_check(exported: Model, name: str, quantized: bool) -> None:
    model = QuantizeInt8().apply(exported, QUIET) if quantized else exported

    found = compiled(model, name)

    assert found.passed
    assert {check.name for check in found.checks} >= {
        "shapes and types", "determinism", "input: zeros", "input: lowest", "input: highest",
        "input: denormals", "input: 1e4", "input: -1e4", "input: largest float",
        "input: not a number", "input: infinity", "input: -infinity",
    }  # fmt: skip
    assert found.quantized == quantized


def test_a_file_that_differs_only_far_from_the_data_is_found() -> None:
    bounds = {"two": TWO, "low": LOW, "high": HIGH}
    clipped = linear(
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("Clip", ["doubled", "low", "high"], ["y"]),
        weights=bounds,
    )

    checks = against(PLAIN, clipped)

    assert {check.name for check in checks if check.passed is False} == {
        "input: 1e4",
        "input: -1e4",
    }


def test_a_format_that_knows_only_the_range_of_real_items_is_told_of_far_ones() -> None:
    clipped = linear(
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("Clip", ["doubled", "low", "high"], ["y"]),
        weights={"two": TWO, "low": LOW, "high": HIGH},
    )

    checks = against(PLAIN, clipped, lossy=True)

    assert all(check.passed is not False for check in checks)
    far = check_named(checks, "input: 1e4")
    assert far.passed is None
    assert far.value == pytest.approx(1 - 50 / 2e4)


def test_a_file_that_is_wrong_at_zero_is_found() -> None:
    # x / x is 1 on any real item, and not a number at zero
    divided = linear(
        helper.make_node("Div", ["x", "x"], ["one"]),
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("Mul", ["doubled", "one"], ["y"]),
        weights={"two": TWO},
    )

    zeros = check_named(against(PLAIN, divided), "input: zeros")

    assert zeros.passed is False
    assert zeros.value == "finite in other places of y"


def test_a_number_that_is_too_small_may_be_taken_for_zero() -> None:
    # a comparison tells 1e-40 from 0, but on a processor that keeps no such numbers
    def counting(threshold: float) -> Model:
        return linear(
            helper.make_node("Greater", ["x", "least"], ["some"]),
            helper.make_node("Cast", ["some"], ["y"], to=FLOAT),
            weights={"least": np.array(threshold, np.float32)},
        )

    keeping, flushing, broken = (counting(least) for least in (0, 1e-38, -1e-38))

    assert check_named(against(keeping, flushing), "input: denormals").passed
    assert check_named(against(flushing, broken), "input: denormals").passed is False


def test_another_view_of_not_a_number_is_told_and_fails_nothing() -> None:
    masked = linear(
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("IsNaN", ["doubled"], ["missing"]),
        helper.make_node("Where", ["missing", "two", "doubled"], ["y"]),
        weights={"two": TWO},
    )

    checks = against(PLAIN, masked)

    assert check_named(checks, "input: not a number").value == "finite in other places of y"
    assert all(check.passed is not False for check in checks)


def test_an_answer_that_changes_from_run_to_run_is_found() -> None:
    noisy = linear(
        helper.make_node("RandomNormalLike", ["x"], ["noise"], scale=1e-6),
        helper.make_node("Mul", ["x", "two"], ["doubled"]),
        helper.make_node("Add", ["doubled", "noise"], ["y"]),
        weights={"two": TWO},
    )

    assert check_named(against(PLAIN, noisy), "determinism").passed is False
    assert check_named(against(PLAIN, PLAIN), "determinism").passed


def test_another_shape_or_type_than_the_signature_says_is_found() -> None:
    promised = replace(PLAIN.signature.outputs[0], shape=(-1, 5), dtype="float64")
    model = replace(PLAIN, signature=replace(PLAIN.signature, outputs=(promised,)))

    form = check_named(compiled(model, "onnx").checks, "shapes and types")

    assert form.passed is False
    assert form.value == "y is float32 [4]"


def test_several_inputs_of_several_types_are_made_up_and_proven() -> None:
    table = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    model = graph_model(
        [
            helper.make_node("Gather", ["table", "word"], ["row"], "look_up"),
            helper.make_node("Cast", ["pixels"], ["real"], "widen", to=FLOAT),
            helper.make_node("Add", ["row", "real"], ["joined"], "join"),
            helper.make_node("Add", ["joined", "x"], ["y"], "sum"),
        ],
        {"word": ("int64", ()), "pixels": ("uint8", (4,)), "x": ("float32", (4,))},
        ("float32", (4,)),
        {"table": table},
    )

    proof = proof_inputs(model)
    found = compile_model(model, "onnx", proof.inputs, QUIET)

    # an index beyond the table would be refused: the largest that fits all is drawn
    assert proof.inputs["word"].max() < 7
    assert proof.inputs["pixels"].dtype == np.uint8
    assert proof.inputs["pixels"].max() > 200
    assert proof.made_up
    assert found.passed
    assert found.parity.samples == 64
    latency = Runner(found.data, "onnx", model.signature).latency(proof.inputs, runs=5)
    assert latency.p50_ms > 0


def test_what_a_delegate_takes_is_counted(exported: Model) -> None:
    # there is no XNNPACK kernel for SIGN: it parts the file in two
    cut = linear(
        helper.make_node("Mul", ["x", "two"], ["doubled"], "twice"),
        helper.make_node("Sign", ["doubled"], ["sign"], "sign_of"),
        helper.make_node("Mul", ["sign", "two"], ["y"], "again"),
        weights={"two": TWO},
    )

    whole, parted = (compiled(model, "tflite").delegation for model in (exported, cut))

    assert whole is not None
    assert (whole.partitions, whole.accelerated, whole.left) == (1, 1.0, ())
    assert parted is not None
    assert (parted.partitions, parted.left) == (2, ("SIGN",))
    assert parted.accelerated == pytest.approx(2 / 3)
    assert compiled(cut, "onnx").delegation is None


def test_what_onnx_runtime_leaves_in_float_is_named(exported: Model) -> None:
    quantized = QuantizeInt8().apply(exported, QUIET)

    assert left_in_float(quantized.graph) == ()
    assert "Conv (2)" in left_in_float(exported.graph)
    assert delegation_of(compiled(quantized, "tflite").data).integer
    assert not delegation_of(compiled(exported, "tflite").data).integer


def test_an_imported_model_without_data_is_built_on_made_up_inputs(
    workspace: Workspace, exported: Model
) -> None:
    anonymous = exported.with_data(None)
    shelf.save_model(workspace, "found", anonymous, "import", {}, (), ())

    built = journeys.build(workspace, "found", ("onnx", "tflite"), None, QUIET)

    assert built.ok
    for artifact in built.artifacts:
        assert artifact.samples == 64
        assert artifact.notes == ("Proven on 64 made-up items: name real ones with --data.",)
        facts = workspace.get("artifacts", artifact.name).facts
        assert facts["parity"]["passed"]
        assert [check["name"] for check in facts["checks"]][:2] == [
            "shapes and types",
            "determinism",
        ]
    assert [artifact.partitions for artifact in built.artifacts] == [None, 1]


def test_nothing_is_calibrated_on_made_up_inputs(exported: Model, digits: Dataset) -> None:
    seen = []

    class Curious(Onnx):
        def build(self, graph: Any, signature: Any, job: Any, samples: Any = None) -> Any:
            seen.append(samples)
            return super().build(graph, signature, job, samples)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.artifact.formats", {"onnx": Curious})
        for model in (exported, exported.with_data(None)):
            compile_model(model, "onnx", proof_inputs(model).inputs, QUIET)

    # of data it gets what the model learned from, which is not what the file is judged by
    assert np.array_equal(seen[0]["image"], digits.part("train")[0])
    assert seen[1] is None


def test_a_runner_maps_a_format_to_its_engine(
    monkeypatch: pytest.MonkeyPatch, exported: Model, digits: Dataset
) -> None:
    class Other(Onnx):
        suffix = ".other"

    known = type(formats).__getitem__
    monkeypatch.setattr(
        type(formats),
        "__getitem__",
        lambda self, name: Other if name == "new" else known(self, name),
    )

    found = Runner(exported.graph, "new", exported.signature)

    assert found.engine.title == "ONNX Runtime"
    assert found.first_output(digits.inputs[:3], QUIET).shape == (3, 10)
