"""The engines of the browser: our page for proving, in headless Chromium."""

import base64
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from queue import Queue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.bundling import PROVING, WEB
from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import Cancelled, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.browser import page_at
from toolkit.doctor import chromium
from toolkit.inference import item_count
from toolkit.serving import files_app, run_app
from toolkit.verification.places.base import Place, Session, Values
from toolkit.verification.subject import File, Subject

if TYPE_CHECKING:
    from playwright.sync_api import Page

PIECE = 4 << 20  # bytes of inputs that are handed to the page at once
HINT = "Build another format, or leave this place out."
NUMBER = np.dtype("<f8")  # in which the page takes and gives values


def missing() -> str:
    """Why no page can be opened; empty when one can."""
    if not chromium():
        return "There is no Chromium on this machine."
    if not find_spec("playwright"):
        return "The package that opens Chromium is missing: pip install 'sanderling[browser]'."
    if not (WEB / PROVING / "index.html").is_file():
        return "The browser files are not built: make web."
    return ""


class InBrowser(Place):
    """Runs our files as a page does."""

    def available(self, subject: Subject) -> str:
        if not self.files(subject):
            return subject.refused.get(self.engine, "No such file.")
        return missing()

    def opened(self, subject: Subject, job: Job) -> AbstractContextManager[Session]:
        return proving(self.engine)


@contextmanager
def proving(format_name: str) -> Iterator[Session]:
    """The page, with the engine of a format.

    Raises:
        DeviceError: the page or its engine failed; says how.
    """
    with served() as url, page_at(f"{url}/{PROVING}/") as page:

        def run(file: File, signature: Signature, inputs: Values, job: Job) -> Values:
            tell(page, "load", [format_name, coded(file.data), signature.to_json()])
            count = item_count(inputs)
            each = sum(values.nbytes for values in inputs.values()) // count
            size = max(PIECE // max(each, 1), 1)
            parts: dict[str, list[NDArray[Any]]] = {spec.name: [] for spec in signature.outputs}
            for start in job.track(range(0, count, size), "run the model in Chromium"):
                batch = {name: packed(v[start : start + size]) for name, v in inputs.items()}
                for name, values in tell(page, "run", [batch]).items():
                    parts[name].append(unpacked(values))
            return {name: np.concatenate(values) for name, values in parts.items()}

        version = page.evaluate("name => window.sanderling.versions[name]", format_name)
        browser = page.context.browser
        name = f" in Chromium {browser.version}" if browser else " in Chromium"
        yield Session(f"{version}{name}", run)


@contextmanager
def served() -> Iterator[str]:
    """The address of the browser files on loopback."""
    job, addresses = Job(), Queue[str]()

    def work() -> None:
        try:
            run_app(files_app(WEB), job=job, ready=addresses.put)
        except Cancelled:
            pass
        finally:
            addresses.put("")  # nobody waits for a server that could not start

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield addresses.get()
    finally:
        job.cancel()
        thread.join()


def tell(page: "Page", verb: str, words: Sequence[Any]) -> Any:
    """What a function of the page gives.

    Raises:
        UnsupportedError: it threw; says what.
    """
    from playwright.sync_api import Error

    try:
        return page.evaluate("([verb, words]) => window.sanderling[verb](...words)", [verb, words])
    except Error as error:
        reason = error.message.splitlines()[0].removeprefix("Page.evaluate: ")
        raise UnsupportedError(reason.partition("Error: ")[2] or reason, HINT) from error


def packed(values: NDArray[Any]) -> dict[str, Any]:
    return {"shape": list(values.shape), "data": coded(values.astype(NUMBER).tobytes())}


def unpacked(found: Mapping[str, Any]) -> NDArray[Any]:
    data = np.frombuffer(base64.b64decode(found["data"]), NUMBER)
    return data.reshape(found["shape"]).astype(np.float64)


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()
