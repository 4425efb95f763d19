"""What a device is told at its first start: its name, who may log in, and its network.

Everything is checked here, at the door, so that what writes shell and YAML need only quote. A
passphrase is never kept: WPA2 wants PBKDF2 of it (IEEE 802.11-2020, J.4.1), a login a salted hash.
"""

import base64
import binascii
import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from typing import Self

from edge_targets.flashing.fat import missing
from edge_targets.runtime.errors import DataError, DeviceError

HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, in small letters
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
SYSTEM_USERS = {"root", "sanderling", "sshd", "nobody", "daemon", "www-data"}
CRYPT = re.compile(r"\$(y|gy|7|2b|5|6)\$[./A-Za-z0-9$=,]{8,200}")  # crypt(5), none of the weak ones
KEY = re.compile(r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-[a-z0-9@.-]+) (\S+)( .*)?")
COUNTRY = re.compile(r"[A-Z]{2}")  # ISO 3166-1
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}")
LOCALE = re.compile(r"[a-z]{2,3}_[A-Z]{2}\.UTF-8")
LAYOUT = re.compile(r"[a-z]{2,8}")
WPA_ROUNDS = 4096


@dataclass(frozen=True)
class Wifi:
    """A network: `key` is the pre-shared key in hexadecimal, empty for an open network.

    `country` decides which channels are allowed; radios of these boards stay off without it.
    """

    ssid: str
    key: str = field(repr=False)
    country: str

    def __post_init__(self) -> None:
        _check(
            0 < len(self.ssid.encode("utf-8", "replace")) <= 32 and self.ssid.isprintable(),
            f"{self.ssid!r} cannot be the name of a wireless network.",
            "It has 1 to 32 bytes, and no line ends.",
        )
        _check(
            not self.key or re.fullmatch("[0-9a-f]{64}", self.key),
            "The key of the wireless network is none.",
            "It has 64 hexadecimal digits; give the passphrase instead.",
        )
        _check(
            COUNTRY.fullmatch(self.country),
            f"{self.country!r} is no country.",
            "Give two capital letters, such as DE or GB: radio rules differ.",
        )

    @classmethod
    def joining(cls, ssid: str, passphrase: str, country: str) -> Self:
        """The network with this passphrase: 8 to 63 printable ASCII characters, or none."""
        if not passphrase:
            return cls(ssid, "", country)
        _check(
            8 <= len(passphrase) <= 63 and passphrase.isascii() and passphrase.isprintable(),
            "The passphrase of the wireless network cannot be one.",
            "It has 8 to 63 printable ASCII characters.",
        )
        name = ssid.encode("utf-8", "replace")
        key = hashlib.pbkdf2_hmac("sha1", passphrase.encode(), name, WPA_ROUNDS, 32)
        return cls(ssid, key.hex(), country)


@dataclass(frozen=True)
class FirstBoot:
    """Who the device will be.

    Attributes:
        device: its host name.
        user: who can log in, and become root.
        password: a hash of crypt(5); empty where only keys log in.
        ssh_keys: public keys in OpenSSH's format, one line each.
        wifi: the network; None for a cable.
        timezone: such as Europe/Berlin; the image's own unless given.
        keyboard: layout, such as de.
        locale: such as de_DE.UTF-8.
    """

    device: str
    user: str = "pi"
    password: str = field(default="", repr=False)
    ssh_keys: tuple[str, ...] = ()
    wifi: Wifi | None = None
    timezone: str = ""
    keyboard: str = ""
    locale: str = ""

    def __post_init__(self) -> None:
        _check(
            HOST.fullmatch(self.device) and not self.device.isdigit(),
            f"{self.device!r} cannot be the name of a device on a network.",
            "Use 1 to 63 small letters, digits and hyphens, with a letter or digit at both ends.",
        )
        _check(
            USER.fullmatch(self.user) and self.user not in SYSTEM_USERS,
            f"{self.user!r} cannot be the name of a user.",
            "Use small letters, digits and hyphens; names of the system are taken.",
        )
        _check(
            not self.password or CRYPT.fullmatch(self.password),
            "The password is no hash of crypt(5).",
            "Make one with `openssl passwd -6`.",
        )
        for key in self.ssh_keys:
            _check(_is_key(key), f"{key[:40]!r} is no SSH key.", "Give one line of a .pub file.")
        _check(
            self.password or self.ssh_keys,
            f"Nobody could log in to {self.device}.",
            "Give a password or an SSH key.",
        )
        for name, value, pattern, example in (
            ("time zone", self.timezone, ZONE, "Europe/Berlin"),
            ("keyboard layout", self.keyboard, LAYOUT, "de"),
            ("locale", self.locale, LOCALE, "de_DE.UTF-8"),
        ):
            _check(
                not value or pattern.fullmatch(value),
                f"{value!r} is no {name}.",
                f"An example: {example}.",
            )


def hash_password(password: str) -> str:
    """A salted hash that the device can check (SHA-512 of crypt(5)), by openssl.

    Raises:
        DataError: nobody could type it at a login.
        DeviceError: openssl is not there.
    """
    _check(
        0 < len(password) <= 256 and password.isprintable(),
        "The password cannot be one.",
        "It has 1 to 256 characters, and no line ends.",
    )
    try:
        done = subprocess.run(
            ["openssl", "passwd", "-6", "-stdin"],  # not as an argument, which others can see
            input=password + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise missing("openssl") from error
    if done.returncode or not CRYPT.fullmatch(done.stdout.strip()):
        raise DeviceError("openssl could not hash the password.", done.stderr.strip()[-200:])
    return done.stdout.strip()


def _is_key(line: str) -> bool:
    found = KEY.fullmatch(line)
    if found is None or not line.isprintable() or len(line) > 8192:
        return False
    try:
        blob = base64.b64decode(found[4], validate=True)
    except (binascii.Error, ValueError):
        return False
    kind = found[1].encode()
    return blob.startswith(len(kind).to_bytes(4, "big") + kind)  # RFC 4253, 6.6


def _check(good: object, message: str, hint: str) -> None:
    if not good:
        raise DataError(message, hint)
