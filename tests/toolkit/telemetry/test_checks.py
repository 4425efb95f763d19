"""What is no proper record is refused, by name, and leaves nothing."""

from collections.abc import Callable

import pytest

from edge_targets.runtime.contract import Record
from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.sketch import Sketch
from toolkit.telemetry.store import Store

MakeRecord = Callable[..., Record]

BROKEN = {
    "id": "../etc",
    "device": "a/b",
    "model": "",
    "version": "x" * 101,
    "started": "yesterday",
    "ended": "2026-11-20T10:00:00",  # no offset
    "samples": -1,
}


@pytest.mark.parametrize("field", BROKEN)
def test_a_malformed_field_is_named_with_its_record(
    store: Store, record: MakeRecord, field: str
) -> None:
    with pytest.raises(IntegrityError, match=r"^record 1.*") as caught:
        store.append([record(), record(**{field: BROKEN[field]})])

    assert field in str(caught.value) or str(BROKEN[field]) in str(caught.value)
    assert store.count() == 0


@pytest.mark.parametrize(
    "sketch",
    [
        Sketch([0.0], [-1, 2], 0, 0.0, 1.0, 1.0, 1.0),
        Sketch([0.0], [1, 2], -1, 0.0, 1.0, 1.0, 1.0),
        Sketch([1.0, 0.0], [1, 1, 1], 0, 0.0, 1.0, 1.0, 1.0),
        Sketch([0.0], [1, 1], 0, 0.0, 1.0, float("nan"), 1.0),
        Sketch([0.0], [1, 1], 0, 1.0, 0.0, 1.0, 1.0),
        Sketch([0.0], [1, 2**60], 0, 0.0, 1.0, 1.0, 1.0),
        Sketch([0.0], [1, 1], 0, 0.0, 1.0, 1.0, -1.0),
        Sketch([float(i) for i in range(2000)]),
    ],
)
def test_a_malformed_sketch_is_refused(store: Store, record: MakeRecord, sketch: Sketch) -> None:
    with pytest.raises(IntegrityError, match=r"record 0, sketches\.light"):
        store.append([record(sketches={"light": sketch})])


@pytest.mark.parametrize("name", ["", "a" * 201, "a\nb", "\ud800"])
def test_a_feature_with_an_unusable_name_is_refused(
    store: Store, record: MakeRecord, name: str
) -> None:
    with pytest.raises(IntegrityError, match="record 0"):
        store.append([record(sketches={name: Sketch([0.0])})])


def test_too_many_features_are_refused(store: Store, record: MakeRecord) -> None:
    many = {f"f{i}": Sketch([]) for i in range(10_001)}

    with pytest.raises(IntegrityError, match="10000"):
        store.append([record(sketches=many)])
