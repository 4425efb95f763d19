"""LSTM, GRU and RNN in every form that a file says them in, against onnxruntime."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.flatbuffer.operators import recurrent
from toolkit.flatbuffer.translate import translate

Array = np.ndarray[Any, Any]
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": 2, "GRU": 1, "RNN": 1}
FEATURES, HIDDEN = 3, 5
AHEAD = {"forward": 1, "reverse": 1, "bidirectional": 2}
RUNTIMES = [("AUTO", 1), ("AUTO", 2), ("BUILTIN_WITHOUT_DEFAULT_DELEGATES", 1)]
"""With and without LiteRT's CPU delegate."""


def layer(
    op: str,
    steps: int,
    *,
    direction: str = "forward",
    outputs: str = "Y Y_h Y_c",
    batch: int = 1,
    given: bool = False,
    peepholes: bool = False,
    behind: list[onnx.NodeProto] | None = None,
    hidden: int = HIDDEN,
    **attributes: Any,
) -> onnx.ModelProto:
    """One recurrent operator with seeded weights; `given`: its initial state is an input."""
    ways, gates, count = AHEAD[direction], GATES[op], STATES[op]
    rng = np.random.default_rng(steps)

    def some(*shape: int) -> Array:
        return (rng.standard_normal(shape) * 0.5).astype(np.float32)

    stored = {
        "W": some(ways, gates * hidden, FEATURES),
        "R": some(ways, gates * hidden, hidden),
        "B": some(ways, 2 * gates * hidden),
    }
    states = ["H", "C"][:count]
    sizes = {"X": (steps, batch, FEATURES)}
    if given:
        sizes |= dict.fromkeys(states, (ways, batch, hidden))
    inputs = ["X", "W", "R", "B", "", *(states if given else [""] * count)]
    if peepholes:
        stored["P"] = some(ways, 3 * hidden)
        inputs += ["P"]
    names = ["Y", "Y_h", "Y_c"][: 1 + count]
    wanted = [name if name in outputs.split() else "" for name in names]
    node = helper.make_node(
        op, inputs, wanted, name="the_layer", hidden_size=hidden, direction=direction, **attributes
    )
    ends = [behind[-1].output[0]] if behind else [name for name in wanted if name]
    graph = helper.make_graph(
        [node, *(behind or [])],
        "test",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in sizes.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ends],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def assert_alike(model: onnx.ModelProto, run_onnx: Callable[..., Any]) -> bytes:
    """In each runtime, run after run on other numbers: nothing may be left from the one before."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    compiled = translate(model, QUIET)
    names = [value.name for value in model.graph.output]
    rng = np.random.default_rng(0)
    for resolver, threads in RUNTIMES:
        runner = Interpreter(
            model_content=compiled,
            num_threads=threads,
            experimental_op_resolver_type=OpResolverType[resolver],
        )
        runner.allocate_tensors()
        for _ in range(3):
            feeds = {}
            for detail in runner.get_input_details():
                values = rng.standard_normal(detail["shape"]).astype(np.float32)
                feeds[detail["name"]] = values
                runner.set_tensor(detail["index"], values)
            runner.invoke()
            places = {d["name"]: d["index"] for d in runner.get_output_details()}
            expected = run_onnx(model.SerializeToString(), feeds)
            for name, array in zip(names, expected, strict=True):
                found = runner.get_tensor(places[name])
                np.testing.assert_allclose(found, array, rtol=1e-5, atol=1e-5)
    return compiled


def codes(compiled: bytes) -> Counter[str]:
    """The operators of all graphs of a file, by the schema's names."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    model = schema.Model.GetRootAs(compiled)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return Counter(
        names[model.OperatorCodes(graph.Operators(i).OpcodeIndex()).BuiltinCode()]
        for graph in graphs
        for i in range(graph.OperatorsLength())
    )


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", AHEAD)
@pytest.mark.parametrize("steps", [1, 5, 67, 131, 517])
@pytest.mark.parametrize("outputs", ["Y Y_h Y_c", "Y_h"])
def test_every_run_starts_anew(
    op: str, direction: str, steps: int, outputs: str, run_onnx: Callable[..., Any]
) -> None:
    assert_alike(layer(op, steps, direction=direction, outputs=outputs), run_onnx)


@pytest.mark.parametrize(("op", "steps"), [("LSTM", 5), ("LSTM", 140), ("GRU", 5), ("RNN", 70)])
@pytest.mark.parametrize("outputs", ["Y Y_h Y_c", "Y_h"])
def test_a_given_state_is_where_it_starts(
    op: str, steps: int, outputs: str, run_onnx: Callable[..., Any]
) -> None:
    assert_alike(layer(op, steps, outputs=outputs, given=True), run_onnx)


@pytest.mark.parametrize(
    ("op", "more"),
    [
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"clip": 0.4}),
        ("LSTM", {"clip": 0.4}),
        ("LSTM", {"peepholes": True}),
        ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
        ("RNN", {"activations": ["Relu"]}),
        ("RNN", {"batch": 3}),
        ("LSTM", {"batch": 3}),
    ],
    ids=str,
)
@pytest.mark.parametrize("steps", [6, 133])
def test_its_variants_are_translated(
    op: str, more: dict[str, Any], steps: int, run_onnx: Callable[..., Any]
) -> None:
    assert_alike(layer(op, steps, outputs="Y Y_h", **more), run_onnx)


def test_a_layer_with_the_batch_first_gives_the_same_numbers(
    run_onnx: Callable[..., Any], run_tflite: Callable[..., Any]
) -> None:
    plain = layer("LSTM", 6, direction="bidirectional")
    turned = layer("LSTM", 6, direction="bidirectional", layout=1)
    del turned.graph.input[:]
    turned.graph.input.append(
        helper.make_tensor_value_info("X", TensorProto.FLOAT, [1, 6, FEATURES])
    )
    x = np.random.default_rng(0).standard_normal((1, 6, FEATURES)).astype(np.float32)

    found = run_tflite(translate(turned, QUIET), {"X": x})
    every, hidden, memory = run_onnx(plain.SerializeToString(), {"X": x.transpose(1, 0, 2)})

    for array, axes in ((every, (2, 0, 1, 3)), (hidden, (1, 0, 2)), (memory, (1, 0, 2))):
        np.testing.assert_allclose(found.pop(0), array.transpose(axes), atol=1e-5)


def test_states_that_a_delegate_computes_are_there_before_the_layer(
    run_onnx: Callable[..., Any],
) -> None:
    model = layer("LSTM", 131, given=True)
    first = [
        helper.make_node("Tanh", [name], [f"{name}_own"], name=f"before_{name}") for name in "HC"
    ]
    [node] = model.graph.node
    node.input[5], node.input[6] = "H_own", "C_own"
    behind = helper.make_node("Tanh", ["Y_c"], ["Y_d"], name="behind")
    model.graph.output[2].name = "Y_d"
    nodes = [*first, onnx.NodeProto.FromString(node.SerializeToString()), behind]
    del model.graph.node[:]
    model.graph.node.extend(nodes)

    assert_alike(model, run_onnx)


@pytest.mark.parametrize(
    ("op", "outputs", "inside"),
    [
        ("LSTM", "Y", {"WHILE": 2}),
        ("LSTM", "Y_h", {"WHILE": 1, "FULLY_CONNECTED": 3}),
        ("GRU", "Y_h", {"WHILE": 1, "FULLY_CONNECTED": 5}),
        ("GRU", "Y", {"WHILE": 2}),
    ],
)
def test_a_file_does_not_grow_with_the_steps(op: str, outputs: str, inside: dict[str, int]) -> None:
    long, longer = (translate(layer(op, steps, outputs=outputs), QUIET) for steps in (1024, 4096))

    assert len(longer) <= len(long) + 16
    assert codes(long) == codes(longer)
    assert {code: codes(long)[code] for code in inside} == inside


def test_weights_in_eight_bits_stay_so_in_a_loop(
    run_onnx: Callable[..., Any],
) -> None:
    sizes = {}
    for outputs, packed in (("Y_h", True), ("Y", True), ("Y", False)):
        model = layer("LSTM", 600, outputs=outputs, hidden=48)
        if packed:
            pack(model)
            assert_alike(model, run_onnx)
        sizes[outputs, packed] = len(translate(model, QUIET))

    assert sizes["Y_h", True] < sizes["Y", True] < sizes["Y", False] - 2 * 4 * 48 * 51


def pack(model: onnx.ModelProto) -> None:
    """Store the matrices as int8, a scale a row."""
    graph = model.graph
    for tensor in [t for t in graph.initializer if t.name in {"W", "R"}]:
        values = numpy_helper.to_array(tensor)
        scale = (np.abs(values).max(axis=2) / 127).astype(np.float32)
        coded = np.rint(values / scale[..., None]).astype(np.int8)
        graph.initializer.remove(tensor)
        name = tensor.name
        graph.initializer.append(numpy_helper.from_array(coded, f"{name}_codes"))
        graph.initializer.append(numpy_helper.from_array(scale.reshape(-1), f"{name}_scale"))
        step = helper.make_node(
            "DequantizeLinear", [f"{name}_codes", f"{name}_scale"], [name], axis=1
        )
        graph.node.insert(0, step)


@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_the_last_step_is_read_from_the_final_state(op: str, run_onnx: Callable[..., Any]) -> None:
    behind = [
        helper.make_node("Transpose", ["Y"], ["turned"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["turned", "rows"], ["flat"]),
        helper.make_node("Gather", ["flat", "last"], ["chosen"], axis=1),
        helper.make_node("Softmax", ["chosen"], ["out"], axis=1),
    ]
    model = layer(op, 140, outputs="Y", behind=behind)
    for name, array in (("rows", np.array([1, 140, HIDDEN])), ("last", np.array(-1))):
        model.graph.initializer.append(numpy_helper.from_array(array, name))

    compiled = assert_alike(model, run_onnx)

    assert codes(compiled)["WHILE"] == 1
    assert not codes(compiled) & Counter({"DYNAMIC_UPDATE_SLICE": 1, "TRANSPOSE": 1})


@pytest.mark.parametrize("chosen", [0, 69, 138])
def test_another_step_than_the_last_is_that_step(chosen: int, run_onnx: Callable[..., Any]) -> None:
    behind = [
        helper.make_node("Squeeze", ["Y", "one"], ["flat"]),
        helper.make_node("Gather", ["flat", "place"], ["out"], axis=0),
    ]
    model = layer("GRU", 140, outputs="Y", behind=behind, direction="reverse")
    for name, array in (("one", np.array([1])), ("place", np.array(chosen))):
        model.graph.initializer.append(numpy_helper.from_array(array, name))

    assert_alike(model, run_onnx)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"activations": ["Sigmoid", "Softsign", "Tanh"]}, "Softsign"),
        ({"input_forget": 1}, "couples"),
    ],
)
def test_what_has_no_counterpart_is_named(more: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedError, match=f"LSTM .node 'the_layer'.*{why}") as caught:
        translate(layer("LSTM", 4, **more), QUIET)

    assert caught.value.hint


def test_a_sequence_that_ends_early_is_refused() -> None:
    model = layer("GRU", 4)
    model.graph.node[0].input[4] = "lengths"
    model.graph.initializer.append(numpy_helper.from_array(np.array([3], np.int32), "lengths"))

    with pytest.raises(UnsupportedError, match="ends before its 4 steps"):
        translate(model, QUIET)


def test_few_steps_are_written_out_and_large_weights_are_not() -> None:
    small, large = (
        codes(translate(layer("LSTM", 30, outputs="Y_h", hidden=hidden), QUIET))
        for hidden in (8, 64)
    )

    assert small["WHILE"] == 0
    assert small["FULLY_CONNECTED"] == 31
    assert large["WHILE"] == 1
    assert recurrent.CACHE[False] < 30 * 4 * 64 * 64 * 4
