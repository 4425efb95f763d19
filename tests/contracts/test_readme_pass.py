"""The pass that the README shows is a pass: it is imported as it stands there, and works."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from edge_targets.runtime.events import QUIET
from toolkit.anatomy import zipped
from toolkit.data import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes import Pass

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def shown(tmp_path: Path) -> type[Pass]:
    """The one pass of the README's first Python block."""
    block = re.search(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert block
    file = tmp_path / "round_mantissa.py"
    file.write_text(block[1])
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [found] = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Pass) and member is not Pass
    ]
    return found


def test_the_pass_of_the_readme_shrinks_the_zip_and_keeps_the_digits_known(
    shown: type[Pass], trained: Model, exported: Model, digits: Dataset
) -> None:
    inputs, targets = digits.part("test")
    for model in (trained, exported):
        found = shown().apply(model, QUIET)

        answers = Runner.of_model(found, QUIET).first_output(inputs, QUIET)
        assert (answers.argmax(axis=1) == targets).mean() >= 0.95
    assert zipped(found.graph) < 0.75 * zipped(exported.graph)
    before, after = (graph_of(model, QUIET) for model in (exported, found))
    assert len(before) == len(after)


def test_it_keeps_the_digits_it_says(shown: type[Pass], trained: Model) -> None:
    found = shown.model_validate({"bits": 3}).apply(trained, QUIET)

    before, after = trained.weights["1.8.weight"], found.weights["1.8.weight"]
    assert after.dtype == np.float32
    assert (np.frexp(after)[0] * 16 % 1 == 0).all()
    np.testing.assert_allclose(after, before, rtol=1 / 16)
