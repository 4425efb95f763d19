"""Open a bundle in a real browser and ask it for answers."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import TensorSpec
from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.events import Job
from toolkit.doctor import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

START_S = 120  # Python in WebAssembly takes its time on a busy machine
FLAGS = (
    "--no-sandbox",  # the page is our own, and in a container there is no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # a browser that looks for updates is a request to another host
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def page_at(url: str) -> Iterator["Page"]:
    """A page in headless Chromium, which ends with the block.

    Raises:
        DeviceError: there is no Chromium, or the page failed in the block; says how.
    """
    from playwright.sync_api import Error, sync_playwright

    program = chromium()
    if not program:
        raise DeviceError(
            "There is no Chromium on this machine.", "`sanderling doctor` names the command."
        )
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            profile, executable_path=str(program), headless=True, args=list(FLAGS)
        )
        try:
            page = browser.pages[0]
            page.set_default_timeout(START_S * 1000)
            page.goto(url)
            yield page
        except Error as error:
            reason = error.message.splitlines()[0]
            raise DeviceError(
                f"The page at {url} failed: {reason}", "Open it in a browser to see its message."
            ) from error
        finally:
            browser.close()


def ask(url: str, spec: TensorSpec, items: NDArray[np.float32], job: Job) -> list[str]:
    """The label of every item, as the page at `url` answers in headless Chromium.

    Raises:
        DeviceError: there is no Chromium, or the page failed; says how.
    """
    job.step("open the page in Chromium", 0, 2)
    with page_at(url) as page:
        page.evaluate("window.sanderling.ready")
        job.step("ask the page for predictions", 1, 2)
        tensor = {"shape": list(items.shape), "data": items.reshape(-1).tolist()}
        found: Any = page.evaluate(
            "async inputs => (await window.sanderling.predict(inputs)).answers",
            {spec.name: tensor},
        )
    job.step("ask the page for predictions", 2, 2)
    return [str(answer["label"]) for answer in found]
