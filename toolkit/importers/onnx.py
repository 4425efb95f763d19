"""ONNX files."""

from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source
from toolkit.onnx_graph import decode
from toolkit.opening.kinds import is_saved_model
from toolkit.opening.opened import taken_over

FIELDS = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42}  # tags of ModelProto's fields 2 to 8
SAFETENSORS = b"\0\0\0\0{"  # the end of the length before its header, and that one's start


class Onnx(Importer):
    """Any graph the runtime loads whose first axes are a batch; opsets are raised to ours."""

    title = "ONNX"
    time_s = 60

    @classmethod
    def accepts(cls, source: Source) -> bool:
        head = source.head
        # protobuf: field 1 (ir_version), a small number, then another known field of ModelProto
        known = len(head) > 3 and head[0] == 0x08 and head[1] < 0x20 and head[2] in FIELDS
        return known and not is_saved_model(head) and head[4:9] != SAFETENSORS

    @classmethod
    def weight_bytes(cls, source: Source) -> int:
        """With the files of the folder that may hold its weights: called like it, or `.data`."""
        folder, stem = source.path.parent, source.path.stem
        beside = (one for one in folder.iterdir() if one != source.path and one.is_file())
        mine = (one for one in beside if one.suffix == ".data" or one.name.startswith(stem))
        return source.size + sum(one.stat().st_size for one in mine)

    def read(self, source: Source, given: Given, job: Job) -> Found:
        return taken_over(decode(source.path.read_bytes()), source.path, given, job)
