"""The page finds out by itself which engine is the fastest in this browser, and uses no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.bundling import Options, bundle
from tests.web.conftest import KEY, running
from tests.web.driving import Launch, Tab, browsers
from tests.web.faulty import kept
from tests.web.scripts import WAIT_MS
from toolkit.serving import bundle_app

# a GPU in software: slow, but it computes
SWIFTSHADER = (
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
    "--use-angle=swiftshader",
    "--ignore-gpu-blocklist",
)
FINDINGS = """async (limit) => {
  const place = `sanderling engine ${location.pathname}`;
  for (const began = performance.now(); performance.now() - began < limit; ) {
    const known = JSON.parse(localStorage.getItem(place));
    if (known && known.found.length > 0) return known;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing was found: ${localStorage.getItem(place)}`);
}"""
CHOOSE = """(chosen) => {
  const place = `sanderling engine ${location.pathname}`;
  const known = JSON.parse(localStorage.getItem(place));
  localStorage.setItem(place, JSON.stringify({ ...known, chosen }));
}"""


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with browsers() as one:
        yield one


@pytest.fixture(scope="module", params=["onnx", "tflite"])
def accelerated(
    request: pytest.FixtureRequest,
    package: Path,
    tflite: Path,
    web: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "fast"
    options = Options(lite=True, accelerate=True)
    chosen = {"onnx": package, "tflite": tflite}[request.param]
    bundle(chosen, folder, KEY, [KEY.public], options)
    return folder


def answers(tab: Tab, images: Any) -> Any:
    words = {"image": {"shape": list(images.shape), "data": images.reshape(-1).tolist()}}
    found = tab.evaluate("words => window.sanderling.predict(words)", words)
    return np.asarray(found["outputs"]["probabilities"]["data"]).reshape(len(images), 10)


def test_every_alternative_is_timed_once_and_answers_the_same_when_it_is_chosen(
    launch: Launch, accelerated: Path, digits: Any, tmp_path: Path
) -> None:
    browser = launch("chromium", tmp_path / "profile", SWIFTSHADER)
    tab = browser.tab()
    with running(bundle_app(accelerated)) as address:
        tab.open(f"{address}/")
        if not tab.evaluate("navigator.gpu?.requestAdapter().then((one) => one !== null)"):
            pytest.skip("this Chromium has no WebGPU in software")
        tab.evaluate("window.sanderling.first")
        known = tab.evaluate(FINDINGS, WAIT_MS)
        choices = [one["choice"] for one in known["found"]]
        seen, used = [], []
        for choice in choices:
            tab.evaluate(CHOOSE, choice)
            tab.open(f"{address}/")
            tab.evaluate("window.sanderling.first")
            seen.append(answers(tab, digits.test[:20]))
            used.append(tab.evaluate(FINDINGS, WAIT_MS)["chosen"])
    browser.close()

    assert {"accelerator": "wasm", "threads": 2} in choices
    assert {"accelerator": "webgpu", "threads": 1} in choices
    assert [one["why"] for one in known["found"]] == [""] * len(choices)
    assert all(one["ratio"] > 0 for one in known["found"])
    assert used == choices  # none of them failed and gave way to the usual one
    for found in seen:
        assert np.abs(found - digits.answers(digits.test[:20])).max() <= 1e-5


def test_a_bundle_without_other_engines_is_not_timed(
    launch: Launch, tflite: Path, web: Path, tmp_path: Path
) -> None:
    bundle(tflite, tmp_path / "plain", KEY, [KEY.public], Options(lite=True))
    browser = launch("chromium", tmp_path / "profile")
    tab = browser.tab()
    with running(bundle_app(tmp_path / "plain")) as address:
        tab.open(f"{address}/")
        tab.evaluate("window.sanderling.first")
        kept(tab)

        assert tab.evaluate("localStorage.length") == 0
    browser.close()
