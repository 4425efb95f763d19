"""Which layers quantization hurts, why, and how to mend just those."""

from toolkit.diagnosis.journey import diagnose

__all__ = ["diagnose"]
