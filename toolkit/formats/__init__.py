"""What a model can be compiled to; one file per format."""

from edge_targets.runtime.registry import Registry
from toolkit.formats.base import Format, Wish

__all__ = ["Format", "Wish", "formats"]

formats = Registry(__name__, Format)
