"""What the usual hosts are told: the one policy, in words that their own programs take."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_targets.bundling.hosting import HEADERS, MEDIA_TYPES, POLICY, README, headers, snippets

COLLECTOR = "https://fleet.example:8443"


@pytest.mark.parametrize("name", snippets())
@pytest.mark.parametrize("collectors", [(), (COLLECTOR,)])
def test_each_host_is_told_the_one_policy_and_every_header(
    name: str, collectors: tuple[str, ...]
) -> None:
    text = snippets(*collectors)[name]

    said = headers(*collectors)
    assert said.keys() == HEADERS.keys()
    for header, value in said.items():
        lines = [
            line for line in text.splitlines() if re.search(rf"\b{header}\b", line, re.IGNORECASE)
        ]
        assert [value in line for line in lines] == [True], header
    assert (COLLECTOR in text) == bool(collectors)


def test_a_policy_for_a_collector_allows_that_and_nothing_else() -> None:
    allowed = headers(COLLECTOR)["content-security-policy"]

    assert allowed == POLICY.replace("connect-src 'self';", f"connect-src 'self' {COLLECTOR};")
    assert headers()["content-security-policy"] == POLICY


@pytest.mark.parametrize("name", ["nginx.conf", "apache.conf"])
def test_hosts_that_know_few_types_are_told_all(name: str) -> None:
    for suffix, kind in MEDIA_TYPES.items():
        ending = suffix if name == "apache.conf" else suffix.removeprefix(".")
        [line] = [
            line for line in snippets()[name].splitlines() if kind.partition(";")[0] in line.split()
        ]
        assert ending in line.rstrip(";").split()


def test_the_readme_says_for_each_host_what_to_do() -> None:
    told = README.format(model="digits", version="1", sanderling="0.5.0")

    for name in snippets():
        assert name in told
    assert "{" not in re.sub(r"`[^`]*`", "", told)
    assert max(len(line) for line in told.splitlines()) <= 100


def program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin"):
            return found
    pytest.skip(f"{names[0]} is not installed")


def accepted(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nginx_takes_its_snippet(tmp_path: Path) -> None:
    nginx = program("nginx")
    (tmp_path / "snippet.conf").write_text(snippets()["nginx.conf"])
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    kept = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log {tmp_path}/errors;\nevents {{}}\nhttp {{\n"
        f"{kept}access_log off;\nserver {{\nlisten 127.0.0.1:8099;\n"
        f"root {tmp_path};\ninclude {tmp_path}/snippet.conf;\n}}\n}}\n"
    )

    accepted(nginx, "-t", "-e", str(tmp_path / "errors"), "-c", str(tmp_path / "nginx.conf"))


def test_apache_takes_its_snippet(tmp_path: Path) -> None:
    apache = program("apache2", "httpd")
    modules = next(
        (path for path in map(Path, ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules"))
         if path.is_dir()), None,
    )  # fmt: skip
    if modules is None:
        pytest.skip("Apache's modules are not where they are looked for")
    names = ("mpm_event", "authz_core", "dir", "mime", "headers", "rewrite")
    loaded = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in names)
    (tmp_path / "apache.conf").write_text(
        f"ServerRoot {tmp_path}\nServerName localhost\nListen 127.0.0.1:8099\n{loaded}"
        f"ErrorLog {tmp_path}/errors\nPidFile {tmp_path}/pid\nDocumentRoot {tmp_path}\n"
        f"TypesConfig /dev/null\n<Directory {tmp_path}>\n{snippets()['apache.conf']}</Directory>\n"
    )

    accepted(apache, "-t", "-f", str(tmp_path / "apache.conf"))


def test_caddy_takes_its_snippet(tmp_path: Path) -> None:
    caddy = program("caddy")
    (tmp_path / "snippet").write_text(snippets()["Caddyfile"])
    text = f":8099 {{\n\troot * {tmp_path}\n\timport {tmp_path}/snippet\n}}\n"
    (tmp_path / "Caddyfile").write_text(text)

    accepted(caddy, "validate", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile")
