"""Stochastic weight averaging (Izmailov et al. 2018, arXiv:1803.05407)."""

from typing import TYPE_CHECKING

from toolkit.training.lesson import Lesson

if TYPE_CHECKING:
    import torch
    from torch import nn

LOWEST = 0.1  # of the learning rate, at the end of a cycle
BATCH = 256  # items at once when statistics are taken


class Averaging(Lesson):
    """Step size stays high, or falls in every cycle; what is kept is the mean of all ends."""

    def __init__(self, module: "nn.Module", cycle: int) -> None:
        from torch.optim.swa_utils import AveragedModel

        super().__init__()
        self.cycle = cycle
        self.own = AveragedModel(module).requires_grad_(False)

    def rate(self, epoch: int, epochs: int) -> float:
        done = epoch % self.cycle / max(self.cycle - 1, 1)
        return 1 - (1 - LOWEST) * done

    def after_epoch(self, module: "nn.Module", epoch: int) -> None:
        if epoch % self.cycle == 0:
            self.own.update_parameters(module)  # type: ignore[operator]

    def conclude(self, module: "nn.Module", inputs: "torch.Tensor") -> None:
        module.load_state_dict(self.own.module.state_dict())  # type: ignore[union-attr]
        take_statistics(module, inputs)


def take_statistics(module: "nn.Module", inputs: "torch.Tensor") -> None:
    """Give batch norms the mean and variance of what they now get: they were of other weights."""
    import torch
    from torch import nn

    module.eval()  # dropout stays out
    layers = [m for m in module.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over all batches
        layer.train()
    with torch.no_grad():
        for batch in torch.split(inputs, BATCH):
            if layers and len(batch) > 1:  # of one item there is no variance
                module(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    module.eval()
