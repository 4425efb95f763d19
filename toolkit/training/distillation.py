"""Learning from a teacher: its answers, and hints from inside of it.

Answers are softened (Hinton et al. 2015, arXiv:1503.02531). Hints are the teacher's features,
reached through a learned map (FitNets, Romero et al. 2015, arXiv:1412.6550), or the places that
it looks at (attention transfer, Zagoruyko and Komodakis 2017, arXiv:1612.03928).
"""

from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.data.dataset import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.training.lesson import Lesson, task_loss
from toolkit.training.run import unit_of

if TYPE_CHECKING:
    import torch
    from torch import nn

Hints = Literal["none", "features", "attention"]
SMALLEST_SHARE = 1e-7  # a quantized teacher gives exact zeros, which have no logarithm
BATCH = 256  # items a teacher is asked at once: bounds memory


class Distillation(Lesson):
    """Part of the loss is the distance from a teacher, which stays as it is."""

    def __init__(
        self,
        scores: "torch.Tensor",
        temperature: float,
        alpha: float,
        insides: "Insides | None" = None,
    ) -> None:
        super().__init__()
        self.scores, self.temperature, self.alpha = scores, temperature, alpha
        self.insides = insides
        if insides:
            self.own = insides.maps

    def loss(
        self,
        module: "nn.Module",
        inputs: "torch.Tensor",
        targets: "torch.Tensor",
        items: "torch.Tensor",
    ) -> "torch.Tensor":
        with Watch(module, self.insides.student_layers() if self.insides else ()) as seen:
            answers = module(inputs)
        mixed = (1 - self.alpha) * task_loss(answers, targets)
        mixed = mixed + self.alpha * self.distance(answers, self.scores[items], targets.ndim == 1)
        return mixed + self.insides.distance(seen.values, inputs) if self.insides else mixed

    def distance(
        self, answers: "torch.Tensor", wanted: "torch.Tensor", classes: bool
    ) -> "torch.Tensor":
        """The divergence of softened shares; for numbers, the squared error."""
        from torch.nn import functional

        if not classes:
            return functional.mse_loss(answers, wanted)
        soft, goal = (functional.log_softmax(s / self.temperature, 1) for s in (answers, wanted))
        # gradients shrink with the square of the temperature: brought back, as in the paper
        divergence = functional.kl_div(soft, goal, reduction="batchmean", log_target=True)
        return divergence * self.temperature**2


class Watch:
    """What some layers of a module gave when it last ran."""

    def __init__(self, module: "nn.Module", names: tuple[str, ...]) -> None:
        self.module, self.names = module, names
        self.values: dict[str, torch.Tensor] = {}

    def __enter__(self) -> "Watch":
        def keep(name: str) -> None:
            layer = self.module.get_submodule(name)
            handle = layer.register_forward_hook(
                lambda layer, given, found: self.values.__setitem__(name, found)
            )
            self.handles.append(handle)

        self.handles: list[torch.utils.hooks.RemovableHandle] = []
        for name in self.names:
            keep(name)
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()


class Insides:
    """Layers of a student, each with the layer of the teacher that it is compared with."""

    def __init__(
        self, student: "nn.Module", teacher: "nn.Module", example: "torch.Tensor", hints: Hints
    ) -> None:
        import torch
        from torch import nn

        self.teacher, self.hints = teacher.eval(), hints
        with torch.no_grad():
            mine, theirs = (activations(module, example) for module in (student.eval(), teacher))
        if hints == "attention":
            mine, theirs = ({n: v for n, v in s.items() if v.ndim > 2} for s in (mine, theirs))
        if not mine or not theirs:
            raise UnsupportedError(
                f"There is no layer to take {hints} hints from.",
                "Use hints=none." if hints == "features" else "Use hints=features or none.",
            )
        self.pairs = paired(tuple(mine), tuple(theirs))
        if hints == "features":  # FitNets guides one layer, in the middle
            self.pairs = self.pairs[(len(self.pairs) - 1) // 2 :][:1]
        self.maps = nn.ModuleList()
        if hints == "features":
            self.maps.extend(mapping(*alike(mine[s], theirs[t])) for s, t in self.pairs)

    def student_layers(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.pairs)

    def distance(self, seen: "dict[str, torch.Tensor]", inputs: "torch.Tensor") -> "torch.Tensor":
        import torch

        with torch.no_grad(), Watch(self.teacher, tuple(t for _, t in self.pairs)) as shown:
            self.teacher(inputs)
        total = torch.zeros(())
        for index, (mine, theirs) in enumerate(self.pairs):
            given, wanted = alike(seen[mine], shown.values[theirs])
            if self.hints == "attention":
                total = total + (attention(given) - attention(wanted)).square().sum(1).mean()
            else:  # as a share of the feature's own power, whatever the network's scale
                error = (self.maps[index](given) - wanted).square().mean()
                total = total + error / wanted.square().mean().clamp(min=1e-12)
        return total / len(self.pairs)


def activations(module: "nn.Module", example: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """What every activation function of the network gives, by its name."""
    from torch.nn.modules import activation

    chosen = tuple(
        name
        for name, layer in module.named_modules()
        if type(layer).__module__ == activation.__name__ and "oftmax" not in type(layer).__name__
    )
    with Watch(module, chosen) as seen:
        module(example)
    return seen.values


def paired(mine: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each layer of the student with that of the teacher at the same share of the depth."""
    ends = (round((i + 1) * len(theirs) / len(mine)) for i in range(len(mine)))
    return tuple((name, theirs[max(end, 1) - 1]) for name, end in zip(mine, ends, strict=True))


def alike(mine: "torch.Tensor", theirs: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Both as vectors, or both as maps of the smaller size."""
    if mine.ndim != theirs.ndim:
        flat = [value.flatten(2).mean(2) if value.ndim > 2 else value for value in (mine, theirs)]
        return flat[0], flat[1]
    if mine.shape[2:] == theirs.shape[2:]:
        return mine, theirs
    size = [min(pair) for pair in zip(mine.shape[2:], theirs.shape[2:], strict=True)]
    return pooled(mine, size), pooled(theirs, size)


def pooled(maps: "torch.Tensor", size: list[int]) -> "torch.Tensor":
    from torch.nn import functional

    if len(size) == 1:
        return functional.adaptive_avg_pool1d(maps, size[0])
    return functional.adaptive_avg_pool2d(maps, (size[0], size[1]))


def mapping(mine: "torch.Tensor", theirs: "torch.Tensor") -> "nn.Module":
    """From the student's channels to the teacher's."""
    from torch import nn

    kind = {2: nn.Linear, 3: nn.Conv1d, 4: nn.Conv2d}[mine.ndim]
    size = () if mine.ndim == 2 else (1,)
    made: nn.Module = kind(mine.shape[1], theirs.shape[1], *size)
    return made


def attention(maps: "torch.Tensor") -> "torch.Tensor":
    """Where the channels together are strong: one unit vector over the places, for each item."""
    from torch.nn import functional

    return functional.normalize(maps.square().mean(1).flatten(1), dim=1)


def teachers_scores(teacher: Model, data: Dataset, job: Job) -> "torch.Tensor":
    """What a teacher says to the training part: raw scores, or numbers in units of the targets.

    Of a finished graph the logarithms of its shares are as good as the raw scores: they differ
    by the same amount for all classes.
    """
    import torch

    inputs = data.part("train")[0]
    if teacher.network:
        batches = torch.split(torch.from_numpy(inputs.copy()), BATCH)
        module = teacher.module()
        with torch.no_grad():
            scores = torch.cat([module(some) for some in job.track(batches, "ask the teacher")])
    else:
        answers = Runner.of_model(teacher, job).first_output(inputs, job)
        scores = torch.from_numpy(np.asarray(answers, np.float32))
        if data.labels:
            scores = scores.clamp(min=SMALLEST_SHARE).log()
    middle, spread = unit_of(data)
    return (scores - middle) / spread
