"""Weights without their network: a state_dict of torch.save, or a safetensors file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_targets.runtime.contract import Signature, TensorSpec
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source, labelled, layout_of
from toolkit.model import Model, refuse_huge
from toolkit.networks import Network, networks
from toolkit.opening.archive import damaged, inside, members
from toolkit.parameters import from_words
from toolkit.quiet import quiet

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch before 1.6
MOST_HEADER = 100 << 20  # bytes of a safetensors header, by its own rules
SHOWN = 8  # names in an error
COUNTER = "num_batches_tracked"  # of batch norm: evaluation goes without it
EXPORT = (
    'torch.export.save(torch.export.export(model.eval(), (example,)), "model.pt2") writes a file '
    "with its architecture."
)


class TorchWeights(Importer):
    """Weights for one of our networks, which is named beside them; it can be trained further."""

    title = "torch weights (state_dict, safetensors)"
    takes_network = True

    @classmethod
    def accepts(cls, source: Source) -> bool:
        names = inside(source)
        if "data.pkl" in names:
            return "constants.pkl" not in names
        return source.head.startswith(LEGACY) or is_safetensors(source)

    def read(self, source: Source, given: Given, job: Job) -> Found:
        file = source.path
        job.step("read the weights", 0, 1)
        state, notes = weights_of(source)
        if not given.network:
            raise UnsupportedError(
                f"{file} holds weights, and not the network that they belong to: {listed(state)}.",
                f"Name one of ours with --network ({', '.join(networks.names())}), or export the "
                f"whole model: {EXPORT}",
            )
        network = from_words(networks[given.network], given.words)
        name, shape = input_shape(state, given, file)
        outputs = next((v.shape[0] for v in reversed(state.values()) if v.dim() == 2), 0)
        if not outputs:
            raise UnsupportedError(
                f"{file} has no fully connected layer at its end: {listed(state)}.",
                f"Our networks have one: export the whole model. {EXPORT}",
            )
        arrays = fitted(network, shape, int(outputs), state, file)
        signature = labelled(
            Signature((TensorSpec(name, (-1, *shape)),), (TensorSpec("scores", (-1, outputs)),))
        )
        model = Model(signature, network, weights=arrays)
        if signature.labels:
            notes.append(f"Its {outputs} outputs are taken for the scores of classes.")
        job.step("read the weights", 1, 1)
        return Found(model, layout_of(signature), notes=tuple(notes))


def is_safetensors(source: Source) -> bool:
    length = int.from_bytes(source.head[:8], "little")
    return 2 <= length <= min(MOST_HEADER, source.size - 8) and source.head[8:9] == b"{"


def weights_of(source: Source) -> tuple[dict[str, Any], list[str]]:
    """Tensors by name; only tensors are unpickled, never objects."""
    import torch

    file = source.path
    if not source.members and is_safetensors(source):
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            found = load(file.read_bytes())
        except (SafetensorError, ValueError, KeyError, OverflowError, RuntimeError) as error:
            raise damaged(file, error) from error
        return {name: found[name] for name in sorted(found, key=in_order)}, []
    if source.members:
        members(file)  # within bounds, before torch reads it
    try:
        with quiet():
            held = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:  # torch's readers raise whatever went wrong
        raise unloadable(file, error) from error
    return tensors_in(held, file)


def in_order(name: str) -> list[tuple[int, str]]:
    """Layer 11 comes after layer 3: this format keeps names in the order of letters."""
    return [(int(part) if part.isdecimal() else -1, part) for part in name.split(".")]


def unloadable(file: Path, error: Exception) -> UnsupportedError | IntegrityError:
    """A whole model was pickled, or the file is damaged."""
    if found := re.search(r"(?:GLOBAL|[Cc]lass|function)\s+([\w.]+\.\w+)", str(error)):
        return UnsupportedError(
            f"{file} holds pickled objects ({found[1]}), and not weights alone: unpickling them "
            "would run whatever code is in the file, so it was not loaded.",
            f"Where you trust it, load it in the program that made it; {EXPORT} Or save its "
            "weights alone: torch.save(model.state_dict(), path).",
        )
    return damaged(file, error)


def tensors_in(held: Any, file: Path) -> tuple[dict[str, Any], list[str]]:
    """The weights among what a checkpoint holds: the table with the most numbers in tensors."""
    import torch

    def tensors(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            return {}
        found = {k: v for k, v in value.items() if isinstance(v, torch.Tensor)}
        return found if all(isinstance(key, str) for key in found) else {}

    tables = {"": held} | (dict(held) if isinstance(held, Mapping) else {})
    sizes = {key: sum(v.numel() for v in tensors(one).values()) for key, one in tables.items()}
    best = max(sizes, key=lambda key: sizes[key])
    if not sizes[best]:
        raise UnsupportedError(
            f"{file} holds no weights by name.",
            "Save them with torch.save(model.state_dict(), path).",
        )
    notes = [f"Its weights are those of {best!r} in the checkpoint."] if best else []
    return tensors(tables[best]), notes


def listed(state: Mapping[str, Any]) -> str:
    said = [f"{name} {list(value.shape)}" for name, value in list(state.items())[:SHOWN]]
    more = f", and {len(state) - SHOWN} more" if len(state) > SHOWN else ""
    return ", ".join(said) + more


def input_shape(state: Mapping[str, Any], given: Given, file: Path) -> tuple[str, tuple[int, ...]]:
    """Of one item: as the user says, or as wide as the first layer where that is enough."""
    if len(given.shapes) > 1:
        raise UnsupportedError(
            f"{file}: our networks take one input, and {len(given.shapes)} shapes are given.",
            "Give one: --shape input=1,3,32,32.",
        )
    for name, shape in given.shapes.items():
        if len(shape) < 2 or min(shape[1:]) < 1:
            raise UnsupportedError(
                f"{file}: {list(shape)} is no shape of an input.",
                "Write all sizes, batch first: --shape input=1,3,32,32.",
            )
        return name, tuple(shape[1:])
    first = next((value for value in state.values() if value.dim() > 1), None)
    if first is not None and first.dim() == 2:
        return "input", (int(first.shape[1]),)
    channels = int(first.shape[1]) if first is not None else 3
    raise UnsupportedError(
        f"{file} does not say the height and width of its input.",
        f"Say them: --shape input=1,{channels},32,32.",
    )


def fitted(
    network: Network, shape: tuple[int, ...], outputs: int, state: Mapping[str, Any], file: Path
) -> dict[str, Any]:
    """The weights under the names that a model of ours gives them.

    Raises:
        UnsupportedError: names those that are missing, left over or of another shape.
    """
    import torch

    refuse_huge(network, shape, outputs)
    with torch.device("meta"):  # shapes without numbers
        expected = network.build(shape, outputs).state_dict()
    found = unprefixed(state, expected)
    shapes = {name: list(value.shape) for name, value in expected.items()}
    problems = [f"{n} {s} is missing" for n, s in shapes.items() if n not in found]
    problems = [one for one in problems if COUNTER not in one]
    problems += [f"{n} {list(found[n].shape)} is left over" for n in found if n not in shapes]
    problems += [
        f"{name} is {list(found[name].shape)}, not {size}"
        for name, size in shapes.items()
        if name in found and list(found[name].shape) != size
    ]
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UnsupportedError(
            f"{file} does not fit this network: {'; '.join(problems[:SHOWN])}{more}.",
            "Set the network's parameters as it was trained (--set channels=8,16), or name "
            "another network.",
        )
    return {
        # the network is the second part of our modules, after the feature steps
        f"1.{name}": plain(found.get(name), value)
        for name, value in expected.items()
    }


def unprefixed(state: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Without the names of wrappers in front (`module.`, `_orig_mod.`), where that fits better."""
    found = dict(state)
    while found and not set(expected) <= set(found):
        firsts = {name.partition(".")[0] for name in found}
        shorter = {name.partition(".")[2]: value for name, value in found.items()}
        if len(firsts) > 1 or "" in shorter:
            break
        found = shorter
    better = len(set(found) & set(expected)) > len(set(state) & set(expected))
    return found if better else dict(state)


def plain(value: Any, like: Any) -> Any:
    """In the type that training uses; a counter that the file leaves out starts at nothing."""
    import torch

    held = torch.zeros_like(like, device="cpu") if value is None else value
    return held.detach().to(like.dtype).contiguous().numpy()
