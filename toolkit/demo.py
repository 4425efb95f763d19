"""The whole line, once, on real data: what `sanderling demo` runs."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import Cancelled, DataError, EdgeError
from edge_targets.runtime.events import Job
from toolkit import api, browser, devices, serving, shelf, shipping
from toolkit.artifact import LABELS_EQUAL
from toolkit.doctor import chromium
from toolkit.report import Report
from toolkit.results import ArtifactRow, Demo, Deployed, DriftSummary, Packaged, Stage
from toolkit.telemetry import receiver
from toolkit.telemetry.store import Store
from toolkit.traffic import send
from toolkit.watch import Drift
from toolkit.workspace import SETTINGS, Settings, Workspace

T = TypeVar("T")

MARK = "demo.txt"  # in a folder that a demo may replace
DEVICE = "desk"
SERVED = "digits"
FIELD = ("rotation_deg=25", "noise=2")  # a camera that was knocked over, in worse light
ACCURACY = 0.97  # what a small network reaches on these digits
INT8_LOSS = 0.01  # what int8 may cost
START_S = 30


def run(directory: Path, job: Job) -> Demo:
    """Everything, in `directory`, which is new, empty or an earlier demo's."""
    if directory.exists() and not directory.is_dir():
        raise DataError(f"{directory} is a file.", "Name a new folder: sanderling demo FOLDER.")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / MARK).is_file():
        raise DataError(
            f"{directory} holds something that no demo made.",
            "Name a new folder: sanderling demo FOLDER.",
        )
    with storing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / MARK, b"This workspace belongs to the demo, which replaces it.\n")
    with ExitStack() as open_things:
        return Line(directory, job, open_things).run()


class Line:
    """One run of the demo; every stage is timed and leaves its figures."""

    def __init__(self, directory: Path, job: Job, open_things: ExitStack) -> None:
        self.job = job
        self.open_things = open_things
        self.shelves = Workspace.create(directory)
        self.root = self.shelves.root
        self.stages: list[Stage] = []
        self.drift: list[DriftSummary] = []

    def do(self, verb: Callable[..., T], *words: object, **options: object) -> T:
        """A verb, as a user would type it, in this workspace."""
        return verb(*words, **options, workspace=self.root, job=self.job)

    def stage(self, name: str, work: Callable[[], tuple[dict[str, Any], bool]]) -> None:
        start = time.monotonic()
        self.job.step(name, len(self.stages), len(STAGES))
        figures, passed = work()
        self.stages.append(Stage(name, round(time.monotonic() - start, 2), figures, passed))

    def run(self) -> Demo:
        start = time.monotonic()
        for name, work in STAGES.items():
            self.stage(name, lambda work=work: work(self))  # type: ignore[misc]
        self.job.step("done", len(STAGES), len(STAGES))
        return Demo(
            str(self.root),
            tuple(self.stages),
            tuple(self.artifacts),
            self.retrained.comparisons,
            tuple(self.drift),
            round(time.monotonic() - start, 1),
            next=(
                f"sanderling serve {self.root / 'page'} --workspace {self.root}",
                f"sanderling gui --workspace {self.root}",
            ),
        )

    def read_data(self) -> tuple[dict[str, Any], bool]:
        normal = self.do(api.data_add, "digits", name="digits")
        self.do(api.data_add, "digits", name="field", set=FIELD)
        self.normal, self.field = (shelf.dataset(self.shelves, n) for n in ("digits", "field"))
        return {"scans": normal.rows, **normal.split}, True

    def train(self) -> tuple[dict[str, Any], bool]:
        done = self.do(api.train, "digits", name="digits")
        figures = {"epochs": done.epochs, "parameters": done.parameters, "accuracy": done.test}
        self.float_accuracy = done.test.value
        return figures, done.test.value >= ACCURACY

    def compress(self) -> tuple[dict[str, Any], bool]:
        done = self.do(api.compress, "digits", passes="quantize_int8", name="digits-int8")
        figures = {
            "accuracy before": done.before,
            "accuracy after": done.after,
            "times smaller": round(done.size_before / done.size_after, 2),
        }
        return figures, done.after.value >= done.before.value - INT8_LOSS

    def compile(self) -> tuple[dict[str, Any], bool]:
        built = [self.do(api.build, model) for model in ("digits", "digits-int8")]
        found = {a.name: a.label_agreement for one in built for a in one.artifacts}
        return {f"{n} labels equal": share for n, share in found.items()}, all(b.ok for b in built)

    def package(self) -> tuple[dict[str, Any], bool]:
        device = self.pack("digits-int8.tflite", "simulator", "device-1")
        page = self.pack("digits.onnx", "browser", "page-1")
        sizes = {"device package bytes": device.size_bytes, "page package bytes": page.size_bytes}
        return {**sizes, "signed with": device.key_id}, True

    def pack(self, artifact: str, target: str, name: str) -> Packaged:
        return self.do(api.package, artifact, target=target, name=name, serve_as=SERVED)

    def deploy(self) -> tuple[dict[str, Any], bool]:
        url = self.open_things.enter_context(self.collector())
        self.collect_at(url)
        # afterwards devices report to where `sanderling collect` listens
        self.open_things.callback(self.collect_at, Settings().collector)
        self.do(api.device_add, DEVICE, str(self.root / "device"), target="simulator")
        self.open_things.callback(devices.stop, self.shelves, DEVICE)
        done = self.put("device-1")
        return {"url": done.url, "golden difference": done.golden_difference}, True

    def collect_at(self, url: str) -> None:
        settings = Settings(collector=url).model_dump(by_alias=True)
        replace_file(self.root / SETTINGS, tomli_w.dumps(settings).encode())
        self.shelves = Workspace(self.root)

    def put(self, package: str) -> Deployed:
        self.deployed = self.do(api.deploy, package, DEVICE)
        return self.deployed

    def open_page(self) -> tuple[dict[str, Any], bool]:
        made = self.do(api.bundle, "page-1", self.root / "page")
        figures: dict[str, Any] = {"files": made.files, "bytes": made.size_bytes}
        if not (chromium() and find_spec("playwright")):
            return {**figures, "opened": "no: `sanderling doctor` says what is missing"}, True
        app = serving.bundle_app(self.root / "page", receiver.routes(Store(self.shelves.telemetry)))
        inputs = self.normal.part("test")[0]
        with background(app, self.job) as url:
            labels = browser.ask(f"{url}/", self.normal.facts.input, inputs, self.job)
        shares = shelf.load_model(self.shelves, self.shelves.get("models", "digits"))
        expected = self.labels_of(shares, inputs)
        same = sum(a == b for a, b in zip(labels, expected, strict=True)) / len(labels)
        return {**figures, "opened": "in Chromium", "same labels as here": same}, same == 1

    def labels_of(self, model: Any, inputs: Any) -> list[str]:
        from toolkit.inference import Runner

        outputs = Runner.of_model(model, self.job).first_output(inputs, self.job)
        return [model.signature.labels[i] for i in outputs.argmax(axis=1)]

    def normal_traffic(self) -> tuple[dict[str, Any], bool]:
        return self.traffic("normal", self.normal, alarm=False)

    def field_traffic(self) -> tuple[dict[str, Any], bool]:
        return self.traffic("turned and noisy", self.field, alarm=True)

    def traffic(self, name: str, data: Any, alarm: bool) -> tuple[dict[str, Any], bool]:
        """Send the test part, let the device report, and look for drift in just that."""
        since = datetime.now(UTC)
        inputs, targets = data.part("test")
        outputs = send(self.deployed.url, SERVED, data.facts.input, inputs, self.job)
        device = self.shelves.get("devices", DEVICE)
        target, place = shipping.place_of(self.shelves, device)
        pending = target.flush(place)
        hours = (datetime.now(UTC) - since).total_seconds() / 3600
        report = self.do(api.watch, SERVED, hours=hours)
        assert isinstance(report, Drift)
        strongest = max(report.rows, key=lambda row: (row.score or 0) / (row.threshold or 1))
        self.drift.append(
            DriftSummary(
                name,
                self.deployed.package,
                strongest.feature,
                strongest.test,
                strongest.score,
                strongest.threshold,
                report.alarm,
            )
        )
        accuracy = float((outputs.argmax(axis=1) == targets).mean())
        figures = {"predictions": len(outputs), "accuracy": accuracy, "alarm": report.alarm}
        seen = all(row.score is not None for row in report.rows)
        return {**figures, "records waiting": pending}, seen and report.alarm == alarm

    def retrain(self) -> tuple[dict[str, Any], bool]:
        self.retrained = self.do(api.retrain, "digits-int8", data="field", name="digits-2")
        gains = {f"gain on {row.data}": row.difference for row in self.retrained.comparisons}
        return gains, self.retrained.ok

    def redeploy(self) -> tuple[dict[str, Any], bool]:
        self.do(api.compress, "digits-2", passes="quantize_int8", name="digits-2-int8")
        built = self.do(api.build, "digits-2-int8", format=["tflite"])
        self.pack("digits-2-int8.tflite", "simulator", "device-2")
        done = self.put("device-2")
        return {"version": done.version, "golden difference": done.golden_difference}, built.ok

    def field_again(self) -> tuple[dict[str, Any], bool]:
        return self.traffic("turned and noisy", self.field, alarm=False)

    def measure(self) -> tuple[dict[str, Any], bool]:
        """Every file, when nothing else is running any more."""
        self.open_things.close()
        self.artifacts = list(self.rows())
        worst = min(row.same_label_as_float for row in self.artifacts)
        lowest = min(row.accuracy for row in self.artifacts)
        good = worst >= LABELS_EQUAL and lowest >= self.float_accuracy - INT8_LOSS
        return {"lowest accuracy": lowest, "fewest labels equal": worst}, good

    def rows(self) -> Iterator[ArtifactRow]:
        model = shelf.load_model(self.shelves, self.shelves.get("models", "digits"))
        original = self.labels_of(model, self.normal.inputs)
        for name in ("digits.onnx", "digits.tflite", "digits-int8.onnx", "digits-int8.tflite"):
            report = self.do(api.measure, name, data="digits")
            labels = self.artifact_labels(name)
            same = sum(a == b for a, b in zip(labels, original, strict=True)) / len(original)
            yield ArtifactRow(
                name,
                figure(report, "accuracy"),
                same,
                int(figure(report, "size")),
                figure(report, "latency p50"),
                figure(report, "latency p99"),
            )

    def artifact_labels(self, name: str) -> list[str]:
        from toolkit.journeys import runner_of

        runner, _ = runner_of(self.shelves, self.shelves.get("artifacts", name), 1, self.job)
        outputs = runner.first_output(self.normal.inputs, self.job)
        return [runner.signature.labels[i] for i in outputs.argmax(axis=1)]

    @contextlib.contextmanager
    def collector(self) -> Iterator[str]:
        with background(receiver.app(Store(self.shelves.telemetry)), self.job) as url:
            yield url


STAGES: dict[str, Callable[[Line], tuple[dict[str, Any], bool]]] = {
    "read 1,797 handwritten digits": Line.read_data,
    "train a small CNN": Line.train,
    "compress it to int8": Line.compress,
    "compile to ONNX and TFLite": Line.compile,
    "sign packages": Line.package,
    "deploy to a device": Line.deploy,
    "open in a browser": Line.open_page,
    "normal traffic": Line.normal_traffic,
    "shifted traffic": Line.field_traffic,
    "retrain with what was seen": Line.retrain,
    "deploy the new model": Line.redeploy,
    "shifted traffic again": Line.field_again,
    "measure every file": Line.measure,
}


def figure(report: Report, name: str) -> float:
    value = next(row.value for row in report.rows if row.name == name)
    assert isinstance(value, int | float)
    return float(value)


@contextlib.contextmanager
def background(app: Any, job: Job) -> Iterator[str]:
    """An application that is served on a free port of this machine while the block runs."""
    inner = Job()
    address: list[str] = []
    up = threading.Event()

    def announce(url: str) -> None:
        address.append(url)
        up.set()

    def work() -> None:
        with contextlib.suppress(Cancelled):
            serving.run_app(app, port=0, job=inner, ready=announce)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if not up.wait(START_S):
        raise EdgeError("A server of the demo did not start.", "Is this machine out of memory?")
    try:
        yield address[0]
    finally:
        inner.cancel()
        thread.join()
