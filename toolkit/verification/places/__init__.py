"""Where a model is verified; one file per runtime."""

from edge_targets.runtime.registry import Registry
from toolkit.verification.places.base import Place, Session

__all__ = ["Place", "Session", "places"]

places = Registry(__name__, Place)
