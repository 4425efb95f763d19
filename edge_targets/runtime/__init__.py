"""The code that runs on a device and in a browser: the standard library, nothing else."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_targets.runtime.answer import Answer
    from edge_targets.runtime.predictor import Predictor

__all__ = ["Answer", "Predictor"]

_MODULES = {"Answer": "answer", "Predictor": "predictor"}


def __getattr__(name: str) -> Any:
    """Fetch what a user's loop imports only when it does: errors are needed without it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
