"""Networks that several trials store in different ways, kept beside the study.

Training is the slow part of a trial: a network that was pruned once is quantized in every way
without being pruned again.
"""

import hashlib
import json
from pathlib import Path

from edge_targets.runtime.durable import replace_file, storing
from toolkit.data.dataset import Dataset
from toolkit.model import Model
from toolkit.passes import Pass
from toolkit.recipe import Recipe


class Shrunk:
    """A folder of networks by the passes that made them, all from one model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, steps: tuple[Pass, ...]) -> Path:
        recipe = Recipe(steps).to_toml().encode()
        return self.folder / f"{hashlib.sha256(recipe).hexdigest()[:32]}.model"

    def get(self, steps: tuple[Pass, ...], data: Dataset | None) -> Model | None:
        path = self.path(steps)
        if not path.is_file():
            return None
        head, _, stored = path.read_bytes().partition(b"\n")
        return Model.from_facts(json.loads(head), stored, data)

    def put(self, steps: tuple[Pass, ...], model: Model) -> None:
        head = json.dumps(model.facts()).encode()
        replace_file(self.path(steps), head + b"\n" + model.stored()[1])
