"""Serve over HTTP until the job is cancelled: a browser bundle, or any other application."""

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edge_targets.bundling.beside import ENCODINGS
from edge_targets.bundling.hosting import HEADERS, MEDIA_TYPES, headers, origin_of
from edge_targets.bundling.index import INDEX, read_index
from edge_targets.runtime.errors import DataError, DeviceError, UsageError
from edge_targets.runtime.events import QUIET, Job

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute, Mount

LOOPBACK = "127.0.0.1"
MAX_PORT = 65535
POLL_S = 0.1  # how late a cancelled job may notice; a person calls less than that at once
DRAIN_S = 3  # requests still running get so long when the server stops


def run_app(
    app: Any,
    host: str = LOOPBACK,
    port: int = 0,
    job: Job = QUIET,
    ready: Callable[[str], object] = lambda _url: None,
) -> None:
    """Run an ASGI application until the job is cancelled.

    Args:
        app: the application.
        host: the address to listen on; loopback unless told.
        port: 0 takes a free one.
        job: where cancelling comes from.
        ready: called once with the real address, such as `http://127.0.0.1:8080`.

    Raises:
        Cancelled: always, in the end: whoever serves stops only when told to.
        DeviceError: the address is taken or is not this machine's.
    """
    import uvicorn

    with contextlib.closing(_listen(host, port)) as listener:
        config = uvicorn.Config(
            app,
            log_config=None,  # logging belongs to the program, not to a library
            access_log=False,
            ws="none",
            timeout_graceful_shutdown=DRAIN_S,
        )
        server = uvicorn.Server(config)
        # in a thread, so that uvicorn leaves Ctrl-C to the program
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(POLL_S)
            if server.started:
                ready(_address(listener))
            while thread.is_alive() and not job.cancelled:
                thread.join(POLL_S)
        finally:
            server.should_exit = True
            thread.join()
    job.step("stopped")
    raise DeviceError(f"The server at {host}:{port} ended by itself.", "See the log for why.")


def _listen(host: str, port: int) -> socket.socket:
    if not host:  # the system would take it for every network
        raise DeviceError("There is no address to listen on.", "Say --host 0.0.0.0 for all.")
    if not 0 <= port <= MAX_PORT:
        raise DeviceError(f"{port} is no port.", f"Use 1 to {MAX_PORT}, or 0 for any free one.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, TypeError, ValueError) as error:  # the latter two: a host that is no name
        listener.close()
        raise DeviceError(
            f"Cannot listen on {host}:{port}: {error}.",
            "Stop the program that uses this port, or choose another with --port or --host.",
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Headers:
    """ASGI middleware: sets our headers on every answer, errors included."""

    def __init__(self, app: Any, said: Mapping[str, str] = HEADERS) -> None:
        self.app = app
        self.said = said

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.encode(), value.encode()) for name, value in self.said.items()]
                kept = [pair for pair in message["headers"] if pair[0].decode() not in self.said]
                message = {**message, "headers": [*kept, *ours]}
            await send(message)

        await self.app(scope, receive, send_with_headers)


def bundle_app(folder: Path, extra_routes: Sequence["BaseRoute"] = ()) -> "Starlette":
    """Starlette's application: the files of a bundle, and `extra_routes` before them.

    A folder with bundles in it is served too, with the routes in each of them.

    Raises:
        DataError: there is no bundle in the folder.
    """
    from starlette.routing import Mount

    below = [path for path in bundles_in(folder) if path]
    mounted = [Mount(f"/{path}", routes=[*extra_routes, _files(folder / path)]) for path in below]
    origins = {origin for path in below or [""] for origin in _collectors(folder / path)}
    return files_app(folder, mounted or extra_routes, headers(*sorted(origins)))


def bundles_in(folder: Path) -> list[str]:
    """The sub-paths of the bundles in a folder; one that is empty is the folder itself.

    Raises:
        DataError: there is none, or the folder cannot be read.
    """
    try:
        if (folder / INDEX).is_file() and any(folder.iterdir()):
            return [""]
        found = [path.parent for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{INDEX}")]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error.strerror or error}.", "Check who may read it."
        ) from error
    if not found:
        raise DataError(
            f"{folder} is not a browser bundle.",
            f"Make one with `sanderling bundle PACKAGE {folder}`.",
        )
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _collectors(folder: Path) -> list[str]:
    """The origin that the pages of a bundle send to, if it is another than its own."""
    with contextlib.suppress(OSError, UsageError, KeyError, TypeError):
        url = (read_index(folder) or {})["telemetry"]["url"]
        if "://" in url:
            return [origin_of(url)]
    return []


def files_app(
    folder: Path, extra_routes: Sequence["BaseRoute"] = (), said: Mapping[str, str] = HEADERS
) -> "Starlette":
    """Starlette's application: the files of a folder, each of its right type."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    routes = [*extra_routes, _files(folder)]
    return Starlette(routes=routes, middleware=[Middleware(Headers, said=said)])


def _files(folder: Path) -> "Mount":
    from starlette.datastructures import Headers as Asked
    from starlette.responses import FileResponse, Response
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    class TypedFiles(StaticFiles):
        def file_response(
            self, full_path: Any, stat_result: os.stat_result, scope: Any, status_code: int = 200
        ) -> Response:
            asked, kind = Asked(scope=scope), Path(full_path).suffix.lower()
            encoding, path, facts = _smaller(Path(full_path), stat_result, asked)
            response = super().file_response(path, facts, scope, status_code)
            response.headers["vary"] = "accept-encoding"
            if isinstance(response, FileResponse):
                media_type = MEDIA_TYPES.get(kind, "application/octet-stream")
                response.headers["content-type"] = media_type
                if encoding:
                    response.headers["content-encoding"] = encoding
            return response

    return Mount("/", TypedFiles(directory=folder, html=True))


def _smaller(
    path: Path, facts: os.stat_result, asked: Mapping[str, str]
) -> tuple[str, Path, os.stat_result]:
    """The file as it is sent: a compressed copy beside it where the browser takes that.

    A part of a file is a part of what it really holds. A copy that is older than its file was not
    made of it.
    """
    accepted = _accepted(asked.get("accept-encoding", ""))
    for suffix, encoding in ENCODINGS.items():
        if encoding not in accepted or "range" in asked:
            continue
        beside = path.with_name(path.name + suffix)
        with contextlib.suppress(OSError):
            found = beside.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_mtime >= facts.st_mtime:
                return encoding, beside, found
    return "", path, facts


def _accepted(told: str) -> set[str]:
    """Encodings that a browser takes, of its `accept-encoding` (RFC 9110, 12.5.3)."""
    found = set()
    for one in told.lower().split(","):
        name, _, weight = one.partition(";")
        if weight.replace(" ", "").rstrip("0.") != "q=":
            found.add(name.strip())
    return found


def serve(
    folder: Path,
    host: str = LOOPBACK,
    port: int = 8080,
    extra_routes: Sequence["BaseRoute"] = (),
    job: Job = QUIET,
) -> None:
    """Serve a bundle, or those in a folder, until cancelled; the job is told of each address.

    Raises:
        Cancelled: always, in the end.
        DataError: there is no bundle in the folder.
        DeviceError: the address cannot be listened on.
    """
    app, paths = bundle_app(folder, extra_routes), bundles_in(folder)

    def tell(url: str) -> None:
        for path in paths:
            job.step(f"serving {folder / path} at {url}/{f'{quote(path)}/' if path else ''}")

    run_app(app, host, port, job, tell)
