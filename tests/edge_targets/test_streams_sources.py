"""Every source keeps its word, on the real thing where this machine has it, or what stands in.

A pseudo-terminal is a serial line, a program that writes bytes is a recorder, mosquitto a broker.
"""

import contextlib
import os
import pty
import stat
import struct
import threading
import wave
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edge_targets.runtime.contract import Profile
from edge_targets.runtime.errors import DataError, DeviceError, EdgeError, UnsupportedError
from edge_targets.runtime.sketch import Sketch
from edge_targets.streams import v4l2
from edge_targets.streams.samples import Sample
from edge_targets.streams.sources import Source, sources
from edge_targets.streams.sources.base import World
from edge_targets.streams.sources.camera import Camera
from edge_targets.streams.sources.folder import Folder
from edge_targets.streams.sources.microphone import Microphone
from edge_targets.streams.sources.mqtt import Mqtt
from edge_targets.streams.sources.serial import Serial, frames
from edge_targets.streams.sources.simulated import Simulated
from tests.edge_targets import tiny
from tests.edge_targets.broker import Broker
from tests.edge_targets.tiny import free_port, wait_until


@pytest.fixture
def world() -> World:
    sketch = Sketch([0.0, 1.0])
    sketch.add([-0.5, 0.2, 0.8, 0.9, 1.5])
    return World(tiny.SIGNATURE, Profile(5, dict.fromkeys(("a", "b", "c"), sketch)))


def take(source: Source, world: World, count: int) -> list[Sample]:
    """The first samples; the source is closed then."""
    with contextlib.closing(source.samples(world)) as samples:
        return list(islice(samples, count))


@pytest.mark.parametrize("name", sources.names())
def test_every_source_explains_itself(name: str) -> None:
    member = sources[name]

    assert member.__doc__
    assert all(one.metadata["description"].endswith(".") for one in fields(member))


ABSENT = {
    "camera": Camera(device="/dev/no-camera", through="v4l2"),
    "folder": Folder("/no/such/folder"),
    "microphone": Microphone(program="/bin/false"),
    "mqtt": Mqtt(f"mqtt://127.0.0.1:{free_port()}", "t"),
    "serial": Serial("/dev/no-serial-line"),
}


@pytest.mark.parametrize("name", sorted(set(sources.names()) - {"simulated"}))
def test_what_is_not_there_is_told_so_that_it_can_be_tried_again(name: str, world: World) -> None:
    with pytest.raises(DeviceError) as caught:
        take(ABSENT[name], world, 1)

    assert caught.value.hint.endswith((".", "?"))


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker(free_port())
    broker.start()
    yield broker
    broker.stop()


def publishing(broker: Broker, topic: str, *payloads: bytes) -> None:
    """Publish again and again until the subscriber is surely there."""
    from paho.mqtt import publish

    for payload in payloads:
        publish.single(topic, payload, hostname="127.0.0.1", port=broker.port, qos=1)


def test_sensors_are_heard_over_mqtt(broker: Broker, world: World) -> None:
    source = Mqtt(broker.url, "hall/+", qos=1)
    heard: list[Sample] = []

    def listen() -> None:
        with contextlib.closing(source.samples(world)) as samples:
            heard.extend(islice(samples, 4))

    listener = threading.Thread(target=listen)
    listener.start()
    said = (b"1.5, 2, 3", b"hello", b'{"a": 1, "c": null}', b"[1, null, 3]", b"7")
    while listener.is_alive():
        publishing(broker, "hall/1", *said)
        listener.join(0.05)

    values = [one.values for one in heard]
    assert all(one.name == "hall/1" for one in heard)
    assert [1.5, 2.0, 3.0] in values
    assert {"a": 1, "c": None} in values
    assert "hello" not in map(str, values)


def test_a_source_over_mqtt_ends_when_it_is_told(broker: Broker, world: World) -> None:
    ended = threading.Event()

    def listen() -> None:
        assert list(Mqtt(broker.url, "t").samples(world)) == []
        ended.set()

    threading.Thread(target=listen).start()
    world.stopping.set()

    assert ended.wait(10)


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """Our end of a pseudo-terminal, and the name of the other."""
    ours, other = pty.openpty()
    import tty

    tty.setraw(other)
    yield ours, os.ttyname(other)
    for handle in (ours, other):
        with contextlib.suppress(OSError):
            os.close(handle)


def writing(handle: int, data: bytes, every_s: float = 0.05) -> Callable[[], None]:
    """Write from a thread, again and again, as sensors do; gives how to end it."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(every_s):
            with contextlib.suppress(OSError):
                os.write(handle, data)

    thread = threading.Thread(target=write)
    thread.start()

    def end() -> None:
        ended.set()
        thread.join()

    return end


def test_lines_of_a_serial_sensor_are_read(line: tuple[int, str], world: World) -> None:
    end = writing(line[0], b'sensor v1 ready\r\n1.5, 2 3\r\n{"a": 4}\n')

    found = take(Serial(line[1]), world, 4)

    end()
    assert [1.5, 2.0, 3.0] in [one.values for one in found]
    assert {"a": 4} in [one.values for one in found]


def test_frames_of_a_serial_sensor_are_found_among_noise(
    line: tuple[int, str], world: World
) -> None:
    frame = b"\xaa\x55" + struct.pack("<hf", -3, 0.5)
    end = writing(line[0], b"noise\xaa" + frame + frame)

    found = take(Serial(line[1], form="frames", frame="<hf", first="aa55"), world, 3)

    end()
    assert [one.values for one in found] == [[-3.0, 0.5]] * 3


def test_a_frame_in_two_halves_is_whole_in_the_end() -> None:
    layout, kept = struct.Struct("<2h"), bytearray(b"\xaa\x01\x00")

    assert list(frames(kept, layout, b"\xaa")) == []
    kept += b"\x02\x00\xaa"
    assert list(frames(kept, layout, b"\xaa")) == [[1.0, 2.0]]
    assert kept == b"\xaa"


def test_a_serial_line_that_is_pulled_out_is_told(line: tuple[int, str], world: World) -> None:
    end = writing(line[0], b"1\n")
    samples = Serial(line[1]).samples(world)
    next(samples)

    end()
    os.close(line[0])

    with pytest.raises(DeviceError, match="does not answer"):
        list(samples)


def recorder(folder: Path, data: bytes, then: str = "exec sleep 60") -> str:
    """A program that records: it writes those bytes, and then does that."""
    (folder / "sound.raw").write_bytes(data)
    program = folder / "recorder"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/words\ncat {folder}/sound.raw\n{then}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def test_sound_comes_in_windows_that_overlap(tmp_path: Path, world: World) -> None:
    values = np.arange(100, dtype="<i2") * 100
    source = Microphone(window=40, hop=20, program=recorder(tmp_path, values.tobytes()))

    found = take(source, world, 4)

    expected = [values[start : start + 40] / 32768 for start in (0, 20, 40, 60)]
    np.testing.assert_allclose([one.values for one in found], expected)
    assert (tmp_path / "words").read_text().split() == [
        *("-q", "-t", "raw", "-f", "S16_LE", "-D", "default", "-r", "16000", "-c", "1"),
    ]


@pytest.mark.parametrize(("hop", "starts"), [(0, (0, 10, 20)), (25, (0, 25, 50))])
def test_windows_of_two_channels_may_touch_or_lie_apart(
    tmp_path: Path, world: World, hop: int, starts: tuple[int, ...]
) -> None:
    values = np.arange(200, dtype="<i2").reshape(100, 2)
    program = recorder(tmp_path, values.tobytes())

    found = take(Microphone(window=10, hop=hop, channels=2, program=program), world, 3)

    expected = [values[start : start + 10] / 32768 for start in starts]
    np.testing.assert_allclose([one.values for one in found], expected)


def test_a_microphone_that_is_pulled_out_is_told_in_the_recorders_words(
    tmp_path: Path, world: World
) -> None:
    program = recorder(tmp_path, b"", "echo 'no such card' >&2; exit 1")

    with pytest.raises(DeviceError, match="no such card"):
        take(Microphone(program=program), world, 1)


def test_a_recorder_does_not_outlive_its_source(tmp_path: Path, world: World) -> None:
    program = recorder(tmp_path, bytes(400), f"echo $$ > {tmp_path}/pid; exec sleep 60")
    samples = Microphone(window=100, program=program).samples(world)
    next(samples)
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())

    samples.close()

    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_without_a_recorder_it_says_what_to_install(world: World) -> None:
    with pytest.raises(UnsupportedError, match="is not there") as caught:
        take(Microphone(program="no-such-recorder"), world, 1)

    assert "alsa-utils" in caught.value.hint


def fill(folder: Path) -> None:
    from PIL import Image

    np.save(folder / "1.npy", np.ones((2, 3), np.float32))
    (folder / "2.csv").write_text("a,b,c\n1,2,3\n4,,6\n")
    with wave.open(str(folder / "3.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.array([0, 16384], "<i2").tobytes())
    Image.new("RGB", (5, 4), (255, 0, 7)).save(folder / "4.png")
    (folder / "5.png").write_bytes(b"no picture")
    (folder / "6.txt").write_text("nothing of ours")
    for place, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (place, place))


def test_files_of_every_kind_are_read_the_oldest_first(tmp_path: Path, world: World) -> None:
    fill(tmp_path)

    found = list(Folder(str(tmp_path), once=True).samples(world))

    assert [one.name for one in found] == [
        *("1.npy:0", "1.npy:1", "2.csv:0", "2.csv:1", "3.wav", "4.png"),
    ]
    assert found[3].values == {"a": "4", "b": None, "c": "6"}
    assert found[4].values.tolist() == [0, 0.5]
    assert found[5].values.shape == (4, 5, 3)
    assert found[5].values[0, 0].tolist() == [255, 0, 7]


def test_a_new_file_is_read_once_when_it_has_stopped_growing(tmp_path: Path, world: World) -> None:
    source = Folder(str(tmp_path), every_s=0.05, then="move")
    found: list[str] = []

    def watch() -> None:
        found.extend(one.name for one in source.samples(world))

    watcher = threading.Thread(target=watch)
    watcher.start()
    (tmp_path / "a.csv").write_text("a\n1\n")
    wait_until(lambda: found or (tmp_path / "done" / "a.csv").exists())
    (tmp_path / "b.csv").write_text("a\n1\n2\n")
    wait_until(lambda: (tmp_path / "done" / "b.csv").exists())
    world.stopping.set()
    watcher.join(10)

    assert found == ["a.csv:0", "b.csv:0", "b.csv:1"]
    assert not list(tmp_path.glob("*.csv"))


def test_files_that_are_kept_are_not_read_again(tmp_path: Path, world: World) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 3)))
    samples = Folder(str(tmp_path), every_s=0.05).samples(world)

    first = next(samples)
    threading.Timer(0.5, world.stopping.set).start()

    assert (first.name, list(samples)) == ("a.npy:0", [])


def test_a_bomb_of_a_picture_is_not_unpacked(tmp_path: Path, world: World) -> None:
    from PIL import Image

    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")

    assert list(Folder(str(tmp_path), once=True).samples(world)) == []


def test_a_file_is_replayed_over_and_over(tmp_path: Path, world: World) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))

    found = take(Simulated(path=str(tmp_path / "a.npy")), world, 5)

    assert [one.values.tolist() for one in found] == [[0, 1, 2], [3, 4, 5]] * 2 + [[0, 1, 2]]


def test_a_file_without_samples_is_no_endless_loop(tmp_path: Path, world: World) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")

    with pytest.raises(DataError, match="holds no samples"):
        take(Simulated(path=str(tmp_path / "a.csv")), world, 1)


def test_random_samples_are_spread_as_in_the_profile(world: World) -> None:
    found = np.array([one.values for one in take(Simulated(), world, 600)])

    assert found.shape == (600, 3)
    assert (found.min(), found.max()) == pytest.approx((-0.5, 1.5), abs=0.01)
    shares = [(found < 0).mean(), ((found >= 0) & (found < 1)).mean(), (found >= 1).mean()]
    assert shares == pytest.approx([0.2, 0.6, 0.2], abs=0.05)
    again = np.array([one.values for one in take(Simulated(), world, 600)])
    np.testing.assert_array_equal(found, again)


def test_what_is_no_camera_is_told(world: World) -> None:
    with pytest.raises(EdgeError, match="/dev/null gives no frames"):
        take(Camera(device="/dev/null", through="v4l2"), world, 1)


def test_the_kernels_numbers_are_those_of_its_headers() -> None:
    # from linux/videodev2.h, as a C program prints them on a 64-bit system
    assert (v4l2.QUERYCAP, v4l2.S_FMT, v4l2.REQBUFS) == (0x80685600, 0xC0D05605, 0xC0145608)
    assert (v4l2.QUERYBUF, v4l2.QBUF, v4l2.DQBUF) == (0xC0585609, 0xC058560F, 0xC0585611)
    assert v4l2.STREAMON == 0x40045612


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((16, 128, 128), (0, 0, 0)),
        ((235, 128, 128), (255, 255, 255)),
        ((81, 90, 240), (254, 0, 0)),  # ITU-R BT.601's red, as anybody's tables have it
        ((41, 240, 110), (0, 0, 255)),
    ],
)
def test_colours_of_a_webcam_are_those_of_the_standard(
    yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    light, blue, red = yuv

    frame = v4l2.decoded(bytes([light, blue, light, red] * 4), v4l2.YUYV, 4, 2)

    assert frame.shape == (2, 4, 3)
    np.testing.assert_allclose(frame, np.broadcast_to(rgb, (2, 4, 3)), atol=1)


def test_a_compressed_frame_of_a_webcam_is_read() -> None:
    import io

    from PIL import Image

    packed = io.BytesIO()
    Image.new("RGB", (16, 8), (200, 30, 30)).save(packed, "JPEG")

    frame = v4l2.decoded(packed.getvalue(), v4l2.MJPEG, 16, 8)

    assert frame.shape == (8, 16, 3)
    np.testing.assert_allclose(frame[4, 8], (200, 30, 30), atol=4)
