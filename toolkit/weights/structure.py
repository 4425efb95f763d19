"""A network's structure follows from its stored weights: pruning and splitting store no more.

A layer whose weights are smaller than the network would make them is made as small. A layer `X`
without `X.weight`, but with `X.0.weight`, `X.1.weight`, … is a chain of factors (see `factors`):
strides, padding and dilation stay those of the layer, and only the last factor has its bias.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from edge_targets.runtime.errors import IntegrityError
from toolkit.weights.factors import groups_of, owners

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_FACTORS = 4  # of a CP split


def restructure(module: "nn.Module", state: Mapping[str, "Tensor"]) -> None:
    """Give every layer the form that its stored weights have.

    Raises:
        IntegrityError: the weights belong to another network.
    """
    known = set(module.state_dict())
    for name, layer in list(module.named_modules()):
        if f"{name}.weight" in known and f"{name}.weight" not in state:
            factors = list(factors_of(name, state))
            if not splittable(layer) or not fitting(layer, factors):
                raise foreign()
            module.set_submodule(name, chain(layer, factors))
    if set(state) != set(module.state_dict()):
        raise foreign()
    for name, layer in module.named_modules():
        weight = state.get(f"{name}.weight")
        if weight is not None and weight.shape != layer.weight.shape:
            resize(layer, {key: state.get(f"{name}.{key}") for key in HELD})


def foreign() -> IntegrityError:
    return IntegrityError(
        "The stored weights do not belong to this network.",
        "The model's files were mixed up; train it again.",
    )


def splittable(layer: "nn.Module") -> bool:
    from torch import nn

    return isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)


def factors_of(name: str, state: Mapping[str, "Tensor"]) -> Iterator["Tensor"]:
    for index in range(MOST_FACTORS):
        weight = state.get(f"{name}.{index}.weight")
        if weight is None:
            return
        yield weight


def fitting(layer: Any, factors: list["Tensor"]) -> bool:
    """Whether these can be a split of the layer: at least two, each taking what is given it."""
    shapes = [tuple(factor.shape) for factor in factors]
    if len(shapes) < 2 or any(len(shape) != layer.weight.ndim for shape in shapes):
        return False
    kernel = tuple(layer.weight.shape[2:])
    whole = all(any(s[2 + i] == size for s in shapes) for i, size in enumerate(kernel))
    joined = all(given[0] % taken[1] == 0 for given, taken in pairwise(shapes))
    return whole and joined


def chain(layer: Any, factors: list["Tensor"]) -> "nn.Module":
    """The layer as its factors, one after another."""
    import torch
    from torch import nn

    bias = [False] * (len(factors) - 1) + [layer.bias is not None]
    with torch.device("meta"):  # the numbers come from the file
        if isinstance(layer, nn.Linear):
            parts: list[Any] = [
                nn.Linear(weight.shape[1], weight.shape[0], bias=last)
                for weight, last in zip(factors, bias, strict=True)
            ]
        else:
            parts = list(convolutions(layer, factors, bias))
    for part, weight in zip(parts, factors, strict=True):
        part.weight = nn.Parameter(weight)
        if part.bias is not None:
            part.bias = nn.Parameter(weight.new_zeros(len(weight)))
    return nn.Sequential(*parts)


def convolutions(layer: Any, factors: list["Tensor"], bias: list[bool]) -> Iterator["nn.Module"]:
    shapes = [tuple(factor.shape) for factor in factors]
    owner = owners(tuple(layer.weight.shape[2:]), shapes)
    for index, (shape, groups) in enumerate(zip(shapes, groups_of(shapes), strict=True)):
        mine = [at == index for at in owner]
        yield type(layer)(
            shape[1] * groups,
            shape[0],
            shape[2:],
            stride=chosen(mine, layer.stride, 1),
            padding=padding(mine, layer.padding),
            dilation=chosen(mine, layer.dilation, 1),
            groups=groups,
            bias=bias[index],
        )


def padding(mine: list[bool], given: Any) -> Any:
    """Of one factor; the words "same" and "valid" hold for every one."""
    return given if isinstance(given, str) else chosen(mine, given, 0)


def chosen(mine: list[bool], values: tuple[int, ...], otherwise: int) -> tuple[int, ...]:
    return tuple(value if own else otherwise for own, value in zip(mine, values, strict=True))


HELD = ("weight", "bias", "running_mean", "running_var")


def resize(layer: Any, stored: Mapping[str, "Tensor | None"]) -> None:
    """Make a layer as narrow as its stored weights."""
    from torch import nn

    weight = stored["weight"]
    if weight is None:
        raise AssertionError("a layer without weights has no size of its own")
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = weight.shape
    elif isinstance(layer, nn.Conv2d | nn.Conv1d):
        if layer.groups == layer.in_channels > 1:  # depthwise
            layer.groups = weight.shape[0] * layer.groups // layer.out_channels
        layer.out_channels, layer.in_channels = weight.shape[0], weight.shape[1] * layer.groups
    elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        layer.num_features = weight.shape[0]
    for key, value in stored.items():
        if value is not None:
            held = nn.Parameter(value) if key in {"weight", "bias"} else value
            setattr(layer, key, held)
