"""The model on its way: a network that can still be trained, or a graph, with its signature."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_targets.runtime.contract import Signature
from edge_targets.runtime.errors import UnsupportedError
from toolkit.data.dataset import Dataset
from toolkit.features import Feature, features
from toolkit.networks import Network, networks
from toolkit.onnx_graph import parameter_count
from toolkit.weights.structure import restructure

if TYPE_CHECKING:
    from torch import nn

MOST_PARAMETERS = 100_000_000  # 400 MB in float32, and training holds five of each: an edge's limit


@dataclass(frozen=True)
class Model:
    """A frozen value; every change gives a new one.

    Attributes:
        signature: what it takes and gives; no change may alter it.
        network: how to build the torch network; None for a graph.
        steps: what is done to an input before the network, inside the graph.
        weights: the network's state by name; pruning changes their shapes.
        graph: a serialized ONNX model with a free batch dimension; empty for a network.
        data: what it was trained on, where known: passes calibrate and fine-tune with it.
    """

    signature: Signature
    network: Network | None = None
    steps: tuple[Feature, ...] = ()
    weights: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    graph: bytes = b""
    data: Dataset | None = None

    @property
    def kind(self) -> str:
        return "network" if self.network else "graph"

    @property
    def parameters(self) -> int:
        """How many numbers were learned (a graph: are stored)."""
        if not self.network:
            return parameter_count(self.graph)
        return sum(value.size for name, value in self.weights.items() if learned(name))

    def with_weights(self, weights: Mapping[str, NDArray[Any]]) -> "Model":
        return replace(self, weights=dict(weights))

    def with_graph(self, graph: bytes) -> "Model":
        """The same model as a graph: it can no longer be trained."""
        return replace(self, graph=graph, network=None, steps=(), weights={})

    def with_data(self, data: Dataset | None) -> "Model":
        return replace(self, data=data)

    def need_data(self, purpose: str) -> Dataset:
        if self.data is None:
            raise UnsupportedError(
                f"{purpose} needs data, and it is not known what this model was trained on.",
                "Name a dataset with --data.",
            )
        return self.data

    def module(self) -> "nn.Module":
        """The torch network, feature steps first, giving raw scores; in evaluation mode."""
        import torch
        from torch import nn

        if not self.network:
            raise UnsupportedError(
                "This model is a finished graph and has no torch network.",
                "Start from the model it was made from; `sanderling show` names it.",
            )
        shape: tuple[int, ...] = self.signature.inputs[0].shape[1:]
        for step in self.steps:
            shape = step.shape(shape)
        outputs = self.signature.outputs[0].shape[-1]
        if not self.weights:
            refuse_huge(self.network, shape, outputs)
        prepare = nn.Sequential(*(step.module() for step in self.steps))
        module = nn.Sequential(prepare, self.network.build(shape, outputs))
        if self.weights:
            state = {name: torch.tensor(value) for name, value in self.weights.items()}
            restructure(module, state)
            module.load_state_dict(state)
        return module.eval()

    def facts(self) -> dict[str, Any]:
        """What is needed beside the weights to have the model back."""
        return {
            "kind": self.kind,
            "signature": self.signature.to_json(),
            "network": described(self.network) if self.network else None,
            "steps": [described(step) for step in self.steps],
        }

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], stored: bytes, data: Dataset | None) -> "Model":
        """The model whose `facts()` and `stored()` these are."""
        signature = Signature.from_json(facts["signature"])
        if facts["kind"] == "graph":
            return cls(signature, graph=stored, data=data)
        from safetensors.numpy import load

        name, parameters = facts["network"]["name"], facts["network"]["parameters"]
        steps = tuple(features[s["name"]](**s["parameters"]) for s in facts["steps"])
        return cls(signature, networks[name](**parameters), steps, load(stored), data=data)

    def stored(self) -> tuple[str, bytes]:
        """File name and bytes of the weights or the graph."""
        if not self.network:
            return "model.onnx", self.graph
        from safetensors.numpy import save

        arrays = {k: np.ascontiguousarray(v) for k, v in sorted(self.weights.items())}
        return "weights.safetensors", save(arrays)


def refuse_huge(network: Network, shape: tuple[int, ...], outputs: int) -> None:
    """Count before anything is allocated: torch ends a program that asks for too much memory."""
    import torch

    with torch.device("meta"):  # shapes without numbers
        parameters = sum(p.numel() for p in network.build(shape, outputs).parameters())
    if parameters > MOST_PARAMETERS:
        raise UnsupportedError(
            f"This network would have {parameters:,} parameters; at most {MOST_PARAMETERS:,} "
            "can be trained.",
            "Make its layers smaller, or fewer.",
        )


def learned(name: str) -> bool:
    """Whether a stored array is learned: not a feature step's, and no running statistic.

    Recurrent layers call theirs `weight_ih_l0`, attention `in_proj_weight`.
    """
    last = name.rpartition(".")[2]
    return not name.startswith("0.") and ("weight" in last or "bias" in last)


def described(member: Network | Feature) -> dict[str, Any]:
    registry = networks if isinstance(member, Network) else features
    return {"name": registry.name_of(member), "parameters": member.model_dump(mode="json")}


def state_of(module: "nn.Module") -> dict[str, NDArray[Any]]:
    return {
        name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()
    }
