"""The usual hosts themselves, told by a bundle's snippet as its README.txt says.

Each runs in one process, as an ordinary user, on a port of this machine alone.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_targets.bundling.hosting import MEDIA_TYPES
from tests.edge_targets.tiny import free_port, wait_until
from tests.rights import NOBODY

BROTLI = Path("/usr/lib/nginx/modules/ngx_http_brotli_static_module.so")
APACHE_MODULES = (Path("/usr/lib/apache2/modules"), Path("/usr/lib64/httpd/modules"))
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Place:
    """Where a host keeps what it needs: `site` holds the bundle at `path`, such as `/a/`."""

    work: Path
    path: str
    port: int

    @property
    def site(self) -> Path:
        return self.work / "site"

    @property
    def bundle(self) -> Path:
        return self.site / self.path.strip("/")

    def write(self, name: str, text: str) -> str:
        (self.work / name).write_text(text)
        return str(self.work / name)


def program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"):
            return found
    pytest.skip(f"{names[0]} is not installed: .ci/setup system hosts")


def nginx(place: Place) -> list[str]:
    return started_nginx(place, f"{place.bundle}/headers/nginx.conf", "")


def nginx_with_brotli(place: Place) -> list[str]:
    """With the module that a line of the snippet waits for."""
    if not BROTLI.is_file():
        pytest.skip("nginx has no module for brotli: .ci/setup system hosts")
    told = (place.bundle / "headers" / "nginx.conf").read_text()
    assert "\n#brotli_static on;" in told
    more = told.replace("#brotli_static on;", "brotli_static on;")
    snippet = place.write("snippet.conf", more)
    return started_nginx(place, snippet, f"load_module {BROTLI};\n")


def started_nginx(place: Place, snippet: str, modules: str) -> list[str]:
    include = f"include {snippet};"
    # a site of its own has its own `location /`, as Debian's has
    own = "location / {\ntry_files $uri $uri/ =404;\n"
    below = f"{own}}}\nlocation {place.path} {{\n{include}\n}}"
    inside = f"{include}\n{own}}}" if place.path == "/" else below
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    kept = "".join(f"{kind}_temp_path {place.work}/{kind};\n" for kind in kinds)
    text = (
        f"daemon off;\nmaster_process off;\npid {place.work}/pid;\nerror_log {place.work}/errors;\n"
        f"{modules}events {{}}\nhttp {{\ntypes {{ text/html html; image/png png; }}\n"
        f"{kept}access_log off;\ngzip on;\nserver {{\nlisten 127.0.0.1:{place.port};\n"
        f"root {place.site};\n{inside}\n}}\n}}\n"
    )
    words = [program("nginx"), "-e", f"{place.work}/errors"]
    return [*words, "-c", place.write("nginx.conf", text)]


def apache(place: Place) -> list[str]:
    modules = next((path for path in APACHE_MODULES if path.is_dir()), None)
    if modules is None:
        pytest.skip("Apache's modules are not where they are looked for")
    shutil.copyfile(place.bundle / "headers" / "apache.conf", place.bundle / ".htaccess")
    wanted = ("headers", "mime", "rewrite")  # by README.txt; the others are there by themselves
    names = ("mpm_event", "authz_core", "dir", "filter", "deflate", "negotiation", *wanted)
    loaded = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in names)
    text = (
        f"ServerRoot {place.work}\nServerName localhost\nListen 127.0.0.1:{place.port}\n{loaded}"
        f"ErrorLog {place.work}/errors\nPidFile {place.work}/pid\nDocumentRoot {place.site}\n"
        # as Debian has them: Breton, an archive, and text that is compressed while it is sent
        "TypesConfig /dev/null\nAddType text/html .html\nAddLanguage br .br\n"
        "AddType application/x-gzip .gz .tgz\nAddOutputFilterByType DEFLATE text/html text/css\n"
        "<Directory />\nOptions FollowSymLinks\nAllowOverride None\n</Directory>\n"
        f"<Directory {place.site}>\nAllowOverride FileInfo Indexes\n</Directory>\n"
    )
    return [program("apache2", "httpd"), "-X", "-f", place.write("apache.conf", text)]


def caddy(place: Place) -> list[str]:
    told = f"import {place.bundle}/headers/Caddyfile"
    if place.path != "/":
        told = f"handle {place.path}* {{\n{told}\n}}\nhandle {{\nfile_server\n}}"
    text = (
        "{\nadmin off\nauto_https off\n}\n"
        f"http://127.0.0.1:{place.port} {{\nbind 127.0.0.1\nroot * {place.site}\n{told}\n}}\n"
    )
    words = [program("caddy"), "run", "--adapter", "caddyfile", "--config"]
    return [*words, place.write("Caddyfile", text)]


HOSTS: dict[str, Callable[[Place], list[str]]] = {
    "nginx": nginx,
    "nginx with brotli": nginx_with_brotli,
    "Apache": apache,
    "Caddy": caddy,
}
"""Writes what a host needs, and gives the words that start it."""


@contextmanager
def hosted(name: str, bundle: Path, path: str = "/") -> Iterator[str]:
    """That host with a copy of a bundle at `path`, at its address; gone after the block."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), path, free_port())
        place.work.chmod(0o755)
        shutil.copytree(bundle, place.bundle, dirs_exist_ok=True)
        (place.site / "picture.png").write_bytes(b"of the rest of the site")
        words = HOSTS[name](place)
        user = None
        if os.geteuid() == 0:  # and would else be refused, or become somebody of its own choice
            user = NOBODY
            os.chown(place.work, NOBODY, NOBODY)
        environment = {**os.environ, "HOME": folder, "XDG_DATA_HOME": folder}
        with (
            (place.work / "said").open("w+") as said,
            subprocess.Popen(
                words, stdout=said, stderr=said, env=environment, user=user, group=user,
                extra_groups=None if user is None else [],
            ) as child,
        ):  # fmt: skip
            try:
                wait_until(lambda: child.poll() is not None or answers(place.port))
                said.seek(0)
                assert child.poll() is None, said.read()
                yield f"http://127.0.0.1:{place.port}{path}"
            finally:
                ended(child)


def ended(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(20)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    assert child.returncode != KILLED, "it did not stop when it was asked to"


def answers(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def kind_of(name: str) -> str | None:
    """The media type of a file without its parameters; None where nobody says one."""
    known = MEDIA_TYPES.get(Path(name).suffix)
    return known.partition(";")[0] if known else None
