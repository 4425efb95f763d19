"""The pass that the README shows is a pass: it is imported as it stands there, and works."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from edge_targets.runtime.events import QUIET
from toolkit.data import Dataset
from toolkit.inference import Runner
from toolkit.model import Model
from toolkit.passes import Pass

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def shown(tmp_path: Path) -> type[Pass]:
    """The one pass of the README's first Python block."""
    block = re.search(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert block
    file = tmp_path / "prune_weights.py"
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


def test_the_pass_of_the_readme_makes_half_the_weights_zero_and_keeps_the_digits_known(
    shown: type[Pass], trained: Model, digits: Dataset
) -> None:
    found = shown().apply(trained, QUIET)

    zeros = {k: float((v == 0).mean()) for k, v in found.weights.items() if v.ndim > 1}
    assert zeros == pytest.approx(dict.fromkeys(zeros, 0.5), abs=0.01)
    inputs, targets = digits.part("test")
    answers = Runner.of_model(found, QUIET).first_output(inputs, QUIET)
    assert (answers.argmax(axis=1) == targets).mean() >= 0.9
    assert all(np.isfinite(value).all() for value in found.weights.values())
