"""A package as a folder of static files, which any web server can offer and any browser runs.

Nothing in it is fetched from elsewhere, every file is in its signed index, and the same input
gives the same bytes.
"""

from edge_targets.bundling.index import INDEX, SIGNED, read_index
from edge_targets.bundling.making import Bundle, Part, bundle
from edge_targets.bundling.options import USUAL, Options
from edge_targets.bundling.parts import PROVING, WEB, runtime_digest

__all__ = [
    "INDEX",
    "PROVING",
    "SIGNED",
    "USUAL",
    "WEB",
    "Bundle",
    "Options",
    "Part",
    "bundle",
    "read_index",
    "runtime_digest",
]
