"""What a member of the catalog is: a class of places, `edge_targets.places.target` says how."""

from edge_targets.places.target import Target

__all__ = ["Target"]
