"""What can be tried, and how it is told."""

import pytest
from optuna.trial import FixedTrial

from edge_targets.catalog import targets
from edge_targets.runtime.events import QUIET
from tests.toolkit.search.conftest import options
from toolkit.anatomy import layers_of
from toolkit.model import Model
from toolkit.onnx_graph import graph_of
from toolkit.passes import passes
from toolkit.search.space import BEFORE, SHRINK, STORE, Space, runtimes_of, short


def space_of(model: Model, target: str = "raspberry_pi_4", epochs: int | None = None) -> Space:
    graph = graph_of(model, QUIET)
    return Space.of(model, graph, options(target=target, families=(), epochs=epochs))


def test_every_family_is_offered_for_a_network(trained: Model) -> None:
    assert set(space_of(trained).families) == {*SHRINK, *STORE, BEFORE}


def test_a_graph_is_offered_what_needs_no_network(exported: Model) -> None:
    space = space_of(exported)

    assert space.families
    assert not any(passes[name].needs_network for name in space.families)
    assert not any(
        step.trains for point in space.starts() for step in space.plan(FixedTrial(point)).shrink
    )


@pytest.mark.parametrize("name", targets.names())
def test_the_starting_points_are_plans_of_every_kind(trained: Model, name: str) -> None:
    space = space_of(trained, name)

    plans = [space.plan(FixedTrial(point)) for point in space.starts()]

    assert len({plan.key for plan in plans}) == len(plans)
    assert {str(plan.runtime) for plan in plans} == {str(one) for one in runtimes_of(name)}
    first = plans[0]
    assert (first.shrink, first.store, first.bits) == ((), (), 32)
    used = {passes.name_of(step) for plan in plans for step in (*plan.shrink, *plan.store)}
    assert used >= {*SHRINK, "quantize_int8"}


def test_threads_are_those_of_the_target() -> None:
    assert [str(one) for one in runtimes_of("raspberry_pi_4")] == [
        "onnx x1", "onnx x4", "tflite x1", "tflite x4",
    ]  # fmt: skip
    assert [str(one) for one in runtimes_of("browser")] == ["tflite x1", "onnx x1"]


def test_the_layer_that_stands_apart_is_named_in_the_recipe(exported: Model) -> None:
    point = {
        "shrink": "none", "store": "quantize_int8", "apart": "last", "equalize": False,
        "calibration": "mse", "runtime": "onnx x1",
    }  # fmt: skip
    plan = space_of(exported).plan(FixedTrial(point))

    [step] = plan.stored_for(exported.graph)

    last = layers_of(exported.graph)[-1].name
    assert step.model_dump()["layers"] == (f"{last}=weights",)
    assert short((step,)) == f"int8 (mse, {last}=weights)"


def test_a_recipe_is_told_in_a_few_words() -> None:
    steps = (
        passes["prune_channels"].model_validate({"ratio": 0.5}),
        passes["quantize_int8"].model_validate({"calibration": "mse"}),
    )

    assert short(steps) == "prune channels 0.5 → int8 (mse)"
    assert short(()) == "float"
