"""Weights that an ONNX file keeps in other files (onnx/docs/ExternalData.md).

The file says where they lie, so where they may lie is bounded: in the model's own folder.
"""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from edge_targets.runtime.errors import DataError, IntegrityError, UnsupportedError
from toolkit.onnx_graph import nodes_of

MOST_BYTES = 1 << 30  # of all weights: what a graph of one file may hold lies below 2 GiB


def inline(model: Any, file: Path) -> int:
    """Put the weights that lie in other files into the graph; how many bytes they had.

    Raises:
        UnsupportedError: a place outside the model's folder, or more than fits.
        DataError: a file that is not there.
        IntegrityError: a file that is shorter than the model says.
    """
    total = 0
    for tensor in tensors_of(model.graph, model.functions):
        if not tensor.external_data and tensor.data_location != tensor.EXTERNAL:
            continue
        entry = {pair.key: pair.value for pair in tensor.external_data}
        size = size_of(tensor, file)
        total += size
        if total > MOST_BYTES:
            raise UnsupportedError(
                f"{file} keeps more than {MOST_BYTES >> 20} MiB of weights in other files.",
                "No device takes a model of this size: make it smaller first.",
            )
        place = inside(entry.get("location", ""), file)
        offset, length = number(entry, "offset", 0, file), number(entry, "length", size, file)
        if length != size:
            raise IntegrityError(
                f"{file}: weight {tensor.name!r} has {size:,} bytes by its shape, and {length:,} "
                f"in {place.name}.",
                "Copy or export the model and its data file again, together.",
            )
        del tensor.external_data[:]
        tensor.data_location = tensor.DEFAULT
        tensor.raw_data = content(place, offset, size, file)
    return total


def tensors_of(graph: Any, functions: Any = ()) -> Iterator[Any]:
    """Every stored tensor, those in attributes, branches and functions included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in [*nodes_of(graph), *(inner for f in functions for inner in nodes_of(f))]:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            body = [attribute.g] if attribute.HasField("g") else []
            for inner in (*body, *attribute.graphs):
                yield from inner.initializer


def size_of(tensor: Any, file: Path) -> int:
    """Bytes of a tensor, by its type and shape."""
    import onnx

    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, TypeError) as error:
        raise UnsupportedError(
            f"{file}: weight {tensor.name!r} in another file has a type of no fixed size.",
            "Save the model with this weight inside.",
        ) from error
    values = math.prod(tensor.dims)
    packed = {onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1}
    size: int = (values + 1) // 2 if tensor.data_type in packed else values * dtype.itemsize
    if any(dim < 0 for dim in tensor.dims) or dtype.kind in "OSU":
        raise IntegrityError(
            f"{file}: weight {tensor.name!r} has shape {list(tensor.dims)}.",
            "Copy or export the model again.",
        )
    return size


def number(entry: dict[str, str], key: str, default: int, file: Path) -> int:
    text = entry.get(key, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise IntegrityError(
            f"{file} says {key} {text[:40]!r} of a data file.", "Copy or export the model again."
        )
    return int(text)


def inside(location: str, file: Path) -> Path:
    """Where a data file lies; only ever in the folder of the model, links followed."""
    folder = file.parent.resolve()
    written = PurePosixPath(location.replace("\\", "/"))
    place = (folder / written).resolve() if "\0" not in location else folder
    stays = place.is_relative_to(folder) and place != folder
    if not location or written.is_absolute() or ".." in written.parts or not stays:
        raise UnsupportedError(
            f"{file} keeps its weights in another file, {location!r}, which is not in its folder: "
            "it was not read.",
            "Save it with the weights inside: onnx.save(model, path) after onnx.load(path).",
        )
    return place


def content(place: Path, offset: int, size: int, file: Path) -> bytes:
    try:
        held = place.stat().st_size
        if offset + size > held:
            raise IntegrityError(
                f"{place} has {held:,} bytes; {file.name} needs {offset + size:,}.",
                "Copy or export the model and its data file again, together.",
            )
        with place.open("rb") as stream:
            stream.seek(offset)
            return stream.read(size)
    except OSError as error:
        raise DataError(
            f"{file} keeps its weights in another file, {place.name}, which cannot be read: "
            f"{error.strerror}.",
            "Put it beside the model, under the name it was exported with.",
        ) from error
