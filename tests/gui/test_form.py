"""Forms made of parameter classes: what is shown, what comes back, what is refused."""

from enum import StrEnum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox
from pytestqt.qtbot import QtBot

from gui.form import Form
from gui.widgets.command import Incomplete
from toolkit.networks import networks
from toolkit.parameters import from_words
from toolkit.passes import passes
from toolkit.training import Settings


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Everything(BaseModel):
    """One field of each kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=1, lt=9, description="How many.")] = 3
    share: Annotated[float, Field(gt=0, le=1, description="How much.")] = 0.001
    careful: Annotated[bool, Field(description="Slow but sure.")] = True
    way: Literal["fast", "good"] = "good"
    colour: Colour = Colour.BLUE
    title: str = "plain"
    limit: float | None = None
    sizes: tuple[int, ...] = (16, 32)

    @model_validator(mode="after")
    def check(self) -> "Everything":
        if self.title == "wrong":
            raise ValueError("a title must be right")
        return self


@pytest.fixture
def form(qtbot: QtBot) -> Form:
    made = Form(Everything)
    qtbot.addWidget(made)
    return made


def test_every_kind_of_field_gets_its_widget_with_its_default(form: Form) -> None:
    kinds = {name: type(field.widget) for name, field in form.fields.items()}

    assert issubclass(kinds["count"], QSpinBox)
    assert issubclass(kinds["share"], QDoubleSpinBox)
    assert issubclass(kinds["careful"], QCheckBox)
    assert issubclass(kinds["way"], QComboBox)
    assert issubclass(kinds["colour"], QComboBox)
    assert issubclass(kinds["limit"], QLineEdit)
    assert Everything(**form.values()) == Everything()
    assert form.arguments() == ()


def test_ranges_meanings_and_names_come_from_the_fields(form: Form) -> None:
    count, share = form.fields["count"].widget, form.fields["share"].widget

    assert isinstance(count, QSpinBox)
    assert isinstance(share, QDoubleSpinBox)
    assert (count.minimum(), count.maximum()) == (1, 8)
    assert 0 < share.minimum() < 1e-6
    assert share.maximum() == 1
    assert share.text() == "0.001"
    assert count.toolTip() == "How many."
    assert count.accessibleName() == "Count"
    assert count.accessibleDescription() == "How many."


def test_only_what_differs_becomes_an_argument_that_the_command_line_reads_back(
    qtbot: QtBot, form: Form
) -> None:
    with qtbot.waitSignal(form.changed):
        form.fields["sizes"].write([8, 64])
    form.fields["careful"].write(False)
    form.fields["share"].write(0.25)
    form.fields["title"].write("two words")

    words = form.arguments()

    assert words == (
        "--set", "share=0.25", "--set", "careful=false",
        "--set", "title=two words", "--set", "sizes=8,64",
    )  # fmt: skip
    assert from_words(Everything, words[1::2]) == Everything(**form.values())


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [("sizes", "16, many", "Sizes"), ("limit", "much", "Limit"), ("title", "wrong", "right")],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    form: Form, field: str, text: str, told: str
) -> None:
    form.fields[field].write(text)

    with pytest.raises(Incomplete, match=told):
        form.arguments()


@pytest.mark.parametrize(
    "cls",
    [*(networks[n] for n in networks.names()), *(passes[n] for n in passes.names()), Settings],
)
def test_every_member_has_a_form_that_gives_its_defaults(
    qtbot: QtBot, cls: type[BaseModel]
) -> None:
    form = Form(cls)
    qtbot.addWidget(form)

    assert cls(**form.values()) == cls()
    assert form.arguments() == ()
