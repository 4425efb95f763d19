"""Structured pruning: whole channels go, with all that depends on them.

Importance is the size of a channel's weights over the group that must go together
(Fang et al. 2023, DepGraph, arXiv:2301.12900); the rest is then trained on.
"""

from typing import Annotated, Any

from numpy.typing import NDArray
from pydantic import Field

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.model import Model, state_of
from toolkit.passes.base import Pass
from toolkit.training import Settings, fit


class PruneChannels(Pass):
    """Remove the least important channels and units, then fine-tune."""

    ratio: Annotated[
        float, Field(gt=0, lt=1, description="Share of each layer's channels to remove.")
    ] = 0.5
    epochs: Annotated[
        int, Field(ge=0, le=10_000, description="Passes over the data to recover; 0 for none.")
    ] = 15
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Step size of the recovery.")] = (
        1e-3
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32, description="Seed of the recovery.")] = 0

    @property
    def trains(self) -> bool:
        return self.epochs > 0

    def apply(self, model: Model, job: Job) -> Model:
        if not model.network:
            raise UnsupportedError(
                "prune_channels needs the trainable network; this model is a finished graph.",
                "Prune first, then quantize: --passes prune_channels,quantize_int8.",
            )
        job.step("prune channels", 0, 1)
        pruned = model.with_weights(self._pruned(model))
        job.step("prune channels", 1, 1)
        if not self.epochs:
            return pruned
        settings = Settings(
            epochs=self.epochs,
            patience=self.epochs,
            learning_rate=self.learning_rate,
            seed=self.seed,
        )
        return fit(pruned, settings, job).model

    def _pruned(self, model: Model) -> dict[str, NDArray[Any]]:
        import torch
        import torch_pruning
        from torch import nn

        module = model.module()
        example = torch.zeros((2, *model.signature.inputs[0].shape[1:]))
        layers = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.Conv1d)]
        widths = {layer: layer.weight.shape[0] for layer in layers[:-1]}
        if max(widths.values(), default=1) == 1:
            raise UnsupportedError(
                "prune_channels has nothing to remove: every layer has a single channel or unit.",
                "Leave the pass out, or train a wider network.",
            )
        # of a layer that would lose all it has, the pruner takes nothing: let it keep one
        narrow = {m: 1 - 1.5 / n for m, n in widths.items() if n > 1 and n * (1 - self.ratio) < 1}
        pruner = torch_pruning.pruner.BasePruner(
            module,
            example,
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=self.ratio,
            pruning_ratio_dict=narrow,
            ignored_layers=[layers[-1]],  # its outputs are the classes
        )
        pruner.step()
        return state_of(module)
