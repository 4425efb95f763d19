"""A real MQTT broker for a test."""

import contextlib
import os
import shutil
import socket
import subprocess
from dataclasses import dataclass

import pytest

from tests.edge_targets.tiny import wait_until


@dataclass
class Broker:
    port: int
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("mosquitto, a broker, is not installed")
        words = [program, "-p", str(self.port)]
        self.child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(self.port))

    def stop(self) -> None:
        if self.child:
            self.child.terminate()
            self.child.wait()
            self.child = None


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
