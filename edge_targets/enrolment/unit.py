"""How systemd runs the agent: systemd.exec(5), systemd.service(5), systemd.resource-control(5).

`systemd-analyze security` gives the unit a low exposure. What is left open is left open for a
reason: the network (telemetry, updates, callers), devices (camera, sensors), memory that is both
written and executed (engines compile kernels).
"""

ACCOUNT = "sanderling"
SERVICE = "sanderling.service"
WATCHDOG_S = 60
# GPIO, cameras, microphones and serial ports belong to these, where the system has them
GROUPS = ("video", "audio", "gpio", "i2c", "spi", "dialout", "render")


def unit(cores: int) -> str:
    """The unit for a board with so many cores; one half of a core stays for the rest of it."""
    return f"""\
[Unit]
Description=Sanderling: serves models on this device
After=network.target
# nobody may be near the board: it never gives up, RestartSec is what limits it
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/bin/python3 -I /opt/sanderling/start.py
User={ACCOUNT}
Group={ACCOUNT}
Restart=always
RestartSec=5
TimeoutStartSec=180
TimeoutStopSec=60
WatchdogSec={WATCHDOG_S}

StateDirectory=sanderling
StateDirectoryMode=0750
RuntimeDirectory=sanderling
Environment=PYTHONDONTWRITEBYTECODE=1
UMask=0027

MemoryMax=75%
MemorySwapMax=0
CPUQuota={100 * cores - 50}%
TasksMax=256
LimitNOFILE=4096
# the agent goes before the system does, and a trial of a package before the agent
OOMScoreAdjust=500
OOMPolicy=continue
Nice=5

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-alsa rw
DeviceAllow=char-ttyAMA rw
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyUSB rw
DeviceAllow=char-gpiochip rw
DeviceAllow=char-i2c rw
DeviceAllow=char-spi rw
DeviceAllow=/dev/vcio rw
DeviceAllow=/dev/gpiomem rw

[Install]
WantedBy=multi-user.target
"""
