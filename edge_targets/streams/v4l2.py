"""Frames of a camera through the kernel's own interface, Video4Linux2: ioctls and shared memory.

https://docs.kernel.org/userspace-api/media/v4l/capture-example.html, by `struct` alone. The sizes
are those of 64-bit systems. YUYV and MJPEG are read: between them what webcams give.
"""

import fcntl
import mmap
import os
import selectors
import struct
from collections.abc import Callable, Iterator
from typing import Any

from edge_targets.runtime.errors import DeviceError, UnsupportedError

CAPTURE, MAPPED, ANY_FIELD = 1, 1, 0
YUYV, MJPEG = (int.from_bytes(code, "little") for code in (b"YUYV", b"MJPG"))
BUFFERS = 3
SILENT_S = 5.0
LOOK_S = 0.25
MAX_SIDE = 8192

# struct v4l2_capability, v4l2_format, v4l2_requestbuffers and v4l2_buffer
CAPABILITY = struct.Struct("16s32s32sIII12x")
FORMAT = struct.Struct("I4x5I2I6I148x")
REQUEST = struct.Struct("4IB3x")
BUFFER = struct.Struct("5I4xqq16sIIQIIiI")


def _code(direction: int, size: int, number: int) -> int:
    """`_IOR`, `_IOW` and `_IOWR` of the kernel's headers."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _code(2, CAPABILITY.size, 0)
S_FMT = _code(3, FORMAT.size, 5)
REQBUFS = _code(3, REQUEST.size, 8)
QUERYBUF = _code(3, BUFFER.size, 9)
QBUF = _code(3, BUFFER.size, 15)
DQBUF = _code(3, BUFFER.size, 17)
STREAMON = _code(1, 4, 18)
CAN_CAPTURE, CAN_STREAM, OWN_CAPS = 1, 1 << 26, 1 << 31


def frames(device: str, width: int, height: int, stopped: Callable[[], bool]) -> Iterator[Any]:
    """Frames as uint8 arrays, shape (height, width, 3), until `stopped`.

    Raises:
        DeviceError: the camera is not there, or is gone.
        UnsupportedError: it gives no frames that are read here.
    """
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise _lost(device, error) from error
    maps: list[mmap.mmap] = []
    try:
        kind, size = _configured(device, handle, width, height)
        maps += _mapped(handle)
        fcntl.ioctl(handle, STREAMON, struct.pack("i", CAPTURE))
        for data in _filled(device, handle, maps, stopped):
            yield decoded(data, kind, *size)
    except OSError as error:
        raise _lost(device, error) from error
    finally:
        for one in maps:
            one.close()
        os.close(handle)  # ends the stream and frees its buffers


def _lost(device: str, error: OSError) -> DeviceError:
    return DeviceError(
        f"{device} gives no frames: {error.strerror or error}.",
        "Is the camera plugged in, and used by nobody else?",
    )


def _configured(device: str, handle: int, width: int, height: int) -> tuple[int, tuple[int, int]]:
    """The format that the camera agreed to: it may choose another size than asked for."""
    answer = CAPABILITY.unpack(fcntl.ioctl(handle, QUERYCAP, bytes(CAPABILITY.size)))
    able = answer[5] if answer[4] & OWN_CAPS else answer[4]
    if not (able & CAN_CAPTURE and able & CAN_STREAM):
        raise UnsupportedError(f"{device} is no camera.", "Try /dev/video0, or picamera2.")
    for wanted in (YUYV, MJPEG):
        asked = FORMAT.pack(CAPTURE, width, height, wanted, ANY_FIELD, *[0] * 9)
        found = FORMAT.unpack(fcntl.ioctl(handle, S_FMT, asked))
        wide, high, kind = found[1:4]
        if kind == wanted and 0 < wide <= MAX_SIDE and 0 < high <= MAX_SIDE:
            return kind, (wide, high)
    raise UnsupportedError(
        f"{device} gives neither YUYV nor MJPEG.", "Use picamera2 for cameras of the board."
    )


def _mapped(handle: int) -> Iterator[mmap.mmap]:
    request = REQUEST.pack(BUFFERS, CAPTURE, MAPPED, 0, 0)
    count = REQUEST.unpack(fcntl.ioctl(handle, REQBUFS, request))[0]
    for index in range(min(count, BUFFERS)):
        answer = fcntl.ioctl(handle, QUERYBUF, _buffer(index))
        offset, length = BUFFER.unpack(answer)[10] & 0xFFFFFFFF, BUFFER.unpack(answer)[11]
        yield mmap.mmap(handle, length, offset=offset)
        fcntl.ioctl(handle, QBUF, _buffer(index))


def _buffer(index: int) -> bytes:
    return BUFFER.pack(index, CAPTURE, 0, 0, 0, 0, 0, bytes(16), 0, MAPPED, 0, 0, 0, 0, 0)


def _filled(
    device: str, handle: int, maps: list[mmap.mmap], stopped: Callable[[], bool]
) -> Iterator[bytes]:
    silent_s = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while not stopped():
            if not selector.select(LOOK_S):
                silent_s += LOOK_S
                if silent_s >= SILENT_S:
                    raise DeviceError(f"{device} gives no frames.", "Plug it out and in again.")
                continue
            silent_s = 0.0
            answer = BUFFER.unpack(fcntl.ioctl(handle, DQBUF, _buffer(0)))
            index, used = answer[0], answer[2]
            data = maps[index][:used]
            fcntl.ioctl(handle, QBUF, _buffer(index))
            yield data


def decoded(data: bytes, kind: int, width: int, height: int) -> Any:
    """One frame as red, green and blue."""
    if kind == MJPEG:
        import io

        import numpy as np

        try:
            from PIL import Image
        except ImportError as error:
            raise UnsupportedError(
                "Pillow, which reads MJPEG frames, is not installed.", "Install python3-pil."
            ) from error
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            return np.asarray(picture.convert("RGB"))
    return from_yuyv(data, width, height)


def from_yuyv(data: bytes, width: int, height: int) -> Any:
    """ITU-R BT.601, limited range: two pixels share their colour."""
    import numpy as np

    pairs = np.frombuffer(data[: 2 * width * height], np.uint8).reshape(height, width // 2, 4)
    light = 1.164 * (pairs[..., 0::2].reshape(height, width).astype(np.float32) - 16)
    blue = np.repeat(pairs[..., 1].astype(np.float32) - 128, 2, axis=1)
    red = np.repeat(pairs[..., 3].astype(np.float32) - 128, 2, axis=1)
    mixed = (light + 1.596 * red, light - 0.813 * red - 0.391 * blue, light + 2.018 * blue)
    return np.stack(mixed, axis=-1).round().clip(0, 255).astype(np.uint8)
