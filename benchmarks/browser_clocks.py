"""What a browser costs, from /proc: processor time of its workers, memory of its tab."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROC = Path("/proc")
TICKS = 100  # a second, of the times in /proc/*/stat: on Linux wherever Python runs
WORKER = "DedicatedWorker"  # how Chromium names the thread of a module worker


class Processes:
    """The Chromium of one profile."""

    def __init__(self, profile: Path) -> None:
        self.profile = str(profile)

    def all(self) -> list[int]:
        children: dict[int, list[int]] = {}
        first: list[int] = []
        for folder in PROC.iterdir():
            if not folder.name.isdigit():
                continue
            with suppress(OSError):
                pid, words = int(folder.name), (folder / "cmdline").read_bytes().decode()
                children.setdefault(int(stat(folder)[1]), []).append(pid)
                if f"--user-data-dir={self.profile}" in words and "--type=" not in words:
                    first.append(pid)
        found, waiting = [], first
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += children.get(pid, [])
        return found

    def cpu_s(self) -> float:
        """Of all its processes, since they started."""
        total = 0.0
        for pid in self.all():
            with suppress(OSError):
                user, system = stat(PROC / str(pid))[11:13]
                total += (int(user) + int(system)) / TICKS
        return total

    def workers_ms(self) -> dict[Path, float]:
        """Processor time of every worker's thread."""
        found = {}
        for pid in self.all():
            for thread in threads(pid):
                with suppress(OSError):
                    if (thread / "comm").read_text().startswith(WORKER):
                        found[thread] = int((thread / "schedstat").read_text().split()[0]) / 1e6
        return found

    def pss_mb(self, tab: bool) -> float:
        """Proportional set size: of the process with the page's worker, or of all."""
        chosen = {int(thread.parts[2]) for thread in self.workers_ms()} if tab else self.all()
        return sum(pss(pid) for pid in chosen) / 1024


def stat(folder: Path) -> list[str]:
    """The fields after the name, which may have spaces."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def threads(pid: int) -> list[Path]:
    with suppress(OSError):
        return list((PROC / str(pid) / "task").iterdir())
    return []


def pss(pid: int) -> int:
    """In KiB; 0 of a process that has ended."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


class SlowLink:
    """A TCP relay with the rate and the round trip of a phone's link, shared by all connections."""

    def __init__(self, port: int, bytes_per_s: float = 1.25e6, trip_s: float = 0.04) -> None:
        self.port, self.bytes_per_s, self.trip_s = port, bytes_per_s, trip_s
        self._free = 0.0  # when the link has sent all that it was given
        self._lock = threading.Lock()

    @contextmanager
    def open(self) -> Iterator[int]:
        """The port where it listens."""
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            yield int(listener.getsockname()[1])
            listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        time.sleep(self.trip_s)  # the handshake
        far = socket.create_connection(("127.0.0.1", self.port))
        for ends in ((near, far, self.trip_s), (far, near, 0.0)):
            threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, wait_s: float) -> None:
        with suppress(OSError):
            while data := source.recv(16 << 10):
                time.sleep(wait_s or self._turn(len(data)))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def _turn(self, size: int) -> float:
        """Seconds until this many bytes have passed."""
        with self._lock:
            now = time.monotonic()
            self._free = max(now, self._free) + size / self.bytes_per_s
            return self._free - now
