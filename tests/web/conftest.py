"""A real digits model in a real bundle, served by the real server, opened in a real browser."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_targets.bundling import WEB, bundle
from edge_targets.package import SigningKey, pack
from edge_targets.runtime.contract import Golden, Manifest, Profile, Signature, Tensor, TensorSpec
from edge_targets.runtime.errors import Cancelled
from edge_targets.runtime.events import QUIET, Job
from edge_targets.runtime.profiler import features
from edge_targets.runtime.sketch import Sketch
from toolkit import doctor
from toolkit.browser import FLAGS
from toolkit.formats import formats
from toolkit.inference import Runner
from toolkit.serving import bundle_app, run_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KEY = SigningKey.from_seed(bytes(range(32)))

SIGNATURE = Signature(
    inputs=(TensorSpec("image", (-1, 1, 8, 8), "float32", "pixel intensity", "0-16"),),
    outputs=(TensorSpec("probabilities", (-1, 10), "float32", "share of each class"),),
    labels=tuple("0123456789"),
)


@dataclass(frozen=True)
class Digits:
    """A trained model as ONNX bytes, and the scans it has never seen."""

    model: bytes
    train: NDArray[np.float32]  # shape (N, 1, 8, 8), 0 to 16
    test: NDArray[np.float32]  # shape (360, 1, 8, 8)
    truth: NDArray[np.int64]  # shape (360,)

    def answers(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """What onnxruntime says here, shape (N, 10)."""
        import onnxruntime

        session = onnxruntime.InferenceSession(self.model, providers=["CPUExecutionProvider"])
        [shares] = session.run(None, {"image": images})
        return np.asarray(shares, np.float32)


@pytest.fixture(scope="session")
def digits() -> Digits:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    scans = load_digits()
    images = (scans.images[:, None] / 16).astype(np.float32)
    train, test, labels, truth = train_test_split(
        images, scans.target, test_size=360, stratify=scans.target, random_state=0
    )
    network = MLPClassifier((48,), max_iter=300, tol=1e-3, random_state=0)
    network.fit(train.reshape(len(train), 64), labels)
    return Digits(to_onnx(network), train * 16, test * 16, truth)


def to_onnx(network: Any) -> bytes:
    """A one-layer perceptron as ONNX, the division by 16 folded into its first weights."""
    from onnx import TensorProto, checker, helper, numpy_helper

    [first, second], [bias, last] = network.coefs_, network.intercepts_
    weights = {"w1": first / 16, "b1": bias, "w2": second, "b2": last}
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def tensor(values: NDArray[Any]) -> Tensor:
    return Tensor(values.shape, values.reshape(-1).tolist())


@pytest.fixture(scope="session")
def package(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "digits.sndl"
    return packed(digits, "onnx", digits.model, path)


@pytest.fixture(scope="session")
def tflite(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as a package for the other engine."""
    data = formats["tflite"]().build(digits.model, SIGNATURE, QUIET).data
    return packed(digits, "tflite", data, tmp_path_factory.mktemp("package") / "twin.sndl")


def packed(digits: Digits, form: str, model: bytes, path: Path) -> Path:
    """A package of a file of the digits' model, as that file answers here."""

    def answers(images: NDArray[np.float32]) -> Tensor:
        runner = Runner(model, form, SIGNATURE)
        return tensor(runner.outputs(images, QUIET)["probabilities"])

    few = digits.train[:300]
    seen = features(SIGNATURE, {"image": tensor(few)}, {"probabilities": answers(few)})
    edges = {name: np.quantile(values, np.arange(0.1, 1, 0.1)) for name, values in seen.items()}
    # scans hold whole numbers, drawings do not: edges between the whole numbers suit both
    edges["image"], edges["label"] = np.arange(0.5, 16), np.arange(0.5, 9)
    reference = {name: Sketch(np.unique(edges[name]).tolist()) for name in seen}
    for name, values in seen.items():
        reference[name].add(values)
    first = np.stack([digits.test[digits.truth == label][0] for label in range(10)])
    golden = Golden({"image": tensor(first)}, {"probabilities": answers(first)})
    file = f"model{formats[form].suffix}"
    members = {
        "card.md": b"# digits\n",
        "golden.json": golden.dump().encode(),
        file: model,
        "profile.json": Profile(300, reference).dump().encode(),
    }
    manifest = Manifest(
        name="digits",
        version="0123456789ab",
        target="browser",
        format=form,
        model=file,
        signature=SIGNATURE,
        tolerance=1e-5,
        files={},
    )
    pack(manifest, members, KEY, path)
    return path


@pytest.fixture(scope="session")
def web() -> Path:
    if not (WEB / "parts.json").is_file():
        pytest.skip("the browser files are not built: make web")
    return WEB


@pytest.fixture(scope="session")
def bundled(package: Path, web: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "digits"
    bundle(package, folder, KEY, [KEY.public])
    return folder


@contextlib.contextmanager
def running(app: Any) -> Iterator[str]:
    """An application in a thread, at the address it reports; stopped by cancelling its job."""
    addresses: Queue[str] = Queue()
    job = Job()
    ended: list[BaseException] = []

    def work() -> None:
        try:
            run_app(app, job=job, ready=addresses.put)
        except BaseException as error:  # noqa: BLE001 - looked at below
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield addresses.get(timeout=20)
    finally:
        job.cancel()
        thread.join()
        assert [type(error) for error in ended] == [Cancelled]


@pytest.fixture(scope="module")
def hosting() -> Iterator[Callable[[Any], str]]:
    """Gives `hosting(app)`, which starts the real server and tells its address."""
    with contextlib.ExitStack() as servers:
        yield lambda app: servers.enter_context(running(app))


@pytest.fixture(scope="module")
def serving(hosting: Callable[[Any], str]) -> Callable[..., str]:
    """Gives `serving(folder, routes=())`, which offers a bundle and tells its address."""
    return lambda folder, routes=(): f"{hosting(bundle_app(folder, routes))}/"


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    program = doctor.chromium()
    if not program:
        pytest.skip("there is no Chromium here")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(program), args=list(FLAGS))
        yield browser
        browser.close()
