"""One package, built once, gives the same labels on the desktop, a device and in both browsers.

On every test item of every data set there is, for ONNX and TFLite, in float and in int8.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_targets.bundling import bundle
from edge_targets.catalog.simulator import Simulator
from edge_targets.places.target import Place
from edge_targets.runtime.events import QUIET
from edge_targets.runtime.exchange import get_json
from tests.web.driving import BROWSERS, Driven, browsers
from tests.web.packages import FILES, KEY, SUBJECTS, Packed, packed
from toolkit.traffic import send

REACH = 1e-6  # how far a probability of a float model may be off
ASK = """async ({ name, shape }) => {
  // fetched: as JSON the numbers would take longer than the model
  const data = new Float32Array(await (await fetch("items.bin")).arrayBuffer());
  const { load } = await import("./sanderling.js");
  const model = await load("./");
  const inputs = { [name]: { shape, data } };
  const first = await model.predictBatch(inputs, false); // Python is on its way
  await model.ready;
  const { answers, outputs, by, note } = await model.predictBatch(inputs, false);
  const [{ data: shares, shape: sizes }] = Object.values(outputs);
  model.close();
  const labels = [first.answers, answers].map((all) => all.map(({ label }) => label));
  return { labels, by: [first.by, by], note, shares: Array.from(shares), sizes };
}"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Packed]:
    """Gives `built(subject, file)`: a package, the same one for everyone who asks."""
    folder, known = tmp_path_factory.mktemp("packages"), dict[tuple[str, str], Packed]()

    def one(subject: str, file: str) -> Packed:
        if (subject, file) not in known:
            known[subject, file] = packed(subject, file, folder)
        return known[subject, file]

    return one


@pytest.fixture(scope="session")
def bundled_once(
    built: Callable[[str, str], Packed], web: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Path]:
    """Gives `bundled_once(subject, file)`: the folder of a bundle of that package."""
    root = tmp_path_factory.mktemp("bundles")

    def one(subject: str, file: str) -> Path:
        folder = root / f"{subject}-{file.replace(' ', '-')}"
        if not folder.exists():
            bundle(built(subject, file).path, folder, KEY, [KEY.public], web=web)
        return folder

    return one


@pytest.fixture(scope="module", params=BROWSERS)
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driven]:
    with browsers() as launch:
        yield launch(request.param, tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    here = Place("desk", str(tmp_path_factory.mktemp("device")), trusted=(KEY.public,))
    yield here
    Simulator().stop(here)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_browser_gives_the_labels_of_the_desktop(
    subject: str,
    file: str,
    browser: Driven,
    built: Callable[[str, str], Packed],
    bundled_once: Callable[[str, str], Path],
    serving: Callable[..., str],
    record_property: Callable[[str, object], None],
) -> None:
    made = built(subject, file)
    address = serving(bundled_once(subject, file), routes(made.inputs))

    tab = browser.tab()
    tab.open(f"{address}own.html")
    [spec] = made.data.signature().inputs
    found = tab.evaluate(ASK, {"name": spec.name, "shape": made.inputs.shape})
    tab.close()

    difference = float(np.abs(np.reshape(found["shares"], found["sizes"]) - made.outputs).max())
    record_property("difference to the desktop", f"{browser.version}: {difference:.2g}")
    first, second = found["labels"]
    assert second == made.labels
    assert first == made.labels
    assert (found["by"][1], found["note"]) == ("python", "")
    assert not made.float32 or difference <= REACH


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_device_gives_the_labels_of_the_desktop(
    subject: str, file: str, place: Place, built: Callable[[str, str], Packed]
) -> None:
    made = built(subject, file)
    [spec] = made.data.signature().inputs

    url = Simulator().deploy(made.path, place, QUIET).url
    name = subject.replace("_", "-")
    found = send(url, name, spec, made.inputs, QUIET, batch=64)

    labels = get_json(f"{url}/v2/models/{name}")["parameters"]["labels"]
    assert [labels[i] for i in found.argmax(axis=1)] == made.labels
    assert not made.float32 or np.abs(found - made.outputs).max() <= REACH


def test_a_data_set_with_missing_values_is_among_them(built: Callable[[str, str], Packed]) -> None:
    made = built("flowers", "float onnx")

    assert np.isnan(made.inputs).any()
    assert np.isfinite(made.outputs).all()


def routes(items: NDArray[np.float32]) -> list[Any]:
    """A page of one's own beside the bundle, and the items that it asks."""
    from starlette.responses import HTMLResponse, Response
    from starlette.routing import Route

    return [
        Route("/own.html", lambda _: HTMLResponse("<!doctype html><title>Labels</title>")),
        Route("/items.bin", lambda _: Response(items.tobytes())),
    ]
