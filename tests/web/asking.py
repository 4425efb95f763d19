"""The demo page of each kind of input, opened in Chromium, and what it asks its worker."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_targets.bundling import Options, bundle
from edge_targets.package import unpack
from edge_targets.runtime.contract import Manifest
from edge_targets.runtime.events import QUIET
from tests.web import kinds, packages
from tests.web.scripts import WAIT_MS
from toolkit import doctor
from toolkit.browser import FLAGS
from toolkit.inference import Runner

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FAKES = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""A camera that shows a clock, and a microphone that beeps."""

LISTEN = """
const post = Worker.prototype.postMessage;
window.asked = [];
Worker.prototype.postMessage = function (message, ...others) {
  if (message.kind === "predict") window.asked.push(message.words);
  return post.call(this, message, ...others);
};
addEventListener("securitypolicyviolation", (e) => console.log(`csp: ${e.blockedURI}`));
"""
"""Keeps what the page asks its worker."""


@dataclass
class Visit:
    """A page of one kind, and what went on in it."""

    page: "Page"
    manifest: Manifest
    runner: Runner
    complaints: list[str] = field(default_factory=list)

    def choose(self, *files: Path) -> None:
        self.page.locator("#input input[type=file]").set_input_files(files)

    def asked(self, count: int = 1) -> NDArray[np.float32]:
        """The first item of the newest settled question, once there were so many."""
        found = self.page.evaluate(
            """async ([count, limit]) => {
              const settled = () => window.asked.filter((words) => words.count);
              for (let waited = 0; settled().length < count; waited += 20) {
                const told = document.querySelector(".input-problem")?.textContent;
                if (waited > limit || told) throw new Error(`not asked: ${told}`);
                await new Promise((done) => setTimeout(done, 20));
              }
              const [{ shape, data }] = Object.values(settled().at(-1).inputs);
              return { shape, data: [...data].map((v) => (Number.isNaN(v) ? null : v)) };
            }""",
            [count, WAIT_MS],
        )
        values = [np.nan if value is None else value for value in found["data"]]
        item: NDArray[np.float32] = np.array(values, np.float32).reshape(found["shape"])[0]
        return item

    def label(self) -> str:
        """What the page says, once it does."""
        told = self.page.locator("#verdict")
        told.filter(has_not_text="\N{EN DASH}").wait_for(timeout=WAIT_MS)
        return told.inner_text()

    def label_here(self, item: NDArray[np.float32]) -> str:
        shares = self.runner.first_output(item[None], QUIET)
        return self.manifest.signature.labels[int(shares.argmax())]

    def problem(self) -> str:
        told = self.page.locator(".input-problem")
        told.wait_for(timeout=WAIT_MS)
        return told.inner_text()


Visiting = Callable[..., Visit]


@contextlib.contextmanager
def visitors(web: Path, serving: Callable[..., str], folder: Path) -> Iterator[Visiting]:
    """Gives `visit(kind, fakes=True, **options)`, which opens the page of a kind anew.

    Its package is made when it is first asked for. `fakes` are a camera and a microphone.
    """
    program = doctor.chromium()
    if not program:
        pytest.skip("there is no Chromium here")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    made: dict[str, tuple[str, Manifest, Runner]] = {}
    browsers: dict[bool, Browser] = {}

    def site(kind: str) -> tuple[str, Manifest, Runner]:
        if kind not in made:
            place, key = folder / kind, packages.KEY
            place.mkdir(exist_ok=True)  # a kind whose data is missing is asked for again
            path = kinds.package(kind, place)
            bundle(path, place / "site", key, [key.public], Options(lite=True), web=web)
            manifest = unpack(path, place / "unpacked", [key.public])
            model = (place / "unpacked" / manifest.model).read_bytes()
            runner = Runner(model, manifest.format, manifest.signature)
            made[kind] = serving(place / "site"), manifest, runner
        return made[kind]

    with sync_api.sync_playwright() as playwright:

        def visit(kind: str, fakes: bool = True, **options: Any) -> Visit:
            address, manifest, runner = site(kind)
            if fakes not in browsers:
                args = [*FLAGS, *(FAKES if fakes else ())]
                browsers[fakes] = playwright.chromium.launch(
                    executable_path=str(program), args=args
                )
            for context in browsers[fakes].contexts:
                context.close()
            page = browsers[fakes].new_context(**options).new_page()
            seen = Visit(page, manifest, runner)
            page.add_init_script(LISTEN)
            page.on("console", lambda line: seen.complaints.append(line.text))
            page.on("pageerror", lambda error: seen.complaints.append(str(error)))
            page.goto(address)
            page.evaluate("window.sanderling.ready")
            return seen

        yield visit
        for browser in browsers.values():
            browser.close()
