"""TorchScript programs that torch.jit.save wrote."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source
from toolkit.onnx_graph import BATCH, OPSET, decode
from toolkit.opening.archive import damaged, inside
from toolkit.opening.exporting import untranslatable
from toolkit.opening.opened import taken_over
from toolkit.opening.script import checked, traced_inputs
from toolkit.quiet import quiet

EXPORT = (
    "Or export it anew: torch.export.save(torch.export.export(model.eval(), (example,)), "
    '"model.pt2").'
)


class TorchScript(Importer):
    """Traced and scripted programs; a scripted one does not say its inputs' sizes: give them."""

    title = "TorchScript"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        names = inside(source)
        return "constants.pkl" in names and any(name.startswith("code/") for name in names)

    def read(self, source: Source, given: Given, job: Job) -> Found:
        file = source.path
        job.step("read the program", 0, 2)
        held = checked(file)
        program = load(file)
        names = input_names(program, file)
        examples, notes = example(program, names, given, traced_inputs(held), file)
        job.step("export to ONNX", 1, 2)
        graph = exported(program, examples, file)
        found = taken_over(graph, file, Given(), job)
        return replace(found, opset=0, metadata={}, notes=(*notes, *found.notes))


def load(file: Path) -> Any:
    import torch

    try:
        with quiet():
            program: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(file.read_bytes()), map_location="cpu"
            )
            return program.eval()
    except Exception as error:  # torch's readers raise whatever went wrong
        raise damaged(file, error) from error


def input_names(program: Any, file: Path) -> list[str]:
    """Of the tensors that `forward` needs.

    Raises:
        UnsupportedError: it needs something else.
    """
    try:
        arguments = program._c._get_method("forward").schema.arguments[1:]
    except RuntimeError as error:
        raise UnsupportedError(
            f"{file} holds a program without a method `forward`.", EXPORT
        ) from error
    names = []
    for argument in arguments:
        if argument.has_default_value():
            continue
        if str(argument.type) != "Tensor":
            raise UnsupportedError(
                f"{file}: its input {argument.name!r} is of type {argument.type}, not a tensor.",
                f"Give `forward` tensors only. {EXPORT}",
            )
        names.append(str(argument.name))
    if not names:
        raise UnsupportedError(f"{file} holds a program that takes no tensor.", EXPORT)
    return names


def example(
    program: Any, names: Sequence[str], given: Given, traced: Sequence[Any], file: Path
) -> tuple[dict[str, Any], list[str]]:
    """One item for each input: of the sizes the user says, else those it was traced with."""
    import torch

    if unknown := set(given.shapes) - set(names):
        raise UnsupportedError(
            f"{file} has no input {min(unknown)!r}.", f"It takes: {', '.join(names)}."
        )
    shapes = {name: tuple(one.shape) for name, one in zip(names, traced, strict=False)}
    kinds = {name: one.dtype for name, one in zip(names, traced, strict=False)}
    shapes |= given.shapes
    notes = []
    if len(names) == 1 and not shapes and (width := first_width(program)):
        shapes[names[0]] = (1, width)
        notes.append(f"The shape of {names[0]!r} is taken from its first weight: [batch, {width}].")
    said = ""
    if set(shapes) >= set(names) and all(shapes.values()):
        for kind in (torch.float32, torch.int64):
            found = {
                name: torch.zeros((1, *shapes[name][1:]), dtype=kinds.get(name, kind))
                for name in names
            }
            try:
                with torch.no_grad():
                    program(**found)
            except Exception as error:  # noqa: BLE001 - TorchScript's errors share no base
                lines = [line for line in str(error).splitlines() if line.strip()] or ["?"]
                said = said or f"it does not take {words(shapes)} ({lines[-1][:200].strip()})"
                continue
            return found, notes
    hint = " ".join(f"--shape {name}=1,3,224,224" for name in names)
    raise UnsupportedError(
        f"{file} cannot be exported: {said or 'it does not say the sizes of its inputs'}.",
        f"Say the sizes, batch first, such as {hint}. {EXPORT}",
    )


def words(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name}={','.join(map(str, shape))}" for name, shape in shapes.items())


def first_width(program: Any) -> int:
    """How many numbers the first layer takes, where that is fully connected; else 0."""
    first = next((p for p in program.parameters() if p.dim() > 1), None)
    return int(first.shape[1]) if first is not None and first.dim() == 2 else 0


def exported(program: Any, examples: Mapping[str, Any], file: Path) -> Any:
    """Through torch's older exporter: the newer one takes no TorchScript."""
    import torch

    with torch.no_grad():
        outputs = output_names(program(**examples), file)
    written: Any = io.BytesIO()  # which this exporter takes, whatever its signature says
    try:
        with quiet():  # with gradients: without, layers take a faster way that ONNX does not know
            torch.onnx.export(
                program,
                tuple(examples.values()),
                written,
                dynamo=False,
                opset_version=OPSET,
                input_names=list(examples),
                output_names=outputs,
                dynamic_axes={name: {0: BATCH} for name in (*examples, *outputs)},
            )
    except Exception as error:  # the exporter's errors share no other base
        raise untranslatable(file, error) from error
    return decode(written.getvalue())


def output_names(answer: Any, file: Path) -> list[str]:
    import torch

    if isinstance(answer, torch.Tensor):
        return ["output"]
    several = isinstance(answer, tuple | list) and answer
    if not several or not all(isinstance(one, torch.Tensor) for one in answer):
        raise UnsupportedError(
            f"{file} answers with {type(answer).__name__}, not with tensors.",
            f"Let `forward` return a tensor, or a tuple of tensors. {EXPORT}",
        )
    return [f"output_{index}" for index in range(len(answer))]
