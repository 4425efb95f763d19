"""What each route answers; a handler gets the service, words of the address, and the body."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qs

from edge_targets.agent.agent import Agent, BusyError
from edge_targets.agent.http1 import HTML, Answer, Problem, json_answer
from edge_targets.agent.incoming import Upload, write
from edge_targets.agent.metadata import index, metadata
from edge_targets.agent.page import POLICY, render
from edge_targets.agent.protocol import read_json
from edge_targets.agent.service import Service
from edge_targets.runtime.durable import storing

MOST_THREADS = 64  # more cores than a device has
MOST_LINES, LINES = 10_000, 200  # of the log
VERSION = "0.5.0"
EXTENSIONS = ("binary_tensor_data", "model_repository")

# ---- Open Inference Protocol


def server(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    return json_answer({"name": "sanderling", "version": VERSION, "extensions": EXTENSIONS})


def live(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    return json_answer({"live": True})


def ready(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    is_ready = bool(service.agent.models())
    return json_answer({"ready": is_ready}, 200 if is_ready else 503)


def repository(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    if body:
        read_json(bytes(body))  # {"ready": true} asks for those that are ready: all are
    return json_answer(index(service.agent.models()))


def model_metadata(service: Service, words: tuple[str, str], body: bytes) -> Answer:
    return json_answer(metadata(service.agent.manifest(words[0], words[1] or None)))


def model_ready(service: Service, words: tuple[str, str], body: bytes) -> Answer:
    service.agent.manifest(words[0], words[1] or None)
    return json_answer({"name": words[0], "ready": True})


# ---- ours


def page(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    return Answer(200, (render(service.agent.status()).encode(),), HTML, POLICY)


def status(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    return json_answer(service.agent.status())


def logs(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    [text] = parse_qs(words[0]).get("lines", [str(LINES)])[:1]
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_LINES):
        raise Problem(400, f"{text[:20]!r} is no number of lines.", f"Use 1 to {MOST_LINES}.")
    return json_answer({"lines": service.agent.logs(int(text))})


def package(service: Service, words: tuple[str, ...], body: Upload) -> Answer:
    with uploaded(service, body) as path:
        return json_answer(asdict(service.agent.install(path)))


def bench(service: Service, words: tuple[str, ...], body: Upload) -> Answer:
    threads = thread_count(words[0])
    with uploaded(service, body) as path:
        return json_answer(service.agent.bench(path, threads))


def incoming_size(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    return json_answer({"size": service.incoming.size(words[0])})


def incoming_piece(service: Service, words: tuple[str, ...], body: Upload) -> Answer:
    digest, text = words
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Problem(400, f"{text[:20]!r} is no number of bytes.")
    size = service.incoming.append(digest, int(text), body.length, body.chunks())
    return json_answer({"size": size})


def uploaded_package(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    with installing(service.agent), service.incoming.whole(words[0]) as path:
        return json_answer(asdict(service.agent.install(path)))


def flush(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    return json_answer({"pending": service.agent.uplink.flush()})


def stop(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    service.stopped.set()
    return json_answer({"stopping": True})


def pull(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    service.agent.pull()
    return json_answer({"pulling": True})


def rollback(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    return json_answer(asdict(service.agent.rollback(model_name(body))))


def remove(service: Service, words: tuple[str, ...], body: bytes) -> Answer:
    name = model_name(body)
    if not name:
        raise Problem(400, "Which model?", 'Send {"model": "NAME"}.')
    service.agent.remove(name)
    return json_answer({"removed": name})


COMMANDS = {"flush": flush, "stop": stop, "pull": pull, "rollback": rollback, "remove": remove}


def model_name(body: bytes) -> str:
    name = read_json(bytes(body) or b"{}").get("model", "")
    if not isinstance(name, str):
        raise Problem(400, "`model` is not a string.")
    return name


@contextmanager
def installing(agent: Agent) -> Iterator[None]:
    if not agent.installing.acquire(blocking=False):
        raise BusyError("Another package is being installed.", "Try again when it is done.")
    try:
        yield
    finally:
        agent.installing.release()


@contextmanager
def uploaded(service: Service, body: Upload) -> Iterator[Path]:
    """The body as a package file, gone after the block; one upload at a time."""
    with installing(service.agent):
        folder = service.incoming.folder
        with storing(folder):
            folder.mkdir(exist_ok=True)
            # without a buffer: one that could not be written would fail once more at the close
            file = tempfile.NamedTemporaryFile(dir=folder, suffix=".sndl", buffering=0)  # noqa: SIM115
        with file:
            path = Path(file.name)
            for chunk in body.chunks():
                write(file.fileno(), chunk, path)
            yield path


def thread_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_THREADS):
        raise Problem(400, f"{text[:20]!r} is no number of threads.", f"Use 1 to {MOST_THREADS}.")
    return int(text)
