"""Two models side by side: sizes, operators, layers and, on data, what each layer gives."""

from toolkit.comparison.compare import compare

__all__ = ["compare"]
