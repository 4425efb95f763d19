"""Hosts that change and fail while browsers use them, and bundles that differ a little."""

import asyncio
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge_targets.bundling import WEB, Options, bundle, read_index
from edge_targets.bundling.index import write_index
from edge_targets.package import SigningKey, pack, unpack, verify
from edge_targets.runtime.contract import FileFact, Golden, Tensor, plain
from tests.web import firefox
from tests.web.conftest import KEY
from tests.web.driving import Tab
from tests.web.scripts import WAIT_MS
from toolkit import doctor
from toolkit.serving import bundle_app

# what the service worker has written down; null before it has
KEPT = """async () => {
  const scope = new URL(".", location.href);
  const name = `sanderling ${scope.pathname} state`;
  if (!(await caches.has(name))) return null;
  const found = await (await caches.open(name)).match(new URL("state", scope));
  return found ? found.json() : null;
}"""
UNTIL_KEPT = """async ([active, limit]) => {
  const kept = HOW;
  for (const began = performance.now(); performance.now() - began < limit; ) {
    const found = await kept();
    if (found && (active === "" ? found.active !== "" : found.active === active)) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not kept: ${JSON.stringify(await kept())}`);
}""".replace("HOW", KEPT)
VERSION = """async () => {
  await window.sanderling.first;
  return document.querySelector("#version").textContent;
}"""


def kept(tab: Tab, active: str = "") -> Any:
    """What the browser has written down, once it keeps a bundle whole: any, or that one."""
    return tab.evaluate(UNTIL_KEPT, [active, WAIT_MS])


def told(tab: Tab, *states: str) -> str:
    """The title of the page's chip, once it says one of these."""
    script = """async ([states, limit]) => {
      const chip = document.querySelector("#stage-offline");
      for (const began = performance.now(); performance.now() - began < limit; ) {
        const said = chip.hidden ? "" : chip.textContent;
        if (states.some((state) => said.startsWith(state))) return chip.title;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(`the page says ${chip.textContent}: ${chip.title}`);
    }"""
    return str(tab.evaluate(script, [states, WAIT_MS]))


Fault = Callable[["Answer"], Any]


@dataclass
class Answer:
    """One answer that is being spoilt."""

    send: Callable[[dict[str, Any]], Any]
    receive: Callable[[], Any]
    real: Callable[[Callable[[dict[str, Any]], Any]], Any]


async def broken(answer: Answer) -> None:
    """The host says 500."""
    await answer.send({"type": "http.response.start", "status": 500, "headers": []})
    await answer.send({"type": "http.response.body", "body": b"out of order"})


async def half(answer: Answer) -> None:
    """All of the headers, the first half of the bytes, and then the line is cut."""

    async def cut(message: dict[str, Any]) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.body":
            message = {**message, "body": body[: len(body) // 2], "more_body": True}
        await answer.send(message)
        if message["type"] == "http.response.body":
            raise ConnectionAbortedError("as the test wants it")

    try:
        await answer.real(cut)
    except ConnectionAbortedError:
        # ends the answer: fewer bytes than its headers promised
        await answer.send({"type": "http.response.body", "body": b""})


async def stalled(answer: Answer) -> None:
    """The first half, and then nothing more, as long as the browser listens."""

    async def stop(message: dict[str, Any]) -> None:
        body = message.get("body", b"")
        if message["type"] == "http.response.body":
            message = {**message, "body": body[: len(body) // 2], "more_body": True}
        await answer.send(message)
        while message["type"] == "http.response.body":
            if (await answer.receive())["type"] == "http.disconnect":
                raise ConnectionAbortedError("the browser is gone")

    with suppress(ConnectionAbortedError):
        await answer.real(stop)


@dataclass
class Gate:
    """A fault that lasts until it is opened: the answer comes whole, but later."""

    asked: threading.Event = field(default_factory=threading.Event)
    open: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, answer: Answer) -> None:
        self.asked.set()
        await asyncio.to_thread(self.open.wait)
        await answer.real(answer.send)


class Host:
    """Our server's application over a bundle that can be another one at the next request."""

    def __init__(self, folder: Path) -> None:
        self.offer(folder)
        self.asked: list[str] = []
        self.faults: dict[str, Fault] = {}

    def offer(self, folder: Path) -> None:
        self.app = bundle_app(folder)

    def fail_once(self, path: str, fault: Fault) -> None:
        async def first(answer: Answer) -> None:
            del self.faults[path]
            await fault(answer)

        self.faults[path] = first

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "").lstrip("/")
        if scope["type"] == "http":
            self.asked.append(path)
        fault = self.faults.get(path)
        if not fault:
            await self.app(scope, receive, send)
            return
        # an answer without a body cannot be spoilt: the whole file, and as it is on the disk
        plainly = (b"if-none-match", b"if-modified-since", b"accept-encoding")
        heads = [pair for pair in scope["headers"] if pair[0] not in plainly]
        real = partial(self.app, {**scope, "headers": heads}, receive)
        await fault(Answer(send, receive, real))


def in_another_time(folder: Path, ahead: timedelta) -> Path:
    """Browsers by their usual names, which believe that it is so much later."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library, source = folder / "calendar.so", Path(__file__).with_name("calendar.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    settings = f"LD_PRELOAD={library} CALENDAR_AHEAD_S={int(ahead.total_seconds())}"
    programs = folder / "programs"
    programs.mkdir()
    for name in (*doctor.BROWSERS, *firefox.PROGRAMS):
        if real := shutil.which(name):
            (programs / name).write_text(f'#!/bin/sh\n{settings} exec {real} "$@"\n')
            (programs / name).chmod(0o755)
    return programs


def repacked(package: Path, out: Path, version: str, off: float = 0.0) -> Path:
    """The same package under another version; its golden outputs changed by `off`."""
    work = out.with_suffix(".work")
    manifest = verify(package, [KEY.public])
    unpack(package, work, [KEY.public])
    members = {
        path.relative_to(work).as_posix(): path.read_bytes()
        for path in work.rglob("*")
        if path.is_file() and path.name not in ("manifest.json", "manifest.sig")
    }
    shutil.rmtree(work)
    golden = Golden.parse(members["golden.json"].decode())
    outputs = {
        name: Tensor(one.shape, [value + off for value in one.data])
        for name, one in golden.outputs.items()
    }
    members["golden.json"] = Golden(golden.inputs, outputs).dump().encode()
    named = replace(manifest, version=version, files={})
    pack(named, members, KEY, out)
    return out


def lite(package: Path, folder: Path, key: SigningKey = KEY) -> Path:
    """A bundle without Python, which starts in a moment."""
    if not (WEB / "parts.json").is_file():
        pytest.skip("the browser files are not built: make web")
    bundle(package, folder, key, [KEY.public], Options(lite=True))
    return folder


def resigned(folder: Path, key: SigningKey) -> Path:
    """A bundle whose files were changed, with an index that fits them again."""
    index = read_index(folder)
    assert index is not None
    facts = {}
    for name in index["files"]:
        data = (folder / name).read_bytes()
        facts[name] = FileFact(hashlib.sha256(data).hexdigest(), len(data))
    content = {k: v for k, v in index.items() if k != "schema"}
    write_index(folder, {**content, "files": plain(facts), "key": key.public}, key)
    return folder


def digest_of(folder: Path) -> str:
    """As browsers name a bundle."""
    return hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
