"""How kinds of files are told apart by their first bytes and the names in them."""


def is_saved_model(head: bytes) -> bool:
    """A SavedModel of TensorFlow begins as an ONNX file of version 1 does: look further.

    Field 2 holds a MetaGraphDef, which begins with its first field; in ONNX, a maker's name.
    """
    if not head.startswith(b"\x08\x01\x12"):
        return False
    rest = head[3:13]
    length = next((place for place, byte in enumerate(rest) if byte < 0x80), len(rest))
    return rest[length + 1 : length + 2] == b"\x0a"
