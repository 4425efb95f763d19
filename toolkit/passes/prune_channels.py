"""Structured pruning: whole channels go, with all that depends on them.

Importance is that of the group that must go together (Fang et al. 2023, DepGraph,
arXiv:2301.12900): the size of its weights; what the loss would lose without them, to first order
(Molchanov et al. 2019, arXiv:1906.10771); or the scale of its batch norm (Liu et al. 2017,
arXiv:1708.06519). The rest is then trained on, in rounds if wanted.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.model import Model, state_of
from toolkit.passes.base import Pass
from toolkit.training import fit, resumable
from toolkit.training.finetuning import Epochs, LearningRate, Seed, settings
from toolkit.training.lesson import task_loss

if TYPE_CHECKING:
    from torch import nn

ITEMS = 1024  # of the training part: the gradients' mean size hardly moves with more
BATCH = 32


class PruneChannels(Pass):
    """Remove the least important channels and units, then fine-tune."""

    needs_network: ClassVar[bool] = True

    ratio: Annotated[
        float, Field(gt=0, lt=1, description="Share of each layer's channels to remove.")
    ] = 0.5
    importance: Annotated[
        Literal["magnitude", "taylor", "batch_norm"],
        Field(
            description="What a channel counts: the size of its weights, what the loss would "
            "lose without it, or the scale of its batch norm."
        ),
    ] = "magnitude"
    rounds: Annotated[
        int, Field(ge=1, le=100, description="Prune in so many parts, with training after each.")
    ] = 1
    epochs: Epochs = 15
    learning_rate: LearningRate = 1e-3
    seed: Seed = 0

    @property
    def trains(self) -> bool:
        return self.epochs > 0

    def apply(self, model: Model, job: Job) -> Model:
        self.refuse_graph(model)
        full = widths(model.module())
        with ExitStack() as runs:  # a finished round is kept until all are: none is done twice
            for done in range(1, self.rounds + 1):
                message = f"prune channels, round {done}" if self.rounds > 1 else "prune channels"
                job.step(message, 0, 1)
                share = self.ratio * done / self.rounds
                model = self._pruned(model, {k: kept(n, share) for k, n in full.items()})
                job.step(message, 1, 1)
                epochs = self._epochs(done)
                if epochs:
                    checkpoint = runs.enter_context(resumable(job, self, model))
                    how = settings(epochs, self.learning_rate, self.seed)
                    model = fit(model, how, job, checkpoint).model
        return model

    def _epochs(self, done: int) -> int:
        """Of one round: all rounds together have `epochs`."""
        return self.epochs * done // self.rounds - self.epochs * (done - 1) // self.rounds

    def _pruned(self, model: Model, targets: Mapping[str, int]) -> Model:
        """The model with no more channels than `targets` in each layer."""
        import torch
        import torch_pruning

        module = model.module()
        refuse_what_cannot_go(module)
        layers = prunable(module)
        *_, last = layers.values()
        # half a channel more: the pruner rounds what stays down
        shares = {
            layer: max(0.0, 1 - (targets[name] + 0.5) / len(layer.weight))
            for name, layer in layers.items()
        }
        if self.importance == "taylor":
            learn_gradients(module, model)
        pruner = torch_pruning.pruner.BasePruner(
            module,
            torch.zeros((2, *model.signature.inputs[0].shape[1:])),
            importance=self._ranking(module),
            pruning_ratio=self.ratio,
            pruning_ratio_dict=shares,
            ignored_layers=[last],  # its outputs are the classes
        )
        pruner.step()
        return model.with_weights(state_of(module))

    def _ranking(self, module: "nn.Module") -> Any:
        import torch_pruning
        from torch import nn

        ways = torch_pruning.importance
        if self.importance == "taylor":
            return ways.GroupTaylorImportance()
        magnitude = ways.GroupMagnitudeImportance(p=2)
        if self.importance == "magnitude":
            return magnitude
        if not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in module.modules()):
            raise UnsupportedError(
                "prune_channels cannot rank by batch norm: this network has none.",
                "Use importance=magnitude or importance=taylor.",
            )
        scale = ways.BNScaleImportance()

        def ranked(group: Any) -> Any:
            found = scale(group)
            return magnitude(group) if found is None else found  # a layer without batch norm

        return ranked


def prunable(module: "nn.Module") -> dict[str, Any]:
    from torch import nn

    kinds = nn.Linear | nn.Conv2d | nn.Conv1d
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, kinds)}


def widths(module: "nn.Module") -> dict[str, int]:
    """The channels or units of each layer."""
    return {name: len(layer.weight) for name, layer in prunable(module).items()}


def kept(width: int, share: float) -> int:
    """How many stay; a layer keeps at least one."""
    return max(1, int(width * (1 - share)))


def refuse_what_cannot_go(module: "nn.Module") -> None:
    """Do nothing for a network that has channels to remove.

    Raises:
        UnsupportedError: it has none, or layers whose channels hang together over time.
    """
    from torch import nn

    if any(isinstance(layer, nn.RNNBase) for layer in module.modules()):
        raise UnsupportedError(
            "prune_channels cannot remove units of recurrent layers (LSTM, GRU).",
            "Use quantize_dynamic or prune_weights, or train the network with fewer units.",
        )
    if max(list(widths(module).values())[:-1], default=1) == 1:
        raise UnsupportedError(
            "prune_channels has nothing to remove: every layer has a single channel or unit.",
            "Leave the pass out, or train a wider network.",
        )


def learn_gradients(module: "nn.Module", model: Model) -> None:
    """Give every weight the root mean square of its gradient over the batches.

    Their mean is near zero where training has ended: it would tell nothing.
    """
    import torch

    data = model.need_data("Ranking channels by the loss")
    count = data.count("train")
    spread = np.linspace(0, count - 1, min(count, ITEMS)).round().astype(int)  # of every class
    inputs, targets = (torch.from_numpy(part[spread]) for part in data.part("train"))
    wanted = targets if data.task == "classification" else targets.float()[:, None]
    squares = {p: torch.zeros_like(p) for p in module.parameters()}
    for start in range(0, len(inputs), BATCH):
        batch = slice(start, start + BATCH)
        module.zero_grad()
        task_loss(module(inputs[batch]), wanted[batch]).backward()  # type: ignore[no-untyped-call]
        for parameter, total in squares.items():
            if parameter.grad is not None:
                total += parameter.grad**2
    for parameter, total in squares.items():
        parameter.grad = total.sqrt()
