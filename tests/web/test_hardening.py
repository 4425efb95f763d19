"""Both browsers under stricter rules, and with less, than people have: the page answers, or says
what is missing, and asks nobody but its own host."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from edge_targets.bundling import Options, bundle
from tests.web.conftest import running
from tests.web.driving import BROWSERS, Elsewhere, Launch, Tab, browsers
from tests.web.faulty import Gate, Host
from tests.web.hosts import Strict, plain_host
from tests.web.packages import KEY
from toolkit.serving import bundle_app

ENGINES = ("onnx", "tflite")
FASTER = "tflite, accelerated"
READY = "window.sanderling.ready.then(() => 'ready', error => `${error.message} ${error.hint}`)"
# the page registers it when everything else is done
KEPT = "navigator.serviceWorker.ready.then(() => true)"
SIMD = """WebAssembly.validate(new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0,
  65, 0, 253, 15, 253, 98, 11
]))"""
REPORT_S = 30  # a browser sends its reports when it finds the time
NAME = "models.test"  # an address that is not this machine's own, and so must have https


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with browsers() as launch:
        yield launch


@pytest.fixture(scope="module")
def bundles(
    package: Path, tflite: Path, web: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The digits for each engine, and with the faster ones beside it."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, path in {"onnx": package, "tflite": tflite}.items():
        bundle(path, folder / name, KEY, [KEY.public], web=web)
    bundle(tflite, folder / FASTER, KEY, [KEY.public], Options(accelerate=True), web=web)
    return {name: folder / name for name in (*ENGINES, FASTER)}


def answers(tab: Tab, digits: Any) -> list[str]:
    """The labels of ten scans, as the page gives them."""
    images = digits.test[:10]
    words = {"image": {"shape": images.shape, "data": images.reshape(-1).tolist()}}
    found = tab.evaluate("words => window.sanderling.predict(words)", words)
    return [answer["label"] for answer in found["answers"]]


def expected(digits: Any) -> list[str]:
    return [str(place) for place in digits.answers(digits.test[:10]).argmax(axis=1)]


def elsewhere_in(requests: list[str], address: str) -> list[str]:
    own = urlsplit(address).netloc
    return [url for url in requests if urlsplit(url).netloc not in {own, ""}]


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", BROWSERS)
def test_nothing_complains_and_nobody_else_is_asked(
    name: str,
    engine: str,
    launch: Launch,
    bundles: dict[str, Path],
    hosting: Callable[[Any], str],
    elsewhere: Elsewhere,
    digits: Any,
    tmp_path: Path,
) -> None:
    host = Strict(bundle_app(bundles[engine]))
    address = f"{hosting(host)}/"
    browser = launch(name, tmp_path, elsewhere.flags, elsewhere.preferences)
    tab = browser.tab()

    for _ in range(2):  # from the host, and from what the service worker stored
        tab.open(address)
        assert tab.evaluate(READY) == "ready"
        assert answers(tab, digits) == expected(digits)
        assert tab.evaluate(KEPT)

    assert tab.complaints == []
    assert elsewhere_in(tab.requests, address) == []
    browser.close()
    assert host.reports == []
    assert elsewhere.asked == []


@pytest.mark.parametrize("name", BROWSERS)
def test_what_goes_elsewhere_is_noticed(
    name: str,
    launch: Launch,
    bundles: dict[str, Path],
    hosting: Callable[[Any], str],
    elsewhere: Elsewhere,
    tmp_path: Path,
) -> None:
    """So that the test above cannot pass by looking away."""
    host = Strict(bundle_app(bundles["onnx"]))
    browser = launch(name, tmp_path, elsewhere.flags, elsewhere.preferences)
    tab = browser.tab()
    tab.open(f"{hosting(host)}/")

    tab.evaluate("fetch('http://models.example/').catch(() => null)")
    assert any("models.example" in line for line in tab.complaints)
    until = time.monotonic() + REPORT_S
    while not host.reports and time.monotonic() < until:
        time.sleep(0.1)
    assert any("models.example" in report for report in host.reports)

    tab.open("http://models.example/")
    browser.close()
    assert elsewhere.asked


@pytest.mark.parametrize("engine", [*ENGINES, FASTER])
@pytest.mark.parametrize("name", BROWSERS)
def test_a_plain_host_below_a_path_is_enough(
    name: str, engine: str, launch: Launch, bundles: dict[str, Path], digits: Any, tmp_path: Path
) -> None:
    below = tmp_path / "site" / "shared" / "models"
    shutil.copytree(bundles[engine], below)
    browser = launch(name, tmp_path / "profile")
    with plain_host(tmp_path / "site") as host:
        tab = browser.tab()
        tab.open(f"{host}/shared/models/")
        assert tab.evaluate(READY) == "ready"
        # such a host isolates no page, and memory is not shared between threads then
        assert tab.evaluate("typeof SharedArrayBuffer") == "undefined"
        assert answers(tab, digits) == expected(digits)
        assert tab.complaints == []
        assert [
            url for url in tab.requests if not url.startswith(("data:", f"{host}/shared/models/"))
        ] == []
    browser.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_without_simd_the_page_says_what_is_missing(
    engine: str,
    launch: Launch,
    bundles: dict[str, Path],
    serving: Callable[..., str],
    tmp_path: Path,
) -> None:
    # its vectors need this extension of the processor; there is no flag for themselves
    browser = launch("chromium", tmp_path, ("--js-flags=--no-enable-sse4-1",))
    tab = browser.tab()
    tab.open(serving(bundles[engine]))
    if tab.evaluate(SIMD):
        pytest.skip("this Chromium cannot leave SIMD out on this processor")

    told = tab.evaluate(READY)

    assert "SIMD" in told
    assert "Build the model again" not in told  # that would not help
    shown = tab.evaluate("document.getElementById('failure').innerText")
    assert "SIMD" in shown
    browser.close()


@pytest.mark.parametrize("name", BROWSERS)
def test_without_https_it_answers_and_says_what_was_not_checked(
    name: str,
    launch: Launch,
    bundles: dict[str, Path],
    serving: Callable[..., str],
    digits: Any,
    tmp_path: Path,
) -> None:
    """Then a browser has no WebCrypto and no service worker."""
    flags = (f"--host-resolver-rules=MAP {NAME} 127.0.0.1",)
    browser = launch(name, tmp_path, flags, {"network.dns.localDomains": NAME})
    tab = browser.tab()
    tab.open(serving(bundles["onnx"]).replace("127.0.0.1", NAME))

    assert tab.evaluate(READY) == "ready"

    assert tab.evaluate("isSecureContext || 'subtle' in crypto") is False
    assert answers(tab, digits) == expected(digits)
    assert "https" in tab.evaluate("document.body.innerText")
    # Chromium says that it isolates no such page
    assert [line for line in tab.complaints if "Cross-Origin-Opener-Policy" not in line] == []
    browser.close()


@pytest.mark.parametrize("name", BROWSERS)
def test_a_browser_that_stores_nothing_answers(
    name: str,
    launch: Launch,
    bundles: dict[str, Path],
    serving: Callable[..., str],
    digits: Any,
    tmp_path: Path,
) -> None:
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(
        '{"profile": {"default_content_setting_values": {"cookies": 2}}}'
    )
    browser = launch(name, tmp_path, (), {"network.cookie.cookieBehavior": 2})
    tab = browser.tab()
    tab.open(serving(bundles["onnx"]))

    assert tab.evaluate(READY) == "ready"

    denied = "(() => { try { localStorage.a = 1; return false; } catch { return true; } })()"
    assert tab.evaluate(denied)
    assert answers(tab, digits) == expected(digits)
    assert tab.complaints == []
    browser.close()


def test_a_small_heap_is_enough(
    launch: Launch,
    bundles: dict[str, Path],
    serving: Callable[..., str],
    digits: Any,
    tmp_path: Path,
) -> None:
    browser = launch("chromium", tmp_path, ("--js-flags=--max-old-space-size=32",))  # MB
    tab = browser.tab()
    tab.open(serving(bundles["tflite"]))

    assert tab.evaluate(READY) == "ready"

    assert answers(tab, digits) == expected(digits)
    assert tab.complaints == []
    browser.close()


def test_the_first_answer_is_there_while_python_is_still_on_its_way(
    launch: Launch, bundles: dict[str, Path], digits: Any, tmp_path: Path
) -> None:
    host, gate = Host(bundles["tflite"]), Gate()
    host.faults["python/pyodide.asm.wasm"] = gate
    browser = launch("chromium", tmp_path)
    tab = browser.tab()
    with running(host) as address:
        tab.open(f"{address}/")

        assert tab.evaluate("window.sanderling.first.then(() => 'answered')") == "answered"
        gate.open.set()
        assert tab.evaluate(READY) == "ready"
        assert answers(tab, digits) == expected(digits)
        assert tab.complaints == []
    browser.close()
