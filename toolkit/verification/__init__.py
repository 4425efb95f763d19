"""A certificate: the same inputs through every runtime that is there, held against one of them."""

from toolkit.verification.journey import verify

__all__ = ["verify"]
