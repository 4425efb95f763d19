"""Keras models: they answer as in Keras, and nothing in a file is run or followed."""

import contextlib
import importlib.util
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.runtime.errors import EdgeError, IntegrityError, UnsupportedError
from edge_targets.runtime.events import QUIET, Event, Job
from toolkit.anatomy import layers_of
from toolkit.foreign.keras_layers.base import array
from toolkit.guarded import import_model
from toolkit.importers import Found, Given, read_model
from toolkit.inference import Runner
from toolkit.onnx_graph import operators
from toolkit.quiet import quiet

h5py = pytest.importorskip("h5py")
if not importlib.util.find_spec("keras"):  # importing it chooses its backend
    pytest.skip("keras is not installed", allow_module_level=True)
Save = Callable[..., Path]
PICTURE, SERIES, ROW = (9, 8, 3), (7, 5), (6,)


@pytest.fixture(scope="session")
def keras() -> Any:
    """Keras on torch; importing it takes seconds."""
    from toolkit.foreign.keras_model import ready

    ready()
    import keras

    return keras


@pytest.fixture
def save(keras: Any, tmp_path: Path) -> Save:
    """Writes a model with seeded weights, those it was told to have excepted."""

    def write(model: Any, name: str = "model.keras") -> Path:
        rng = np.random.default_rng(0)
        for weight in model.weights:
            positive = weight.path.endswith("variance")
            low, high = (0.5, 2) if positive else (-0.6, 0.6)
            if "seed" not in weight.path:
                weight.assign(rng.uniform(low, high, weight.shape))
        with quiet():
            model.save(tmp_path / name)
        return tmp_path / name

    return write


def layers(keras: Any, words: str) -> list[Any]:
    """Layers as written: `Conv2D(4, 3); Flatten()`."""
    return [eval(word, {**vars(keras.layers)}) for word in words.split(";")]


def sequence(keras: Any, shape: tuple[int, ...], words: str, dtype: str = "float32") -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers(keras, words)])


def answers(model: Any, items: Any) -> Any:
    import torch

    with quiet(), torch.no_grad():
        return model(items, training=False).numpy()


def agrees(found: Found, model: Any, integers: int = 0) -> None:
    spec = found.model.signature.inputs[0]
    rng = np.random.default_rng(1)
    shape = (5, *spec.shape[1:])
    items = rng.integers(0, integers, shape) if integers else rng.standard_normal(shape)
    items = items.astype(spec.dtype)

    mine = Runner.of_model(found.model, QUIET).first_output(items, QUIET)

    np.testing.assert_allclose(mine, answers(model, items), atol=1e-5, rtol=1e-5)


def refused(file: Path, given: Given = Given()) -> EdgeError:  # noqa: B008 - frozen
    with pytest.raises(EdgeError) as caught:
        read_model(file, given, QUIET)
    assert caught.value.hint
    return caught.value


CASES = {
    PICTURE: [
        "Conv2D(4, 3); ReLU()",
        "Conv2D(4, (3, 2), padding='same', strides=2, activation='relu')",
        "Conv2D(4, 3, padding='same', dilation_rate=2); Flatten(); Dense(3, activation='softmax')",
        "Conv2D(6, 3, groups=3); SpatialDropout2D(0.5)",
        "DepthwiseConv2D(3, padding='same', strides=2, depth_multiplier=2)",
        "SeparableConv2D(4, 3, padding='same')",
        "Conv2DTranspose(4, 3, strides=2, padding='same')",
        "Conv2DTranspose(4, (2, 4), strides=3, padding='valid')",
        "Conv2D(4, 3); BatchNormalization(); LayerNormalization(); BatchNormalization(scale=False)",
        "MaxPooling2D(3, strides=2, padding='same'); AveragePooling2D(2)",
        "GlobalAveragePooling2D(keepdims=True); Conv2D(2, 1); Flatten()",
        "Conv2D(4, 3); GlobalMaxPooling2D()",
        "UpSampling2D((2, 3)); UpSampling2D(2, interpolation='bilinear')",
        "ZeroPadding2D(((1, 2), (0, 3))); Cropping2D(((1, 0), (2, 1)))",
        "Conv2D(4, 3); ZeroPadding2D(((1, 2), (0, 3))); Cropping2D(((1, 0), (2, 1))); Conv2D(2, 1)",
        "Permute((3, 1, 2)); Reshape((-1, 4))",
        "Conv2D(4, 3); PReLU(shared_axes=[1, 2]); Softmax(axis=1); Softmax()",
        "Rescaling([0.1, 0.2, 0.3], offset=[1, 2, 3]); Conv2D(4, 3)",
        "Conv2D(3, 3); Rescaling([0.1, 0.2, 0.3], offset=[1, 2, 3])",
        "Resizing(13, 7); CenterCrop(5, 6); Normalization(mean=[1, 2, 3], variance=[1, 2, 4])",
        "Resizing(13, 5, interpolation='nearest')",
        "RandomFlip(); GaussianNoise(0.1); Conv2D(2, 3)",
    ],
    (3, 8, 9): [
        "Conv2D(4, 3, padding='same', data_format='channels_first'); BatchNormalization(axis=1); "
        "MaxPooling2D(2, data_format='channels_first'); Flatten(data_format='channels_first')",
        "GlobalAveragePooling2D(data_format='channels_first')",
    ],
    SERIES: [
        "Conv1D(4, 3, padding='causal', dilation_rate=2, activation='elu'); MaxPooling1D(2)",
        "Conv1D(4, 3, strides=2, padding='same'); GlobalAveragePooling1D(); Dense(2)",
        "Conv1DTranspose(4, 3, strides=2); SeparableConv1D(3, 2)",
        "Dense(4, activation='relu'); Dense(3, use_bias=False)",
        "ZeroPadding1D(2); Cropping1D((1, 2)); UpSampling1D(2); Flatten(); RepeatVector(3)",
        "LSTM(6); Dense(3)",
        "LSTM(6, return_sequences=True, go_backwards=True); SimpleRNN(4, use_bias=False)",
        "GRU(6, return_sequences=True); GRU(4, reset_after=False)",
        "LSTM(4, activation='relu', recurrent_activation='hard_sigmoid')",
        "Bidirectional(LSTM(4, return_sequences=True)); Bidirectional(GRU(3))",
        "Bidirectional(GRU(4, return_sequences=True), merge_mode='sum')",
        "Bidirectional(SimpleRNN(4), merge_mode='mul'); Dense(2)",
        "TimeDistributed(Dense(4)); LSTM(3)",
    ],
    ROW: [
        "Dense(5, activation='relu'); Dropout(0.5); BatchNormalization(center=False); Dense(1)",
        "Dense(4); ReLU(max_value=3); LeakyReLU(0.1); ELU(0.5); PReLU(); Softmax()",
    ],
}  # fmt: skip
ACTIVATIONS = (
    "linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "log_softmax", "elu", "selu",
    "softplus", "softsign", "silu", "gelu", "exponential", "hard_sigmoid", "hard_silu",
    "leaky_relu", "mish",
)  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "words"), [(shape, words) for shape, group in CASES.items() for words in group]
)
def test_layers_answer_as_in_keras_and_need_no_exporter(
    keras: Any, save: Save, shape: tuple[int, ...], words: str
) -> None:
    model = sequence(keras, shape, words)

    found = read_model(save(model), Given(), QUIET)

    agrees(found, model)
    assert not any("operator of its own" in note for note in found.notes)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_answer_as_in_keras_in_either_order_of_axes(
    keras: Any, save: Save, kind: str
) -> None:
    model = sequence(keras, PICTURE, f"Activation({kind!r}); Conv2D(4, 2, activation={kind!r})")

    agrees(read_model(save(model), Given(), QUIET), model)


def test_a_network_for_pictures_is_turned_twice_and_keeps_its_names(
    keras: Any, save: Save, events: list[Event]
) -> None:
    model = sequence(
        keras, (28, 28, 1),
        "Rescaling(1/255); Conv2D(8, 3, name='first'); BatchNormalization(); ReLU(); "
        "MaxPooling2D(); DepthwiseConv2D(3, name='second'); Flatten(); "
        "Dense(10, activation='softmax', name='last')",
    )  # fmt: skip

    found = read_model(save(model), Given(), Job(events.append))

    assert operators(found.model.graph)["Transpose"] == 2
    assert [layer.name for layer in layers_of(found.model.graph)] == ["first", "second", "last"]
    assert found.layout == "NHWC"
    assert found.model.signature.inputs[0].shape == (-1, 28, 28, 1)
    assert len(found.model.signature.labels) == 10
    assert found.metadata["keras_version"] == keras.__version__
    assert "Rescaling (times 0.0039" in found.notes[0]
    assert events[-1].done == events[-1].total


def test_recurrent_layers_are_one_node_each(keras: Any, save: Save) -> None:
    model = sequence(keras, SERIES, "LSTM(4, return_sequences=True); Bidirectional(GRU(3))")

    counts = operators(read_model(save(model), Given(), QUIET).model.graph)

    assert (counts["LSTM"], counts["GRU"]) == (1, 1)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_an_embedding_takes_whole_numbers(keras: Any, save: Save, dtype: str) -> None:
    model = sequence(keras, (7,), "Embedding(20, 4); Flatten(); Dense(3)", dtype)

    found = read_model(save(model), Given(), QUIET)

    assert found.model.signature.inputs[0].dtype == dtype
    agrees(found, model, integers=20)


def test_branches_shared_layers_and_models_inside_models(keras: Any, save: Save) -> None:
    inner = sequence(keras, PICTURE, "Conv2D(4, 1, name='point'); ReLU()")
    picture, side = keras.Input(PICTURE, name="picture"), keras.Input((4,), name="side")
    a = inner(picture)
    b = keras.layers.Conv2D(4, 3, padding="same")(picture)
    kinds = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    joined = [getattr(keras.layers, kind)()([a, b]) for kind in kinds]
    shared = keras.layers.Dense(4, name="shared")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()(joined))
    mixed = keras.layers.Concatenate()([shared(shared(side)), pooled])
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(mixed * 2 + 1)
    model = keras.Model([picture, side], [kind, pooled])
    file = save(model)

    found = read_model(file, Given(), QUIET)

    graph = found.model.graph
    assert [spec.name for spec in found.model.signature.inputs] == ["picture", "side"]
    assert found.model.signature.outputs[0].name == "kind"
    assert f"{inner.name}.point" in [layer.name for layer in layers_of(graph)]
    assert graph.count(b"shared.weight_2") == 0


def test_attention_answers_as_in_keras(keras: Any, save: Save) -> None:
    series = keras.Input((10, 6), name="series")
    seen = keras.layers.MultiHeadAttention(2, 4)(series, series, use_causal_mask=True)
    model = keras.Model(series, keras.layers.LayerNormalization()(seen + series))

    found = read_model(save(model), Given(), QUIET)

    agrees(found, model)
    assert "query.weight" in str(found.model.graph)


def test_states_may_be_handed_on(keras: Any, save: Save) -> None:
    series = keras.Input(SERIES)
    steps, h, c = keras.layers.LSTM(4, return_sequences=True, return_state=True)(series)
    model = keras.Model(series, keras.layers.LSTM(4)(steps, initial_state=[h, c]))

    agrees(read_model(save(model), Given(), QUIET), model)


def test_a_layer_without_a_translation_goes_through_the_exporter(keras: Any, save: Save) -> None:
    model = sequence(keras, (4, 4, 4), "GroupNormalization(2)")

    found = read_model(save(model), Given(), QUIET)

    agrees(found, model)
    assert "GroupNormalization (layer 'group_norm" in found.notes[0]


def test_averages_at_uneven_borders_are_tensorflows(keras: Any, save: Save) -> None:
    model = sequence(keras, (3, 1), "AveragePooling1D(2, strides=1, padding='same')")

    found = read_model(save(model), Given(), QUIET)

    items = np.array([[[1], [3], [8]]], np.float32)
    made = Runner.of_model(found.model, QUIET).first_output(items, QUIET)
    assert made.ravel().tolist() == [2, 5.5, 8]  # the last window holds one value alone
    assert "TensorFlow" in found.notes[0]


def test_sizes_that_a_file_leaves_free_are_asked_for(keras: Any, save: Save) -> None:
    name = "series"
    entrance = keras.Input((None, 5), name=name)
    file = save(keras.Sequential([entrance, *layers(keras, "LSTM(4);Dense(2)")]))

    assert f"--shape {name}=" in refused(file).hint
    found = read_model(file, Given(shapes={name: (1, 7, 5)}), QUIET)
    assert found.model.signature.inputs[0].shape == (-1, 7, 5)
    assert "given for it 2" in str(refused(file, Given(shapes={name: (1, 7)})))


def test_half_precision_is_computed_in_single(keras: Any, save: Save) -> None:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, dtype="mixed_float16", name="half")]
    )

    found = read_model(save(model), Given(), QUIET)

    assert found.model.signature.outputs[0].dtype == "float32"
    assert "mixed_float16" in found.notes[0]


# ------------------------------------------------------------------------------ older files


def old_layer(kind: str, **config: Any) -> dict[str, Any]:
    """As TensorFlow 2 wrote it: no modules, shapes as `batch_input_shape`."""
    return {"class_name": kind, "config": {"trainable": True, "dtype": "float32", **config}}


OLD = [
    old_layer("InputLayer", batch_input_shape=[None, 6, 4], ragged=False, name="in_1"),
    old_layer("SeparableConv1D", filters=3, kernel_size=[2], strides=[1], padding="same", groups=1,
              data_format="channels_last", activation="relu", use_bias=True, name="sep"),
    old_layer("BatchNormalization", axis=[2], momentum=0.99, epsilon=0.001, name="norm",
              gamma_initializer={"class_name": "Ones", "config": {}}),
    old_layer("LSTM", units=5, activation="tanh", recurrent_activation="sigmoid", name="lstm",
              use_bias=True, time_major=False, implementation=2, unroll=False, stateful=False,
              return_sequences=False, kernel_initializer={"class_name": "GlorotUniform",
              "config": {"seed": None}, "shared_object_id": 3}),
    old_layer("Dense", units=2, activation="softmax", use_bias=True, name="out"),
]  # fmt: skip


def old_file(
    path: Path, twin: Any, layers: list[dict[str, Any]], kind: str = "Sequential", **more: Any
) -> Path:
    """An `.h5` file with the weights of a model whose layers have the same names."""
    described = {"class_name": kind, "config": {"name": "old", "layers": layers, **more}}
    with quiet(), h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(described)
        file.attrs["keras_version"] = "2.11.0"
        file.attrs["backend"] = "tensorflow"
        stored = file.create_group("model_weights")
        stored.attrs["layer_names"] = [layer.name.encode() for layer in twin.layers]
        for layer in twin.layers:
            group = stored.create_group(layer.name)
            names = [f"{layer.name}/{w.path.split('/')[-1]}:0" for w in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = array(weight)
    return path


@pytest.fixture
def twin(keras: Any) -> Any:
    return sequence(
        keras, (6, 4),
        "SeparableConv1D(3, 2, padding='same', activation='relu', name='sep');"
        "BatchNormalization(name='norm'); LSTM(5, name='lstm');"
        "Dense(2, activation='softmax', name='out')",
    )  # fmt: skip


def test_a_file_of_keras_2_is_read(keras: Any, save: Save, twin: Any, tmp_path: Path) -> None:
    save(twin)

    found = read_model(old_file(tmp_path / "old.bin", twin, OLD), Given(), QUIET)

    agrees(found, twin)
    assert [layer.name for layer in layers_of(found.model.graph)][-2:] == ["lstm", "out"]


def test_a_sequence_of_keras_2_may_name_its_shape_in_the_first_layer(
    keras: Any, save: Save, twin: Any, tmp_path: Path
) -> None:
    save(twin)
    first = {**OLD[1], "config": {**OLD[1]["config"], "batch_input_shape": [None, 6, 4]}}

    found = read_model(old_file(tmp_path / "a", twin, [first, *OLD[2:]]), Given(), QUIET)

    agrees(found, twin)


def test_a_functional_model_of_keras_2_is_read(
    keras: Any, save: Save, twin: Any, tmp_path: Path
) -> None:
    save(twin)
    names = [layer["config"]["name"] for layer in OLD]
    nodes = [[], *([[[before, 0, 0, {}]]] for before in names)]
    layers = [{**layer, "name": name, "inbound_nodes": node}
              for layer, name, node in zip(OLD, names, nodes, strict=False)]  # fmt: skip

    file = old_file(
        tmp_path / "old.h5", twin, layers, "Functional",
        input_layers=[[names[0], 0, 0]], output_layers=[[names[-1], 0, 0]],
    )  # fmt: skip

    agrees(read_model(file, Given(), QUIET), twin)


def test_a_layer_that_keeps_its_state_is_named(
    keras: Any, save: Save, twin: Any, tmp_path: Path
) -> None:
    save(twin)
    lstm = {**OLD[3], "config": {**OLD[3]["config"], "stateful": True}}

    error = refused(old_file(tmp_path / "old.h5", twin, [*OLD[:3], lstm, OLD[4]]))

    assert "'lstm' (LSTM) is set to stateful=True" in str(error)


def test_a_function_that_changed_since_keras_2_is_refused(
    keras: Any, save: Save, twin: Any, tmp_path: Path
) -> None:
    save(twin)
    lstm = {**OLD[3], "config": {**OLD[3]["config"], "recurrent_activation": "hard_sigmoid"}}

    error = refused(old_file(tmp_path / "old.h5", twin, [*OLD[:3], lstm, OLD[4]]))

    assert "'lstm' (LSTM) uses hard_sigmoid" in str(error)


def test_h5_written_today_is_read(keras: Any, save: Save) -> None:
    model = sequence(keras, PICTURE, "Conv2D(4, 3); Flatten(); Dense(3)")

    agrees(read_model(save(model, "model.h5"), Given(), QUIET), model)


def test_weights_alone_are_refused(keras: Any, tmp_path: Path) -> None:
    file = tmp_path / "model.weights.h5"
    with quiet():
        sequence(keras, ROW, "Dense(2)").save_weights(file)

    assert "not its architecture" in str(refused(file))


# ----------------------------------------------------------------------------- hostile files


def changed(file: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The same archive with another description."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return file


HOSTILE: dict[str, dict[str, Any]] = {
    "Lambda": {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "evil"}},
    "a function": {"module": "builtins", "class_name": "function", "config": "eval"},
    "a function of keras": {
        "module": "keras.utils", "class_name": "function", "config": "get_file",
        "registered_name": "function",
    },
    "a foreign module": {"module": "os", "class_name": "Dense", "config": {"name": "evil"}},
    "a foreign class": {"module": "subprocess", "class_name": "Popen", "config": {}},
    "a registered name": {
        "module": "keras.layers", "class_name": "Dense", "registered_name": "my>Layer",
        "config": {"name": "evil", "units": 3},
    },
    "pickled torch": {
        "module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"name": "evil"},
    },
    "no class": {"module": "os", "config": "system"},
    "a module that is no text": {"module": ["os"], "class_name": "Dense", "config": {}},
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("place", ["layer", "activation"])
def test_what_is_no_layer_of_keras_is_refused_before_keras_sees_it(
    keras: Any, save: Save, monkeypatch: pytest.MonkeyPatch, what: str, place: str
) -> None:
    def put(config: dict[str, Any]) -> None:
        if place == "layer":
            config["config"]["layers"].append(HOSTILE[what])
        else:
            config["config"]["layers"][1]["config"]["activation"] = HOSTILE[what]

    file = changed(save(sequence(keras, ROW, "Dense(2, name='first')")), put)
    monkeypatch.setattr("toolkit.foreign.keras_model.build", None)  # it must not get so far

    error = refused(file)

    assert isinstance(error, UnsupportedError)
    assert "function" in str(error) or "not among the layers" in str(error)


def test_what_training_alone_needs_is_never_looked_up(keras: Any, save: Save) -> None:
    def put(config: dict[str, Any]) -> None:
        config["compile_config"] = {"optimizer": HOSTILE["a function"]}
        layer = config["config"]["layers"][1]
        layer["config"]["kernel_initializer"] = HOSTILE["a foreign class"]

    model = sequence(keras, ROW, "Dense(2)")

    agrees(read_model(changed(save(model), put), Given(), QUIET), model)


@pytest.mark.parametrize("kind", ["external", "soft", "storage", "virtual"])
def test_weights_that_point_elsewhere_are_refused(
    keras: Any, save: Save, tmp_path: Path, kind: str
) -> None:
    file = save(sequence(keras, ROW, "Dense(2)"), "model.h5")
    with h5py.File(file, "r+") as stored:
        if kind == "external":
            stored["model_weights/out"] = h5py.ExternalLink("/etc/passwd", "/")
        elif kind == "soft":
            stored["model_weights/out"] = h5py.SoftLink("/elsewhere")
        elif kind == "storage":
            stored["model_weights"].create_dataset(
                "out", (4,), "u1", external=[("/etc/passwd", 0, 4)]
            )
        else:
            layout = h5py.VirtualLayout((4,), "u1")
            layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
            stored["model_weights"].create_virtual_dataset("out", layout)

    error = refused(file)

    assert isinstance(error, IntegrityError)
    assert "another" in str(error)


def test_bombs_are_refused_before_they_unpack(keras: Any, save: Save) -> None:
    file = save(sequence(keras, ROW, "Dense(2)"), "model.h5")
    with h5py.File(file, "r+") as stored:
        stored["model_weights"].create_dataset("more", (1 << 34,), "f4", chunks=(1 << 20,))
    assert "unpack to more than" in str(refused(file))

    archive = save(sequence(keras, ROW, "Dense(2)"))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("config.json", b" " * (20 << 20))
        parts.writestr("metadata.json", b"{}")
    assert "config.json would unpack" in str(refused(archive))


def test_mutations_give_a_model_or_two_clear_lines(keras: Any, save: Save, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    file = tmp_path / "mutant"
    for name in ("model.keras", "model.h5"):
        whole = save(sequence(keras, (5, 3), "Conv1D(2, 3); Flatten(); Dense(2)"), name)
        data = whole.read_bytes()
        for _ in range(60):
            mutant = bytearray(data)
            for place in rng.integers(0, len(data), 4):
                mutant[place] = rng.integers(256)
            file.write_bytes(mutant[: len(data) if rng.integers(4) else rng.integers(len(data))])
            with contextlib.suppress(EdgeError):
                read_model(file, Given(), QUIET)


def test_descriptions_out_of_shape_give_two_clear_lines(keras: Any, save: Save) -> None:
    file = save(sequence(keras, (5, 3), "Conv1D(2, 3); Bidirectional(LSTM(3)); Dense(2)"))
    with zipfile.ZipFile(file) as archive:
        text = archive.read("config.json")
    places = [i for i, byte in enumerate(text) if byte in b'0123456789{}[]"']
    rng = np.random.default_rng(3)
    for _ in range(60):
        mutant = bytearray(text)
        for place in rng.choice(places, 2):
            mutant[place] = rng.choice([*b'19{}[]"n'])
        with zipfile.ZipFile(file) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        parts["config.json"] = bytes(mutant)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in parts.items():
                archive.writestr(name, data)
        file.write_bytes(buffer.getvalue())
        with contextlib.suppress(EdgeError):
            read_model(file, Given(), QUIET)


@pytest.mark.parametrize("value", [2**64 - 2, 2**63 - 1, 2**40])
def test_an_offset_that_points_nowhere_is_damage_and_ends_nothing_else(
    value: int, tmp_path: Path
) -> None:
    file = tmp_path / "torn.h5"
    with quiet(), h5py.File(file, "w") as made:
        made.attrs["model_config"] = "{}"
        made.create_dataset("model_weights/dense/kernel", data=np.ones((4, 3), np.float32))
    data = file.read_bytes()
    # where a heap says how long its free list is: HDF5 can follow it without end
    place = data.index(b"HEAP") + 16
    file.write_bytes(data[:place] + value.to_bytes(8, "little") + data[place + 8 :])

    with pytest.raises(EdgeError) as caught:
        import_model(file, Given(), QUIET)

    assert caught.value.hint
