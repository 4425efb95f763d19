"""The pages that are measured, opened in Chromium, and what is asked of them."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from benchmarks.browser_clocks import Processes
from benchmarks.browser_subject import SMALL
from edge_targets.bundling import Options
from edge_targets.bundling.hosting import HEADERS
from edge_targets.runtime.events import QUIET
from toolkit import doctor
from toolkit.browser import FLAGS
from toolkit.demo import background
from toolkit.serving import files_app

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Playwright

LITERT, LITE = "Sanderling, LiteRT", "Sanderling, LiteRT, lite"
ORT = "Sanderling, ONNX Runtime"
OURS = {
    LITERT: ("tflite", Options()),
    LITE: ("tflite", Options(lite=True)),
    ORT: ("onnx", Options()),
    f"{LITERT}, int8 weights": (SMALL, Options()),
    f"{LITE}, int8 weights": (SMALL, Options(lite=True)),
}
STOCK, TFJS = "stock Pyodide + ONNX Runtime", "TensorFlow.js (wasm)"
# asked for as soon as the page begins, so that it is told when it happens and not later
WAIT = """name => new Promise((done, failed) => {
  const look = () => {
    const page = window.sanderling ?? window.peer;
    if (!page) return setTimeout(look, 2);
    (page[name] ?? page.ready).then(() => done(performance.now()), failed);
  };
  look();
})"""
TIME = """async runs => {
  if (window.peer) return window.peer.time(runs);
  window.opened ??= (await import(new URL("sanderling.js", document.baseURI).href)).load("./");
  return (await window.opened).client.ask("time", { runs });
}"""
NAME = """async ({ name, shape, runs, share }) => {
  window.opened ??= (await import(new URL("sanderling.js", document.baseURI).href)).load("./");
  const model = await window.opened;
  await model.ready;
  if (share) await model.share(true).catch(() => null);
  const inputs = { [name]: { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) } };
  let by = "";
  for (let i = 0; i < runs; i++) ({ by } = await model.predictBatch(inputs));
  if (share) await model.client.ask("flush", {}).catch(() => null); // counts what was not yet
  return by;
}"""
ANSWER = """async ({ name, shape }) => {
  await window.sanderling.ready;
  const data = Array.from(new Float32Array(await (await fetch("items.bin")).arrayBuffer()));
  return window.sanderling.predict({ [name]: { shape, data } });
}"""


@dataclass
class Figures:
    """Rows of the table: what was asked, what was found."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, asked: str, found: str, good: bool | None = None) -> None:
        self.rows.append((what, asked, found, {True: "yes", False: "NO", None: ""}[good]))
        print(f"{what}: {found}" + (f" (asked: {asked})" if asked else ""), flush=True)

    def at_most(self, what: str, limit: float, found: float, form: str) -> None:
        self.add(what, f"≤ {form.format(limit)}", form.format(found), found <= limit)

    def table(self) -> Table:
        table = Table("figure", "asked", "found", "reached")
        for row in self.rows:
            table.add_row(*row)
        return table


class Places:
    """Pages by name, each a folder that is served when it is opened."""

    def __init__(self, playwright: "Playwright", pages: dict[str, Path]) -> None:
        self.playwright, self.pages = playwright, pages

    @contextmanager
    def chromium(self, profile: Path | None = None) -> Iterator[tuple["BrowserContext", Processes]]:
        """A browser with a profile, a fresh one unless it is given."""
        with ExitStack() as stack:
            fresh = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            folder = profile or Path(fresh)
            context = self.playwright.chromium.launch_persistent_context(
                folder,
                executable_path=str(doctor.chromium()),
                args=[*FLAGS, "--gaia-url=http://127.0.0.1:1"],
            )
            stack.callback(context.close)
            context.set_default_timeout(0)
            yield context, Processes(folder)

    def opened(self, stack: ExitStack, context: "BrowserContext", name: str) -> "Page":
        """A page that has answered, with Python where it has it."""
        page = context.new_page()
        page.goto(stack.enter_context(self.served(name)))
        page.evaluate("window.sanderling ? window.sanderling.ready : window.peer.python")
        return page

    @contextmanager
    def served(self, name: str) -> Iterator[str]:
        # others' pages know nothing of our headers, which demand Trusted Types of them
        said = HEADERS if name in OURS else {}
        with background(files_app(self.pages[name], said=said), QUIET) as address:
            yield f"{address}/"
