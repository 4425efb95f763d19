"""What can be trained; one file per network."""

from edge_targets.runtime.registry import Registry
from toolkit.networks.base import Network

__all__ = ["Network", "networks"]

networks = Registry(__name__, Network)
