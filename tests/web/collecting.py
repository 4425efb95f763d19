"""The real collector on an address of its own, which can be away and come back."""

import gzip
import json
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any

from edge_targets.bundling import Options, bundle
from edge_targets.package import SigningKey
from edge_targets.runtime.errors import Cancelled
from edge_targets.runtime.events import Job
from tests.web.driving import Tab
from tests.web.scripts import WAIT_MS
from toolkit.serving import LOOPBACK, run_app
from toolkit.telemetry.receiver import app
from toolkit.telemetry.store import Store
from toolkit.telemetry.tokens import file_of, token_for
from toolkit.workspace import Workspace

UNTIL_SENT = """async ([count, limit]) => {
  let sent = 0;
  let left = 0;
  for (const began = performance.now(); performance.now() - began < limit; ) {
    const flushed = await window.sanderling.flush();
    sent += flushed.sent;
    left = flushed.left;
    if (sent >= count) return sent;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${sent} sent, ${left} left`);
}"""
WAITING = """async (path) => {
  const name = `sanderling ${path}`;
  if (!(await indexedDB.databases()).some((known) => known.name === name)) return null;
  const database = await new Promise((resolve, reject) => {
    const opening = indexedDB.open(name);
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  const asking = database.transaction("records").objectStore("records").getAll();
  const rows = await new Promise((resolve) => { asking.onsuccess = () => resolve(asking.result); });
  database.close();
  return rows.map(({ text }) => JSON.parse(text));
}"""


@dataclass(frozen=True)
class Heard:
    """A message as it came in."""

    headers: Mapping[str, str]
    wire: bytes

    @property
    def text(self) -> str:
        packed = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.wire) if packed else self.wire).decode()

    @property
    def records(self) -> list[dict[str, Any]]:
        return list(json.loads(self.text)["records"])


@dataclass
class Collector:
    """What comes in is kept in `heard`, also when it is refused."""

    shelves: Workspace
    heard: list[Heard] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)  # a message waits at the gate
    gate: threading.Event = field(default_factory=threading.Event)
    mute: bool = False  # its answers are lost on the way

    def __post_init__(self) -> None:
        self.gate.set()
        with socket.create_server((LOOPBACK, 0)) as chosen:
            self.port = chosen.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.store = Store(self.shelves.telemetry)
        self._real = app(self.store, file_of(self.shelves))
        self._up = ExitStack()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._real(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.heard.append(Heard(headers, bytes(body)))
        if not self.gate.is_set():
            import anyio

            self.held.set()
            await anyio.to_thread.run_sync(self.gate.wait)
        message = {"type": "http.request", "body": bytes(body), "more_body": False}
        given = iter([message])

        async def again() -> Any:
            return next(given, None) or await receive()

        if self.mute:
            await self._real(scope, again, lost)
            raise ConnectionAbortedError("as the test wants it")
        await self._real(scope, again, send)

    @property
    def ids(self) -> list[str]:
        """Of the records that came in, as often as they did."""
        return [record["id"] for heard in self.heard for record in heard.records]

    def up(self) -> None:
        job = Job()
        ready: Queue[str] = Queue()

        def work() -> None:
            with suppress(Cancelled):
                run_app(self, LOOPBACK, self.port, job, ready.put)

        thread = threading.Thread(target=work)
        thread.start()
        self._up.callback(thread.join)
        self._up.callback(job.cancel)
        ready.get(timeout=20)

    def down(self) -> None:
        self.gate.set()
        self._up.close()


async def lost(_message: Any) -> None:
    """Where an answer goes that does not arrive."""


def options_for(collector: Collector, model: str) -> Options:
    """Of a bundle whose telemetry goes to that collector, on another origin."""
    name = f"{model}-browser"
    collector.shelves.put("packages", name, {}, {"served_as": model}, "package")
    return Options(collector=collector.url, token=token_for(collector.shelves, name))


def bundle_for(collector: Collector, package: Path, folder: Path, key: SigningKey) -> Path:
    """The digits' package as such a bundle."""
    bundle(package, folder, key, [key.public], options_for(collector, "digits"))
    return folder


def ready(tab: Tab, url: str) -> None:
    tab.open(url)
    tab.evaluate("window.sanderling.ready")


def agree(tab: Tab, yes: bool = True) -> None:
    script = """(yes) => {
      const box = document.getElementById("consent");
      if (box.checked !== yes) box.click();
    }"""
    tab.evaluate(script, yes)


def predict(tab: Tab, images: Any) -> Any:
    """`images` has shape (N, 1, 8, 8)."""
    words = {"image": {"shape": list(images.shape), "data": images.reshape(-1).tolist()}}
    return tab.evaluate("words => window.sanderling.predict(words)", words)


def flush(tab: Tab) -> Any:
    return tab.evaluate("window.sanderling.flush()")


def until_sent(tab: Tab, count: int) -> None:
    assert tab.evaluate(UNTIL_SENT, [count, WAIT_MS]) == count


def waiting(tab: Tab, path: str = "/") -> list[dict[str, Any]] | None:
    """The records in the outbox of the page; None when the browser has none."""
    found: list[dict[str, Any]] | None = tab.evaluate(WAITING, path)
    return found
