"""Exported programs of torch (`.pt2`), checked before torch reads them.

`torch.export.load` unpickles what will not load otherwise, looks up whatever function a node
names, and evaluates sizes as Python text. So nothing is handed to it but what a checked program
holds: known operators, plain names, sums and products of sizes, and numbers stored as bytes.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from toolkit.opening.archive import damaged, members

MODEL = "models/model.json"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
SAMPLES = "data/sample_inputs/model.pt"
KEPT = re.compile(
    r"models/model\.json|archive_format|archive_version|byteorder|\.data/\w+"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
)
DEPTH = 200  # of nested lists and objects
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
DOTTED = re.compile(r"[\w.]*", re.ASCII)
PLAIN = re.compile(r"[\w.:,+\-> ]{0,200}", re.ASCII)
SIZE = re.compile(
    r"(?:Symbol\('[a-z]+\d+'(?:, [a-z]+=(?:True|False))*\)|Integer\(-?\d{1,18}\)|-?\d{1,18}(?!\d)"
    r"|(?:Add|Mul|Max|Min|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv|Mod|PythonMod)\(|[)(, ])*",
    re.ASCII,
)
TARGET = re.compile(
    r"torch\.ops\.(?:aten|prims|quantized_decomposed)\.\w+(?:\.\w+)?"
    r"|torch\.ops\.higher_order\.(?:cond|while_loop|scan|wrap_with_set_grad_enabled"
    r"|wrap_with_autocast)"
    r"|_operator\.(?:getitem|add|sub|mul|floordiv|truediv|mod|neg|pos|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|math\.(?:ceil|floor|trunc|sqrt)|torch\.sym_\w+",
    re.ASCII,
)
FILES = re.compile(r"torch\.ops\.aten\.(?:from_file|save|load)\b")  # they read or write files
TREES = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None}


def checked(path: Path) -> io.BytesIO:
    """The same program as an archive that is safe to load: without pickles, on the CPU.

    Raises:
        IntegrityError: the archive is damaged, or says what no exporter writes.
        UnsupportedError: it uses operators or objects of its own.
    """
    held = members(path)
    program, *configs = (parsed(held, name, path) for name in (MODEL, *CONFIGS))
    for config in configs:
        refuse_pickles(config, path)
    refuse_operators(program, path)
    try:
        program["guards_code"] = []
        module = program["graph_module"]
        for node in nodes_in(module):
            node["metadata"] = {}
        sound = all(plain(key, text) for key, text in texts(program, 0))
    except (TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise strange(path) from error
    if not sound or not all(plain(k, t) for config in configs for k, t in texts(config, 0)):
        raise strange(path)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in held.items():
            if KEPT.fullmatch(name) and name not in (MODEL, *CONFIGS):
                archive.writestr(f"model/{name}", content)
        for name, said in zip((MODEL, *CONFIGS), (program, *configs), strict=True):
            archive.writestr(f"model/{name}", json.dumps(on_cpu(said)))
        archive.writestr(f"model/{SAMPLES}", b"")
    written.seek(0)
    return written


def parsed(held: Mapping[str, bytes], name: str, path: Path) -> dict[str, Any]:
    if name not in held:
        raise UnsupportedError(
            f"{path} has no {name}: it was written by an older torch.",
            "Load it with the torch that wrote it, and save it again with torch 2.8 or later.",
        )
    try:
        found = json.loads(held[name])
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    if not isinstance(found, dict):
        raise strange(path)
    return found


def refuse_pickles(config: dict[str, Any], path: Path) -> None:
    entries = config.get("config")
    if not isinstance(entries, dict):
        raise strange(path)
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise strange(path)
        place = str(entry.get("path_name"))
        if entry.get("use_pickle") is not False or not re.fullmatch(r"(weight|tensor)_\d+", place):
            raise UnsupportedError(
                f"{path} keeps {name[:80]!r} as a pickled object: unpickling runs whatever code "
                "is in the file.",
                "Export the model with plain tensors as weights and constants, without custom "
                "classes.",
            )


def refuse_operators(program: dict[str, Any], path: Path) -> None:
    """All of them at once: those that need a library of their own."""
    found = dict.fromkeys(
        text
        for key, text in texts(program.get("graph_module"), 0)
        if key in {"target", "as_operator"} and (not TARGET.fullmatch(text) or FILES.match(text))
    )
    if not found:
        return
    said = ", ".join(name.removeprefix("torch.ops.")[:80] for name in list(found)[:8])
    raise UnsupportedError(
        f"{path} uses {said}{' and more' if len(found) > 8 else ''}: operators that need a "
        "library of their own.",
        "Write the model with torch's own operators, and export it again.",
    )


def nodes_in(module: Any) -> Iterator[dict[str, Any]]:
    """The nodes of a graph, those of the graphs in their arguments included."""
    waiting = [module["graph"]]
    while waiting:
        for node in waiting.pop()["nodes"]:
            yield node
            for given in node["inputs"]:
                inner = given["arg"].get("as_graph") if isinstance(given["arg"], dict) else None
                if inner:
                    waiting.append(inner["graph"])


def texts(value: Any, depth: int, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value with the key it stands under; keys stand under none."""
    if depth > DEPTH:
        raise RecursionError
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for one in value:
            yield from texts(one, depth + 1, key)
    elif isinstance(value, dict):
        for inner, one in value.items():
            yield "", inner
            yield from texts(one, depth + 1, inner)


def plain(key: str, text: str) -> bool:
    """Whether a text is what an exporter writes at its place."""
    if key in {"target", "as_operator"}:
        return True  # checked before
    if key in {"in_spec", "out_spec"}:
        return not text or plain_tree(text)
    if key == "expr_str":
        return bool(SIZE.fullmatch(text))
    if key in {"name", "as_name", "forward_arg_names"}:
        return not text or bool(NAME.fullmatch(text))
    if key == "fqn" or key.endswith("_name"):
        return bool(DOTTED.fullmatch(text))
    return bool(PLAIN.fullmatch(text))


def plain_tree(text: str) -> bool:
    """Whether nested inputs are tuples, lists and tables, and no classes to be looked up."""
    try:
        _, tree = json.loads(text)
        waiting = [tree]
        while waiting:
            node = waiting.pop()
            context = json.loads(node["context"] or "null")
            names = isinstance(context, list) and all(isinstance(one, str) for one in context)
            if node["type"] not in TREES or not (context is None or names):
                return False
            waiting += node["children_spec"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return True


def on_cpu(value: Any) -> Any:
    """Programs exported on a graphics card run here as well."""
    if isinstance(value, list):
        return [on_cpu(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"type", "index"} and isinstance(value["type"], str):
        return {"type": "cpu", "index": None}
    return {key: on_cpu(one) for key, one in value.items()}


def strange(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} says what no exporter of torch writes: it was not loaded.",
        "Export the model again with torch.export.save.",
    )
