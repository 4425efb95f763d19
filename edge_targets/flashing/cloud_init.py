"""First start as Raspberry Pi OS Trixie wants it: cloud-init's NoCloud files on the boot partition.

https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html and netplan's version 2.
They are written as JSON, which is YAML too: nothing in a name can end a string.

cloud-init does not wait for the boot partition by itself (canonical/cloud-init issue 6614): on a
fast board it would find no files, and set nothing up. A drop-in unit makes it wait; systemd takes
one from the kernel's command line (systemd-debug-generator(8), since version 256).
"""

import base64
import hashlib
import json
from typing import Any

from edge_targets.flashing import enrol
from edge_targets.flashing.command_line import changed
from edge_targets.flashing.first_boot import FirstBoot, Wifi

GROUPS = (
    "adm, dialout, cdrom, audio, users, sudo, video, games, plugdev, input, gpio, spi, i2c, "
    "netdev, render"
)
# cloud-init marks a module as done before it runs it, and would not go on after a power cut. All
# of it may be done twice, and is at every start until these files are taken back: see `enrol`.
AGAIN = ("rm", "-rf", "/var/lib/cloud/instance/sem")
SSH = ("systemctl", "enable", "--now", "ssh")
DROP_IN = f"[Unit]\nRequiresMountsFor={enrol.BOOT}\n".encode()
WAIT = "systemd.set_credential_binary=systemd.unit-dropin.cloud-init-local.service:"


def cloud_init(first: FirstBoot, cmdline: bytes) -> dict[str, bytes]:
    """The files and the changed command line, by their names at the top of the boot partition."""
    user = _yaml(_user_data(first), "#cloud-config\n")
    network = _yaml(_network(first.wifi))
    # another identity has cloud-init take the files for new ones
    identity = f"sanderling-{hashlib.sha256(user + network).hexdigest()[:16]}"
    meta = {
        "dsmode": "local",
        "instance-id": identity,
        "instance_id": identity,
        "local-hostname": first.device,
    }
    return {
        "user-data": user,
        "network-config": network,
        "meta-data": _yaml(meta),
        "cmdline.txt": changed(cmdline, (WAIT,), [WAIT + base64.b64encode(DROP_IN).decode()]),
    }


def _user_data(first: FirstBoot) -> dict[str, Any]:
    start = ("systemctl", "start", "--no-block", enrol.SERVICE)
    user: dict[str, Any] = {
        "name": first.user,
        "groups": GROUPS,
        "shell": "/bin/bash",
        "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
        "lock_passwd": not first.password,
    }
    if first.password:
        user["hashed_passwd"] = first.password  # "passwd" is ignored where the image has the user
    if first.ssh_keys:
        user["ssh_authorized_keys"] = list(first.ssh_keys)
    data: dict[str, Any] = {
        "hostname": first.device,
        "manage_etc_hosts": True,
        "users": [user],
        "ssh_pwauth": bool(first.password),
    }
    if first.timezone:
        data["timezone"] = first.timezone
    if first.locale:
        data["locale"] = first.locale
    if first.keyboard:
        data["keyboard"] = {"layout": first.keyboard}
    data["bootcmd"] = [list(AGAIN)]
    return data | {"runcmd": [list(words) for words in (SSH, *enrol.SET_UP, start)]}


def _network(wifi: Wifi | None) -> dict[str, Any]:
    network: dict[str, Any] = {
        "version": 2,
        "ethernets": {"eth0": {"dhcp4": True, "optional": True}},
    }
    if wifi:
        network["wifis"] = {
            "wlan0": {
                "dhcp4": True,
                "optional": True,
                "regulatory-domain": wifi.country,
                # netplan takes 64 hexadecimal digits for the key itself
                "access-points": {wifi.ssid: {"password": wifi.key} if wifi.key else {}},
            }
        }
    return {"network": network}


def _yaml(data: dict[str, Any], head: str = "") -> bytes:
    # not escaped to ASCII: YAML would read a JSON pair of surrogates as two characters
    return (head + json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()
