"""The pages of the window; one file a page."""

from edge_targets.runtime.registry import Registry
from gui.pages.base import Page

__all__ = ["Page", "pages"]

pages = Registry(__name__, Page)
