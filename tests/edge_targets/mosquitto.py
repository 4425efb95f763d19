"""A real MQTT broker on a free port of this machine, plain or with TLS."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from getpass import getuser
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.edge_targets.tiny import free_port, wait_until


@dataclass
class Broker:
    """`url` is for clients, `authority` the certificate that they check it with."""

    folder: Path
    port: int
    authority: str | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt{'s' if self.authority else ''}://localhost:{self.port}"

    def start(self) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed")
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "persistence false"]
        lines += [f"user {getuser()}"]  # else it becomes one who may not read our files
        if self.authority:
            lines += [f"certfile {self.authority}", f"keyfile {self.folder / 'key.pem'}"]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        words = [program, "-c", str(self.folder / "mosquitto.conf")]
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        wait_until(self.answers)

    def answers(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None


@contextmanager
def running(folder: Path, tls: bool = False) -> Iterator[Broker]:
    broker = Broker(folder, free_port(), certificate(folder) if tls else None)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def certificate(folder: Path, **times: datetime) -> str:
    """One for localhost that signs itself; its key lies beside it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(times.get("start", now - timedelta(days=1)))
        .not_valid_after(times.get("end", now + timedelta(days=1)))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path = folder / "certificate.pem"
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return str(path)
