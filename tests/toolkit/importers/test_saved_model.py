"""SavedModels of TensorFlow are known, and answered with the way to export them."""

from pathlib import Path

import pytest

from edge_targets.runtime.errors import UnsupportedError
from edge_targets.runtime.events import QUIET
from toolkit.importers import Given, Source, read_model, recognised

# SavedModel { saved_model_schema_version: 1, meta_graphs { meta_info_def { tags: "serve" } } }
HEAD = b"\x08\x01\x12\x80\x02\x0a\x07\x22\x05serve" + bytes(300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(HEAD)
    return tmp_path


@pytest.mark.parametrize("part", ["", "saved_model.pb"])
def test_a_saved_model_is_answered_with_the_command_that_exports_it(
    folder: Path, part: str
) -> None:
    with pytest.raises(UnsupportedError) as caught:
        read_model(folder / part, Given(), QUIET)

    assert "SavedModel of TensorFlow" in str(caught.value)
    assert f"python -m tf2onnx.convert --saved-model {folder} --output" in caught.value.hint
    assert f'from_saved_model("{folder}")' in caught.value.hint


def test_an_onnx_file_of_the_first_version_is_no_saved_model(tmp_path: Path) -> None:
    file = tmp_path / "old.onnx"
    file.write_bytes(b"\x08\x01\x12\x07pytorch\x1a\x031.0")

    assert recognised(Source.of(file)) == "onnx"
