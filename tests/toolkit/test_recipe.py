"""Recipes and parameters: read from TOML and from words, with errors that name the place."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from edge_targets.runtime.errors import EdgeError, RecipeError, UnknownNameError
from edge_targets.runtime.events import QUIET
from toolkit.model import Model
from toolkit.networks.mlp import Mlp
from toolkit.parameters import checked, from_words, split_words
from toolkit.passes import Pass
from toolkit.passes.prune_channels import PruneChannels
from toolkit.passes.quantize_int8 import QuantizeInt8
from toolkit.recipe import Recipe
from toolkit.training import Settings

TWO = """
[[pass]]
name = "prune_channels"
ratio = 0.25
epochs = 3

[[pass]]
name = "quantize_int8"
calibration = "percentile"
"""


def recipe(tmp_path: Path, text: str) -> Recipe:
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    return Recipe.from_file(file)


def test_a_recipe_is_passes_with_parameters_in_order(tmp_path: Path) -> None:
    found = recipe(tmp_path, TWO)

    assert found.steps == (
        PruneChannels(ratio=0.25, epochs=3),
        QuantizeInt8(calibration="percentile"),
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = recipe(tmp_path, TWO)

    assert recipe(tmp_path, found.to_toml()) == found


def test_names_alone_mean_defaults() -> None:
    assert Recipe.of_names("prune_channels, quantize_int8").steps == (
        PruneChannels(),
        QuantizeInt8(),
    )


@pytest.mark.parametrize("names", ["quantise_int8", "quantize_int8,", ""])
def test_a_name_that_no_pass_carries_is_refused(names: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        Recipe.of_names(names)

    assert "quantize_int8" in caught.value.hint


def test_passes_are_applied_in_order_and_each_result_is_shown(trained: Model) -> None:
    seen: list[tuple[Pass, str]] = []
    recipe = Recipe((PruneChannels(epochs=0), QuantizeInt8(samples=16)))

    recipe.apply(trained, QUIET, lambda step, model: seen.append((step, model.kind)))

    assert seen == [(recipe.steps[0], "network"), (recipe.steps[1], "graph")]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "expected one or more [[pass]]", "quantize_int8"),
        ("[[pass]", "is not TOML", "docs/recipes.md"),
        ("pass = 3", "expected one or more [[pass]]", "[[pass]]"),
        ("pass = []", "expected one or more [[pass]]", "[[pass]]"),
        ("pass = [3]", "pass 1: it has no name", "quantize_int8"),
        ('x = 1\n[[pass]]\nname = "quantize_int8"', "nothing else", "[[pass]]"),
        ("[[pass]]\nratio = 0.5", "pass 1: it has no name", "prune_channels"),
        ('[[pass]]\nname = "prune_chanels"', "pass 1: There is no pass", "'prune_channels'?"),
        (
            TWO + '[[pass]]\nname = "prune_channels"\nratoi = 0.5',
            "pass 3, prune_channels: there is no field 'ratoi'",
            "Did you mean 'ratio'?",
        ),
        (
            '[[pass]]\nname = "prune_channels"\nratio = 1.5',
            "pass 1, prune_channels, ratio: Input should be less than 1 (given: 1.5)",
            "Share of each layer's channels to remove. Default: 0.5.",
        ),
        (
            '[[pass]]\nname = "prune_channels"\nratio = "much"',
            "prune_channels, ratio: Input should be a valid number",
            "Default: 0.5",
        ),
        (
            '[[pass]]\nname = "quantize_int8"\ncalibration = "minmaks"',
            "quantize_int8, calibration: Input should be 'minmax', 'percentile', 'entropy'",
            "Default: 'minmax'",
        ),
    ],
)
def test_errors_name_the_file_the_pass_and_the_field(
    tmp_path: Path, text: str, said: str, hint: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, text)

    assert str(tmp_path / "recipe.toml") in str(caught.value)
    assert said in str(caught.value)
    assert hint in caught.value.hint


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(RecipeError, match=str(place)):
            Recipe.from_file(place)


@given(text=st.text(st.sampled_from('[]pas="\n name.3{}quantize_int8'), max_size=60))
def test_any_text_is_a_recipe_or_two_clear_lines(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    with pytest.raises(EdgeError) as caught:
        recipe(tmp_path_factory.getbasetemp(), text)

    assert caught.value.hint


class Example(BaseModel):
    """Every kind of field that members have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sizes: Annotated[tuple[int, ...], Field(description="Some sizes.")] = (1,)
    words: Annotated[tuple[str, ...], Field(description="Some words.")] = ()
    share: Annotated[float, Field(gt=0, lt=1, description="A share.")] = 0.5
    fast: Annotated[bool, Field(description="Whether.")] = False
    way: Annotated[Literal["up", "down"], Field(description="Which.")] = "up"


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {}),
        (["sizes=16,32"], {"sizes": (16, 32)}),
        (["sizes=8"], {"sizes": (8,)}),
        (["words="], {"words": ()}),
        (["words=a,b=c"], {"words": ("a", "b=c")}),
        (["share=0.25", "fast=true", "way=down"], {"share": 0.25, "fast": True, "way": "down"}),
        (["share=0.25", "share=0.75"], {"share": 0.75}),
    ],
)
def test_words_become_parameters(words: list[str], values: dict[str, Any]) -> None:
    assert from_words(Example, words) == Example(**values)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("share", "--set share: expected key=value"),
        ("share=2", "share: Input should be less than 1 (given: '2')"),
        ("share=nan", "share: Input should be"),
        ("sizes=3,x", "sizes.1: Input should be a valid integer"),
        ("fast=perhaps", "fast: Input should be a valid boolean"),
        ("shares=0.5", "there is no field 'shares'"),
        ("=1", "there is no field ''"),
    ],
)
def test_words_that_do_not_fit_are_refused_by_field(word: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        from_words(Example, [word])

    assert said in str(caught.value)
    assert caught.value.hint


def test_words_are_handed_to_the_class_that_has_the_field() -> None:
    words = ["hidden=8,8", "epochs=3", "dropout=0.1", "seed=7"]

    network, training = split_words(words, Mlp, Settings)

    assert network == ["hidden=8,8", "dropout=0.1"]
    assert training == ["epochs=3", "seed=7"]


def test_a_word_that_no_class_has_is_answered_with_the_nearest() -> None:
    with pytest.raises(RecipeError) as caught:
        split_words(["lerning_rate=1"], Mlp, Settings)

    assert caught.value.hint == "Did you mean 'learning_rate'?"


@pytest.mark.parametrize("name", ["", "0", "spare"])
def test_values_that_a_class_does_not_have_are_refused(name: str) -> None:
    with pytest.raises(RecipeError, match="somewhere"):
        checked(Example, {name: 1}, "somewhere")


@given(ratio=st.floats(0.01, 0.99), epochs=st.integers(0, 10_000), samples=st.integers(1, 100_000))
def test_any_valid_parameters_survive_toml(
    tmp_path_factory: pytest.TempPathFactory, ratio: float, epochs: int, samples: int
) -> None:
    made = Recipe((PruneChannels(ratio=ratio, epochs=epochs), QuantizeInt8(samples=samples)))

    assert recipe(tmp_path_factory.getbasetemp(), made.to_toml()) == made


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read: Is a directory") as caught:
        Recipe.from_file(tmp_path)

    assert "Errno" not in str(caught.value)


def test_a_word_where_a_list_belongs_is_answered_with_a_list(tmp_path: Path) -> None:
    text = '[[pass]]\nname = "quantize_int8"\nlayers = "1.0=float"'

    with pytest.raises(RecipeError, match=r'layers: Input should be a list, such as \["first"'):
        recipe(tmp_path, text)
