"""Keras layers as ONNX operators; a module here adds translations for layers of one kind."""

from toolkit.foreign.keras_layers import attention, recurrent, shapes, values, windows
from toolkit.foreign.keras_layers.base import TRANSLATIONS, translate

KNOWN = frozenset(TRANSLATIONS)

__all__ = ["KNOWN", "attention", "recurrent", "shapes", "translate", "values", "windows"]
