"""The border to other machines: HTTP, a folder that stands for one, SSH.

Agents import this too, so SSH is not imported here: it stands in `edge_targets.transport.ssh`.
"""

from edge_targets.runtime.exchange import RefusedError, check_address, get_json, post_json
from edge_targets.transport.http import put_package
from edge_targets.transport.local import Local

__all__ = ["Local", "RefusedError", "check_address", "get_json", "post_json", "put_package"]
