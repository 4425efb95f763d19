"""What the workspace remembers of a device."""

from pathlib import Path

import pytest

from edge_targets.runtime.errors import DeviceError
from edge_targets.runtime.events import QUIET
from toolkit import devices, shipping
from toolkit.workspace import Workspace


def test_a_device_is_no_longer_remembered_with_a_model_it_dropped(
    line: Workspace, tmp_path: Path
) -> None:
    for served in ("left", "right"):
        shipping.package(line, "m-int8.onnx", "simulator", f"drop-{served}", served, QUIET)
    devices.add(line, "drop-desk", str(tmp_path / "desk"), "simulator", "", QUIET)
    try:
        for served in ("left", "right"):
            shipping.deploy(line, f"drop-{served}", "drop-desk", QUIET)

        devices.drop(line, "drop-desk", "left")

        record = line.get("devices", "drop-desk")
        assert [line.entry(digest).name for digest in record.parents] == ["drop-right"]
        assert [m.name for m in devices.status(line, "drop-desk").models] == ["right"]
        with pytest.raises(DeviceError, match="left"):
            devices.drop(line, "drop-desk", "left")
    finally:
        devices.stop(line, "drop-desk")
