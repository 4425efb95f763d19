"""The verbs: all that a user can do, each one function.

The command line is made from these signatures and docstrings, the window drives the command
line, and a program may call them. `workspace` is always the folder with `sanderling.toml`;
without it, the nearest one at or above the current folder.
"""

from toolkit.verbs.cards import disks, flash
from toolkit.verbs.compression import compress, diagnose, search
from toolkit.verbs.data import data_add, data_show
from toolkit.verbs.devices import (
    deploy,
    device_add,
    device_bench,
    device_drop,
    device_fastest,
    device_follow,
    device_list,
    device_logs,
    device_probe,
    device_remove,
    device_shell,
    device_status,
    device_stop,
    rollback,
)
from toolkit.verbs.files import build, measure, package, verify
from toolkit.verbs.live import bundle, collect, serve, watch
from toolkit.verbs.models import attach, diff, import_, inspect, retrain, train
from toolkit.verbs.tokens import token_list, token_remove
from toolkit.verbs.updates import (
    channel_add,
    channel_init,
    channel_refresh,
    channel_remove,
    channel_rotate,
    channel_show,
    channel_stick,
    channel_withdraw,
    publish,
)
from toolkit.verbs.workspace import demo, doctor, gui, init, list_, show

__all__ = [
    "attach",
    "build",
    "bundle",
    "channel_add",
    "channel_init",
    "channel_refresh",
    "channel_remove",
    "channel_rotate",
    "channel_show",
    "channel_stick",
    "channel_withdraw",
    "collect",
    "compress",
    "data_add",
    "data_show",
    "demo",
    "deploy",
    "device_add",
    "device_bench",
    "device_drop",
    "device_fastest",
    "device_follow",
    "device_list",
    "device_logs",
    "device_probe",
    "device_remove",
    "device_shell",
    "device_status",
    "device_stop",
    "diagnose",
    "diff",
    "disks",
    "doctor",
    "flash",
    "gui",
    "import_",
    "init",
    "inspect",
    "list_",
    "measure",
    "package",
    "publish",
    "retrain",
    "rollback",
    "search",
    "serve",
    "show",
    "token_list",
    "token_remove",
    "train",
    "verify",
    "watch",
]
