"""Search for the best recipe and runtime within a budget."""

from toolkit.search.options import Options
from toolkit.search.run import search

__all__ = ["Options", "search"]
