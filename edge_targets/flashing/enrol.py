"""The files that have a device install its agent, the same for all systems.

A service runs the payload's installer at each start until it has succeeded. Then, and not before,
what is secret or no longer needed leaves the boot partition, which has no owners. That a start was
good is kept on the other partition: a power cut while tidying up does not install again.
"""

PAYLOAD = "sanderling"  # the folder on the boot partition
BOOT = "/boot/firmware"  # where Bookworm and Trixie mount it
SCRIPT = "sanderling-enrol.sh"
SERVICE = "sanderling-enrol.service"
PROGRAM = "/usr/local/sbin/sanderling-enrol"
UNITS = "/etc/systemd/system"

ENROL = f"""\
#!/bin/sh
# Installs Sanderling's agent from the boot partition; runs at each start until that succeeded.
set -u
boot={BOOT}
done=/var/lib/sanderling-enrolled
log=/var/log/sanderling-enrol.log
umask 022 # the agent's own user reads what is installed
touch "$log" && chmod 600 "$log"
[ "$(wc -c <"$log")" -gt 1048576 ] && : >"$log" # many bad starts must not fill the disk
exec >>"$log" 2>&1
echo "start $(date -u +%Y-%m-%dT%H:%M:%SZ)"

if [ ! -e "$done" ] && [ -e "$boot/{PAYLOAD}/install.py" ]; then
    python3 "$boot/{PAYLOAD}/install.py" --json || {{
        echo "failed; tried again at the next start"
        exit 1
    }}
fi
: >"$done"
sync

forget() {{ # overwrite a file before it goes: FAT only marks it as free
    [ -f "$1" ] || return 0
    shred -n 1 -u "$1" 2>/dev/null || rm -f "$1"
}}
for file in "$boot/{PAYLOAD}"/*.json "$boot/network-config" "$boot/firstrun.sh"; do
    forget "$file"
done
if [ -f "$boot/user-data" ]; then
    forget "$boot/user-data"
    echo '#cloud-config' >"$boot/user-data"
fi
rm -rf "$boot/{PAYLOAD}"
systemctl disable {SERVICE} 2>/dev/null
rm -f "$boot/{SERVICE}"
sync
rm -f "$boot/{SCRIPT}" # last: without it the service does not run any more
sync
echo "done"
"""

UNIT = f"""\
[Unit]
Description=Sanderling: install the agent from the boot partition
RequiresMountsFor={BOOT} /var/lib /var/log
ConditionPathExists={BOOT}/{SCRIPT}
After=local-fs.target systemd-user-sessions.service

[Service]
Type=oneshot
ExecStart={PROGRAM}
TimeoutStartSec=30min

[Install]
WantedBy=multi-user.target
"""

FILES = {SCRIPT: ENROL.encode(), SERVICE: UNIT.encode()}

SET_UP = (
    ("install", "-D", "-m", "755", f"{BOOT}/{SCRIPT}", PROGRAM),
    ("install", "-D", "-m", "644", f"{BOOT}/{SERVICE}", f"{UNITS}/{SERVICE}"),
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", SERVICE),
)
"""The commands that put the service in place."""
