"""Programs that torch.export.save wrote (`.pt2`)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_targets.runtime.events import Job
from toolkit.importers.base import GIB, Found, Given, Importer, Source
from toolkit.opening.archive import damaged, inside
from toolkit.opening.exporting import exported
from toolkit.opening.opened import taken_over
from toolkit.opening.program import checked

OLD = "serialized_exported_program.json"  # of torch before 2.8


class TorchExport(Importer):
    """Exported programs, without anything that would have to be unpickled; names are kept."""

    title = "torch.export (.pt2)"
    memory_bytes = 2 * GIB

    @classmethod
    def accepts(cls, source: Source) -> bool:
        names = inside(source)
        return any(name.startswith("models/") for name in names) or OLD in source.members

    def read(self, source: Source, given: Given, job: Job) -> Found:
        file = source.path
        job.step("read the program", 0, 2)
        archive = checked(file)
        program = load(archive, file)
        job.step("export to ONNX", 1, 2)
        found = taken_over(exported(program, file), file, given, job)
        return replace(found, opset=0, metadata={})


def load(archive: Any, file: Path) -> Any:
    import torch

    try:
        return torch.export.load(archive)
    except Exception as error:  # torch's readers raise whatever went wrong
        raise damaged(file, error) from error
