"""What a device is told at its first start reaches it letter by letter, or is refused."""

import base64
import json
import shutil
import string
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_targets.flashing import enrol
from edge_targets.flashing.cloud_init import cloud_init
from edge_targets.flashing.first_boot import FirstBoot, Wifi, hash_password
from edge_targets.flashing.firstrun import RUN, firstrun, script
from edge_targets.runtime.errors import DataError

yaml = pytest.importorskip("yaml", reason="a parser of YAML is not installed")

BLOB = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()
KEY = f"ssh-ed25519 {BLOB} me@laptop"
FIRST = FirstBoot("kitchen-1", "ada", ssh_keys=(KEY,))
HASH = "$6$salt$" + "a" * 86
CMDLINE = b"console=tty1 root=PARTUUID=5a17c0de-02 rootwait\n"

names = st.text(max_size=40)
printable = st.text(st.characters(exclude_categories=("C", "Z")) | st.just(" "), min_size=1)


def test_a_passphrase_becomes_the_key_of_the_standard() -> None:
    # IEEE 802.11-2020, J.4.2: test vectors of the passphrase to PSK mapping
    known = "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"

    wifi = Wifi.joining("IEEE", "password", "US")

    assert wifi.key == known
    assert "password" not in repr(wifi)


@pytest.mark.parametrize("passphrase", ["short", "x" * 64, "pässwörter", "line\nline8"])
def test_a_passphrase_that_no_network_has_is_refused(passphrase: str) -> None:
    with pytest.raises(DataError, match="passphrase") as caught:
        Wifi.joining("home", passphrase, "DE")

    assert passphrase not in str(caught.value)


@given(names)
def test_a_device_name_is_one_label_of_the_network_or_refused(name: str) -> None:
    allowed = set(string.ascii_lowercase + string.digits + "-")
    try:
        FirstBoot(name, ssh_keys=(KEY,))
    except DataError:
        return
    assert set(name) <= allowed
    assert 0 < len(name) < 64


@given(names)
def test_a_user_is_a_plain_word_or_refused(name: str) -> None:
    try:
        FirstBoot("kitchen", name, ssh_keys=(KEY,))
    except DataError:
        return
    assert set(name) <= set(string.ascii_lowercase + string.digits + "_-")


@pytest.mark.parametrize(
    "change",
    [
        {"device": "a b"},
        {"device": "a\n"},
        {"device": "-a"},
        {"user": "root"},
        {"user": "ada\n"},
        {"user": "$(reboot)"},
        {"password": "secret"},
        {"password": HASH + "\n"},
        {"ssh_keys": ()},
        {"ssh_keys": (KEY + "\nssh-rsa AAAA",)},
        {"ssh_keys": ("ssh-ed25519 AAAA",)},
        {"ssh_keys": (f'command="reboot" {KEY}',)},
        {"timezone": "../../etc/shadow"},
        {"timezone": "Europe/Berlin\n"},
        {"keyboard": 'de"'},
        {"locale": "de_DE.UTF-8/x"},
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(change: dict[str, Any]) -> None:
    with pytest.raises(DataError) as caught:
        replace(FIRST, **change)

    assert caught.value.hint


@given(st.text(min_size=1, max_size=40))
def test_a_wireless_name_is_printable_or_refused(ssid: str) -> None:
    try:
        Wifi(ssid, "", "DE")
    except DataError:
        assert not ssid.isprintable() or len(ssid.encode("utf-8", "replace")) > 32
    else:
        assert len(ssid.encode()) <= 32


@given(ssid=printable, comment=printable)
def test_cloud_init_reads_what_was_given(ssid: str, comment: str) -> None:
    assume(len(ssid.encode()) <= 32)
    first = replace(
        FIRST,
        password=HASH,
        ssh_keys=(f"ssh-ed25519 {BLOB} {comment}",),
        wifi=Wifi.joining(ssid, "quotes \"' and \\ and $(x)", "DE"),
        timezone="Europe/Berlin",
        keyboard="de",
        locale="de_DE.UTF-8",
    )

    files = cloud_init(first, CMDLINE)

    read = {name: yaml.safe_load(data) for name, data in files.items() if name != "cmdline.txt"}
    assert files["user-data"].startswith(b"#cloud-config\n")
    [user] = read["user-data"]["users"]
    assert user["ssh_authorized_keys"] == list(first.ssh_keys)
    assert (user["name"], user["hashed_passwd"], user["lock_passwd"]) == ("ada", HASH, False)
    assert read["user-data"]["hostname"] == read["meta-data"]["local-hostname"] == "kitchen-1"
    wlan = read["network-config"]["network"]["wifis"]["wlan0"]
    assert wlan["access-points"] == {ssid: {"password": first.wifi and first.wifi.key}}
    assert wlan["regulatory-domain"] == "DE"


def test_cloud_init_is_told_once_to_wait_for_the_boot_partition() -> None:
    once = cloud_init(FIRST, CMDLINE)["cmdline.txt"]

    *known, added = once.decode().split()
    assert known == CMDLINE.decode().split()
    unit, _, drop_in = added.partition(":")
    assert unit.endswith("=systemd.unit-dropin.cloud-init-local.service")
    assert base64.b64decode(drop_in) == b"[Unit]\nRequiresMountsFor=/boot/firmware\n"
    assert cloud_init(FIRST, once)["cmdline.txt"] == once


def test_without_a_password_nobody_logs_in_with_one() -> None:
    data = yaml.safe_load(cloud_init(FIRST, CMDLINE)["user-data"])

    assert data["users"][0]["lock_passwd"] is True
    assert data["ssh_pwauth"] is False
    assert "hashed_passwd" not in data["users"][0]


def test_another_configuration_is_another_instance_and_the_same_is_the_same() -> None:
    one = cloud_init(FIRST, CMDLINE)
    two = cloud_init(replace(FIRST, device="kitchen-2"), CMDLINE)

    assert one == cloud_init(FIRST, CMDLINE)
    assert one["meta-data"] != two["meta-data"]


def shell(text: str, words: str) -> str:
    return subprocess.run(
        ["sh", "-c", f"{text}\n{words}"], capture_output=True, check=True
    ).stdout.decode()


@given(comment=printable, ssid=printable)
def test_the_shell_reads_what_was_given(comment: str, ssid: str) -> None:
    assume(len(ssid.encode()) <= 32)
    keys = (f"ssh-ed25519 {BLOB} {comment}", KEY)
    first = replace(FIRST, ssh_keys=keys, wifi=Wifi(ssid, "", "DE"), timezone="Europe/Berlin")

    text = script(first)

    subprocess.run(["sh", "-n"], input=text.encode(), check=True)
    head = text[text.index("boot=") : text.index("step()")]
    assert shell(head, 'printf %s "$keys"') == "\n".join(keys)
    assert shell(head, 'printf %s "$device:$user:$password"') == "kitchen-1:ada:*"
    [line] = [line for line in text.splitlines() if line.startswith("ssid=")]
    assert bytes(map(int, line[5:].strip(";").split(";"))) == ssid.encode()


def test_no_passphrase_and_no_password_lies_on_the_card() -> None:
    first = replace(
        FIRST, password=hash_password("open sesame"), wifi=Wifi.joining("home", "let me in", "DE")
    )

    for files in (cloud_init(first, CMDLINE), firstrun(first, CMDLINE)):
        for data in files.values():
            assert b"open sesame" not in data
            assert b"let me in" not in data


def test_a_password_is_hashed_with_a_salt() -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    hashed = hash_password("Grüße '\"$x")

    assert hashed.startswith("$6$")
    assert hashed != hash_password("Grüße '\"$x")
    again = ["openssl", "passwd", "-6", "-salt", hashed.split("$")[2], "-stdin"]
    checked = subprocess.run(again, input="Grüße '\"$x\n", capture_output=True, text=True)
    assert checked.stdout.strip() == hashed


@pytest.mark.parametrize("password", ["", "a\nb", "x" * 300])
def test_a_password_that_nobody_can_type_is_refused(password: str) -> None:
    with pytest.raises(DataError, match="password"):
        hash_password(password)


def test_the_command_line_stays_one_line_and_an_older_customisation_goes() -> None:
    before = CMDLINE.strip() + b" systemd.run=/boot/old.sh systemd.run_success_action=reboot"
    first = replace(FIRST, wifi=Wifi("home", "", "DE"))

    once = firstrun(first, before)["cmdline.txt"]

    known = CMDLINE.decode().split()
    assert once.decode().split() == [*known, "cfg80211.ieee80211_regdom=DE", *RUN]
    assert once.count(b"\n") == 1
    assert firstrun(first, once)["cmdline.txt"] == once


def test_the_scripts_are_shell_and_the_end_of_the_first_start_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "cmdline.txt").write_bytes(firstrun(FIRST, CMDLINE)["cmdline.txt"])
    text = script(FIRST)
    subprocess.run(["sh", "-n"], input=enrol.ENROL.encode(), check=True)
    end = text[text.index("for word in") :].replace("exit 0", "").replace("sync", ":")

    shell(f"boot={tmp_path}", end)

    assert (tmp_path / "cmdline.txt").read_bytes() == CMDLINE


ROOM = {enrol.BOOT: "boot", "/var/lib": "lib", "/var/log": "log"}


class Start:
    """The service's script, with folders of its own for the board's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = enrol.ENROL
        for place, name in ROOM.items():
            (folder / name).mkdir(exist_ok=True)
            self.text = self.text.replace(place, str(folder / name))
        self.boot = folder / "boot"
        (self.boot / "sanderling").mkdir()
        (self.boot / "user-data").write_text("#cloud-config\n{passwd: secret}\n")
        (self.boot / "network-config").write_text("secret")
        (self.boot / "sanderling/settings.json").write_text("{}")
        for name, data in enrol.FILES.items():
            (self.boot / name).write_bytes(data)

    def run(self, installer: str) -> int:
        if (self.boot / "sanderling").is_dir():
            (self.boot / "sanderling/install.py").write_text(installer)
        return subprocess.run(["sh", "-c", self.text.replace("sync", ":")], check=False).returncode

    @property
    def log(self) -> str:
        return (self.folder / "log/sanderling-enrol.log").read_text()


def test_a_start_at_which_installing_fails_keeps_all_for_the_next(tmp_path: Path) -> None:
    start = Start(tmp_path)

    assert start.run("raise SystemExit('no room')") == 1

    assert (start.boot / "sanderling/settings.json").exists()
    assert (start.boot / enrol.SCRIPT).exists()
    assert "no room" in start.log
    assert "tried again" in start.log


def test_a_start_at_which_installing_succeeds_leaves_no_secret_on_the_boot_partition(
    tmp_path: Path,
) -> None:
    start = Start(tmp_path)
    start.run("raise SystemExit('no room')")

    assert start.run("print('installed')") == 0

    assert (tmp_path / "lib/sanderling-enrolled").exists()
    assert sorted(path.name for path in start.boot.iterdir()) == ["user-data"]
    assert (start.boot / "user-data").read_text() == "#cloud-config\n"
    assert start.log.index("no room") < start.log.index("installed") < start.log.index("done")


def test_what_is_installed_can_be_read_by_the_agents_own_user_and_the_log_cannot(
    tmp_path: Path,
) -> None:
    start = Start(tmp_path)

    start.run(f"open({str(tmp_path / 'installed')!r}, 'w')")

    assert (tmp_path / "installed").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "log/sanderling-enrol.log").stat().st_mode & 0o777 == 0o600


def test_many_bad_starts_do_not_fill_the_disk(tmp_path: Path) -> None:
    start = Start(tmp_path)
    (tmp_path / "log/sanderling-enrol.log").write_bytes(bytes(2 << 20))

    start.run("raise SystemExit('no room')")

    assert (tmp_path / "log/sanderling-enrol.log").stat().st_size < 1000
    assert "no room" in start.log


def test_a_power_cut_while_tidying_up_does_not_install_again(tmp_path: Path) -> None:
    start = Start(tmp_path)
    (tmp_path / "lib/sanderling-enrolled").write_text("")

    assert start.run("raise SystemExit('half of the wheels are gone')") == 0

    assert "gone" not in start.log
    assert not (start.boot / "sanderling").exists()


def test_what_cloud_init_runs_is_a_list_of_words_and_no_shell() -> None:
    data = yaml.safe_load(cloud_init(FIRST, CMDLINE)["user-data"])

    assert all(isinstance(words, list) for words in data["bootcmd"] + data["runcmd"])
    assert json.loads(json.dumps(data["runcmd"]))[0] == ["systemctl", "enable", "--now", "ssh"]
