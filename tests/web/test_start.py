"""How a page starts: the engine first, then Python; at the next visit from a kept heap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_targets.bundling import Options, bundle
from tests.web.conftest import KEY
from tests.web.driving import Launch, Tab, browsers
from tests.web.wheel_files import wheel

Serving = Callable[..., str]

KEPT = """async () => {
  const cache = await caches.open("sanderling snapshots");
  for (let i = 0; i < 300; i++) {
    if ((await cache.keys()).length === 1) return true;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  return false;
}"""
# a worker of its own, as the page's; the golden inputs asked before and after Python
EARLY = """async () => {
  const worker = new Worker(policy.createScriptURL("worker.js"), { type: "module" });
  const said = [];
  const waiting = new Map();
  worker.onmessage = ({ data }) => {
    if (data.kind === "stage") said.push(data.stage);
    else waiting.get(data.id)(data.kind === "done" ? data.result : { failed: data.message });
  };
  let next = 0;
  const ask = (kind, words) => new Promise(resolve => {
    waiting.set(next, resolve);
    worker.postMessage({ id: next++, kind, words });
  });
  const started = await ask("start", { base: new URL(".", document.baseURI).href, engine: null });
  const inputs = started.golden.inputs;
  const early = await ask("predict", { inputs, count: false });
  const python = await ask("python", {});
  const late = await ask("predict", { inputs, count: false });
  const timed = await ask("time", { runs: 3 });
  worker.terminate();
  const { engine, trust, difference } = started;
  return { engine, trust, difference, said, early, late, python, runs: timed.ms.length };
}"""


@pytest.fixture(scope="module")
def launch() -> Any:
    with browsers() as launch:
        yield launch


def told(tab: Tab) -> Any:
    """What another worker of the same page says."""
    return tab.evaluate(f"async () => {{ {POLICY} return ({EARLY})(); }}")


# the page's policy admits a second one of its name
POLICY = """const policy = globalThis.trustedTypes?.createPolicy(
  "sanderling", { createScriptURL: text => text }) ?? { createScriptURL: text => text };"""


@pytest.mark.parametrize("form", ["onnx", "tflite"])
@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_the_first_answers_need_no_python_and_are_the_same(
    browser: str,
    form: str,
    launch: Launch,
    serving: Serving,
    package: Path,
    tflite: Path,
    tmp_path: Path,
) -> None:
    bundle({"onnx": package, "tflite": tflite}[form], tmp_path / "out", KEY, [KEY.public])
    driven = launch(browser, tmp_path / "profile")
    tab = driven.tab()
    tab.open(serving(tmp_path / "out"))

    found = told(tab)

    assert found["said"] == ["engine", "python"]
    assert (found["early"]["by"], found["late"]["by"]) == ("page", "python")
    assert found["early"]["answers"] == found["late"]["answers"]
    assert found["early"]["outputs"] == found["late"]["outputs"]
    assert found["python"] == {"ready": True, "why": ""}
    assert found["difference"] <= 1e-6
    assert found["trust"] == {"signed": True, "note": ""}
    assert found["engine"]["name"] == {"onnx": "ONNX Runtime Web", "tflite": "LiteRT.js"}[form]
    assert found["runs"] == 3
    assert tab.complaints == []
    driven.close()


def test_a_bundle_without_python_answers_and_says_so(
    launch: Launch, serving: Serving, tflite: Path, digits: Any, tmp_path: Path
) -> None:
    bundle(tflite, tmp_path / "out", KEY, [KEY.public], Options(lite=True))
    driven = launch("chromium", tmp_path / "profile")
    tab = driven.tab()
    tab.open(serving(tmp_path / "out"))

    found = told(tab)

    assert found["python"] == {"ready": False, "why": "This bundle has no Python in it."}
    assert (found["said"], found["late"]["by"]) == (["engine"], "page")
    assert [answer["label"] for answer in found["late"]["answers"]] == list("0123456789")
    assert not [url for url in tab.requests if "/python/" in url]
    assert tab.complaints == []
    driven.close()


@pytest.fixture(scope="module")
def twin(web: Path, tflite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "twin"
    bundle(tflite, folder, KEY, [KEY.public])
    return folder


@pytest.fixture(scope="module")
def talking(web: Path, tflite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose Python answers in words, as it does for a function of the user's own."""
    folder = tmp_path_factory.mktemp("bundles")
    same = b"def same(answers, outputs):\n    return answers\n"
    tool = wheel(folder, code={"tool/__init__.py": same})
    options = Options(wheels=(tool,), after="tool:same")
    bundle(tflite, folder / "talking", KEY, [KEY.public], options)
    return folder / "talking"


# another word in the kept heap, under the hash that it then has
CHANGE = """async ([word, other]) => {
  const cache = await caches.open("sanderling snapshots");
  const [request] = await cache.keys();
  const heap = new Uint8Array(await (await cache.match(request)).arrayBuffer());
  const [old, fresh] = [word, other].map((text) => new TextEncoder().encode(text));
  for (let at = heap.indexOf(old[0]); at >= 0; at = heap.indexOf(old[0], at + 1)) {
    if (old.every((byte, i) => heap[at + i] === byte)) heap.set(fresh, at);
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", heap));
  const hex = Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("");
  await cache.put(request, new Response(heap, { headers: { "x-sha256": hex } }));
}"""


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_a_heap_is_kept_for_the_next_visit_and_used(
    browser: str, launch: Launch, serving: Serving, talking: Path, tmp_path: Path
) -> None:
    address = serving(talking)
    first = launch(browser, tmp_path / "profile")
    tab = first.tab()
    tab.open(address)
    assert tab.evaluate("window.sanderling.ready.then(() => true)")
    assert tab.evaluate(KEPT)
    expected = told(tab)["early"]["answers"]  # without Python
    tab.evaluate(CHANGE, ["confidence", "assurances"])
    first.close()

    second = launch(browser, tmp_path / "profile")
    tab = second.tab()
    tab.open(address)
    assert tab.evaluate("window.sanderling.ready.then(() => true)")
    found = told(tab)["late"]

    # only the Python of that heap says it so
    assert found["answers"] == [
        {"label": answer["label"], "extra": {"assurances": answer["confidence"]}}
        for answer in expected
    ]
    assert found["by"] == "python"
    assert tab.complaints == []
    second.close()


MEMORY = "performance.measureUserAgentSpecificMemory().then(({ bytes }) => bytes)"
# bytes of the heap as it is kept, and as Python has it: the first word that is kept
HEAP = """async () => {
  const cache = await caches.open("sanderling snapshots");
  const [request] = await cache.keys();
  const kept = await (await cache.match(request)).arrayBuffer();
  return [kept.byteLength, new Uint32Array(kept, 0, 1)[0]];
}"""


def test_a_heap_that_python_was_started_from_takes_no_memory_once_more(
    launch: Launch, serving: Serving, twin: Path, tmp_path: Path
) -> None:
    address = serving(twin)
    eager = "--enable-blink-features=ForceEagerMeasureMemory"  # else at the next collection
    taken = []
    for _ in range(2):  # as usual, and from the heap
        driven = launch("chromium", tmp_path / "profile", (eager,))
        tab = driven.tab()
        tab.open(address)
        tab.evaluate("window.sanderling.ready.then(() => true)")
        assert tab.evaluate(KEPT)
        taken.append(tab.evaluate(MEMORY))
        kept, heap = tab.evaluate(HEAP)
        driven.close()

    plain, restored = taken
    assert plain > heap  # it is counted
    assert restored - plain < heap / 2
    assert kept < heap / 2  # most of it is zeros


# in the way of its kind, and so that it can be told from another
SPOIL = """async kind => {
  const cache = await caches.open("sanderling snapshots");
  const [request] = await cache.keys();
  const kept = await cache.match(request);
  const heap = new Uint8Array(await kept.arrayBuffer());
  const headers = new Headers({ spoilt: kind });
  if (kind !== "unsigned") headers.set("x-sha256", kept.headers.get("x-sha256"));
  if (kind === "changed") heap[heap.length >> 1] ^= 1;
  const body = kind === "cut" ? heap.slice(0, 1000) : heap;
  await cache.put(request, new Response(body, { headers }));
  if (kind === "deadly") await cache.put(`${request.url}.trying`, new Response(""));
}"""
# once another heap has taken the place of the spoilt one: the hash it has, and the one it should
REPLACED = """async () => {
  const cache = await caches.open("sanderling snapshots");
  for (let i = 0; i < 300; i++) {
    const keys = await cache.keys();
    const kept = keys.length === 1 ? await cache.match(keys[0]) : null;
    if (kept && !kept.headers.has("spoilt")) {
      const heap = await kept.arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", heap));
      const found = Array.from(digest, byte => byte.toString(16).padStart(2, "0")).join("");
      return [found, kept.headers.get("x-sha256")];
    }
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  throw new Error("the spoilt heap is still there");
}"""


@pytest.mark.parametrize("kind", ["changed", "cut", "unsigned", "deadly"])
def test_a_heap_that_is_not_whole_or_took_a_tab_down_is_not_used(
    kind: str, launch: Launch, serving: Serving, twin: Path, tmp_path: Path
) -> None:
    driven = launch("chromium", tmp_path / "profile")
    tab = driven.tab()
    address = serving(twin)
    tab.open(address)
    tab.evaluate("window.sanderling.ready.then(() => true)")
    assert tab.evaluate(KEPT)
    tab.evaluate(SPOIL, kind)

    tab.open(address)
    tab.evaluate("window.sanderling.ready.then(() => true)")
    found, expected = tab.evaluate(REPLACED)  # by that of a plain start

    assert found == expected
    assert told(tab)["late"]["by"] == "python"
    assert tab.complaints == []
    driven.close()


CODE = b"""
import colorsys, csv, statistics  # of the standard library, and in no small start

def fix(answers, outputs):
    [shares] = outputs.values()
    middles = [statistics.median(row) for row in shares.rows()]
    return [{**answer, "label": "no. " + answer["label"], "median": middle}
            for answer, middle in zip(answers, middles)]

def fails(answers, outputs):
    raise ValueError("not today")
"""


@pytest.mark.parametrize("name", ["fix", "fails"])
def test_python_of_the_users_own_has_the_last_word(
    name: str, launch: Launch, serving: Serving, package: Path, digits: Any, tmp_path: Path
) -> None:
    tool = wheel(tmp_path, code={"tool/__init__.py": CODE})
    options = Options(wheels=(tool,), after=f"tool:{name}")
    bundle(package, tmp_path / "out", KEY, [KEY.public], options)
    driven = launch("chromium", tmp_path / "profile")
    tab = driven.tab()
    tab.open(serving(tmp_path / "out"))

    found = told(tab)

    early, late = found["early"], found["late"]
    plain = [answer["label"] for answer in early["answers"]]
    if name == "fix":
        assert late["note"] == ""
        assert [answer["label"] for answer in late["answers"]] == [f"no. {one}" for one in plain]
        [shares] = early["outputs"].values()
        rows = np.array(list(shares["data"].values())).reshape(-1, 10)
        medians = [answer["extra"]["median"] for answer in late["answers"]]
        np.testing.assert_allclose(medians, np.median(rows, axis=1))
    else:
        assert late["answers"] == early["answers"]
        assert late["note"] == "tool:fails failed: ValueError: not today"
    assert tab.complaints == []
    driven.close()


def test_a_wheel_that_was_touched_is_refused_and_the_engine_answers(
    launch: Launch, serving: Serving, package: Path, tmp_path: Path
) -> None:
    tool = wheel(tmp_path, code={"tool/__init__.py": CODE})
    bundle(package, tmp_path / "out", KEY, [KEY.public], Options(wheels=(tool,), after="tool:fix"))
    name = f"python/wheels/{tool.name}"
    data = bytearray((tmp_path / "out" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "out" / name).write_bytes(data)
    driven = launch("chromium", tmp_path / "profile")
    tab = driven.tab()
    tab.open(serving(tmp_path / "out"))

    found = told(tab)

    assert found["python"]["ready"] is False
    assert found["python"]["why"].startswith(f"{name} is not the file that was bundled")
    assert found["late"]["by"] == "page"
    driven.close()
