"""What crosses the wire, as files: the same ones that vitest reads in web/test/contract.test.ts."""

import json
from pathlib import Path

import pytest

from edge_targets.runtime.contract import Golden, Manifest, Profile, Record, Signature, Wire
from edge_targets.runtime.errors import IntegrityError

FOLDER = Path(__file__).parents[1] / "golden"
NOUNS: dict[str, type[Wire]] = {
    "signature": Signature,
    "manifest": Manifest,
    "profile": Profile,
    "record": Record,
    "golden": Golden,
}


def test_every_golden_file_has_its_noun() -> None:
    found = {path.stem for path in FOLDER.glob("*.json")}

    # answers.json holds cases of how answers are named, which both languages must agree on
    assert found == {*NOUNS, "answers"}


@pytest.mark.parametrize("name", NOUNS)
def test_a_noun_comes_back_byte_for_byte_with_what_it_does_not_know(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()

    noun = NOUNS[name].parse(text)

    assert noun.extra  # each file carries a field that only a newer program knows
    assert noun.dump() == text


def test_unknown_fields_survive_inside_other_nouns() -> None:
    manifest = Manifest.parse((FOLDER / "manifest.json").read_text())

    assert manifest.signature.extra == {"licence": "CC0-1.0"}
    assert manifest.signature.inputs[0].extra == {"colour_space": "grey"}
    assert manifest.files["model.onnx"].extra == {"compression": "none"}
    assert manifest.abstention
    assert manifest.abstention.extra == {"slope": "none"}


@pytest.mark.parametrize("name", [name for name in NOUNS if name != "signature"])
def test_a_noun_of_another_schema_is_refused(name: str) -> None:
    data = json.loads((FOLDER / f"{name}.json").read_text()) | {"schema": 2}

    with pytest.raises(IntegrityError, match="schema 2"):
        NOUNS[name].from_json(data)


@pytest.mark.parametrize("name", NOUNS)
def test_a_noun_without_one_of_its_fields_is_refused(name: str) -> None:
    data = json.loads((FOLDER / f"{name}.json").read_text())
    optional = {"schema", "labels", "lineage", "abstention", "confusions"}

    for field in sorted(set(data) - set(NOUNS[name].from_json(data).extra) - optional):
        with pytest.raises(IntegrityError, match=field):
            NOUNS[name].from_json({key: value for key, value in data.items() if key != field})
