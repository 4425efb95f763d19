"""First start as Raspberry Pi OS Bookworm wants it: a script that the kernel's command line names.

systemd's run generator (systemd-run-generator(8)) runs `systemd.run=…` once the file systems are
there and starts the machine again. Every step may be run twice, for the power may fail, and one
that fails is told in the log and keeps none of the others from being done.
"""

import hashlib
import shlex
import uuid

from edge_targets.flashing import enrol
from edge_targets.flashing.command_line import changed
from edge_targets.flashing.first_boot import FirstBoot, Wifi

RUN = (
    f"systemd.run={enrol.BOOT}/firstrun.sh",
    "systemd.run_success_action=reboot",
    "systemd.run_failure_action=reboot",
    "systemd.unit=kernel-command-line.target",
)
OURS = ("systemd.run", "systemd.unit=kernel-command-line", "cfg80211.ieee80211_regdom=")
NOBODY = "*"  # as a password hash: no password fits, and unlike "!" keys are still taken

HEAD = """\
#!/bin/sh
# The first start of this device, written by Sanderling.
exec >>/var/log/sanderling-first-boot.log 2>&1
umask 022
boot={boot}
device={device}
user={user}
password={password}
keys={keys}

step() {{
    "$@" || echo "$1 failed"
}}

set_name() {{
    printf '%s\\n' "$device" >/etc/hostname
    sed -i '/^127\\.0\\.1\\.1[[:space:]]/d' /etc/hosts
    printf '127.0.1.1\\t%s\\n' "$device" >>/etc/hosts
    hostname "$device"
}}

make_user() {{
    if [ -x /usr/lib/userconf-pi/userconf ]; then # renames the image's own user
        /usr/lib/userconf-pi/userconf "$user" "$password"
    fi
    id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
    printf '%s:%s\\n' "$user" "$password" | chpasswd -e
    for group in adm dialout audio video plugdev users input netdev render gpio i2c spi sudo; do
        getent group "$group" >/dev/null && usermod -aG "$group" "$user"
    done
    [ -d /etc/sudoers.d ] || return 0
    (umask 227 && printf '%s ALL=(ALL) NOPASSWD: ALL\\n' "$user" >/etc/sudoers.d/.sanderling) &&
        mv -f /etc/sudoers.d/.sanderling /etc/sudoers.d/010_sanderling
}}

open_ssh() {{
    home=$(getent passwd "$user" | cut -d: -f6)
    if [ -n "$keys" ] && [ -n "$home" ]; then
        install -d -m 700 "$home/.ssh"
        printf '%s\\n' "$keys" >"$home/.ssh/authorized_keys"
        chmod 600 "$home/.ssh/authorized_keys"
        chown -R "$user:" "$home/.ssh"
    fi
    [ "$password" = '*' ] && [ -d /etc/ssh/sshd_config.d ] &&
        echo 'PasswordAuthentication no' >/etc/ssh/sshd_config.d/10-sanderling.conf
    systemctl enable ssh
}}

step set_name
step make_user
step open_ssh
"""

WIFI = """
set_wifi() {{
    folder=/etc/NetworkManager/system-connections
    install -d -m 700 "$folder"
    (umask 177 && printf '%s' {connection} >"$folder/sanderling.nmconnection")
    for file in /var/lib/systemd/rfkill/*:wlan; do
        [ -e "$file" ] && echo 0 >"$file"
    done
    state=/var/lib/NetworkManager/NetworkManager.state # the image starts with its radio off
    [ -f "$state" ] && sed -i 's/^WirelessEnabled=.*/WirelessEnabled=true/' "$state"
    rfkill unblock wifi 2>/dev/null
    return 0
}}
step set_wifi
"""

TIMEZONE = """
set_timezone() {{
    zone={timezone}
    [ -e "/usr/share/zoneinfo/$zone" ] || return 1
    ln -sf "/usr/share/zoneinfo/$zone" /etc/localtime
    printf '%s\\n' "$zone" >/etc/timezone
}}
step set_timezone
"""

KEYBOARD = """
set_keyboard() {{
    layout={keyboard}
    printf 'XKBMODEL="pc105"\\nXKBLAYOUT="%s"\\nXKBVARIANT=""\\nXKBOPTIONS=""\\n' "$layout" \\
        >/etc/default/keyboard
}}
step set_keyboard
"""

LOCALE = """
set_locale() {{
    locale={locale}
    sed -i "s/^# *$locale /$locale /" /etc/locale.gen
    locale-gen && update-locale "LANG=$locale"
}}
step set_locale
"""

TAIL = """
set_up_enrolment() {{
{enrolment}
}}
step set_up_enrolment

# Last: should the power fail before, all of this is done again.
sync
for word in {run}; do
    sed -i "s| $word||" "$boot/cmdline.txt"
done
sync
shred -n 1 -u "$boot/firstrun.sh" 2>/dev/null || rm -f "$boot/firstrun.sh"
sync
exit 0
"""


def firstrun(first: FirstBoot, cmdline: bytes) -> dict[str, bytes]:
    """The script and the changed command line, by their names at the top of the boot partition."""
    country = [f"cfg80211.ieee80211_regdom={first.wifi.country}"] if first.wifi else []
    line = changed(cmdline, OURS, [*country, *RUN])
    return {"firstrun.sh": script(first).encode(), "cmdline.txt": line}


def script(first: FirstBoot) -> str:
    """A POSIX shell script; every value in it is quoted."""
    steps = [HEAD]
    steps += [WIFI] if first.wifi else []
    steps += [TIMEZONE] if first.timezone else []
    steps += [KEYBOARD] if first.keyboard else []
    steps += [LOCALE] if first.locale else []
    values = {
        "boot": enrol.BOOT,
        "device": first.device,
        "user": first.user,
        "password": first.password or NOBODY,
        "keys": "\n".join(first.ssh_keys),
        "connection": _connection(first.wifi) if first.wifi else "",
        "timezone": first.timezone,
        "keyboard": first.keyboard,
        "locale": first.locale,
    }
    quoted = {name: shlex.quote(value) for name, value in values.items()}
    quoted["enrolment"] = " &&\n".join(f"    {shlex.join(words)}" for words in enrol.SET_UP)
    quoted["run"] = shlex.join(RUN)
    return "".join([*steps, TAIL]).format(**quoted)


def _connection(wifi: Wifi) -> str:
    """A file of NetworkManager; the name of the network as bytes, for which nothing is special."""
    name = "".join(f"{byte};" for byte in wifi.ssid.encode())
    identity = uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4)
    lines = ["[connection]", "id=sanderling", f"uuid={identity}", "type=wifi"]
    lines += ["[wifi]", "mode=infrastructure", f"ssid={name}"]
    if wifi.key:
        lines += ["[wifi-security]", "key-mgmt=wpa-psk", f"psk={wifi.key}"]
    lines += ["[ipv4]", "method=auto", "[ipv6]", "method=auto"]
    return "\n".join(lines) + "\n"
