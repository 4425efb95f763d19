"""A form made of a parameter class: its JSON schema says the fields, their ranges and meaning.

A text field that names something offers what there is of it where its schema says of what kind:
`Field(json_schema_extra={"names": "models"})`.
"""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from PySide6.QtCore import QLocale, Signal, SignalInstance
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from gui import wording
from gui.widgets.choice import Choice
from gui.widgets.command import Incomplete
from gui.widgets.rows import add_row, empty_rows, steady

Schema = dict[str, Any]
INT_LIMIT = 2**31 - 1  # what a QSpinBox can hold
REAL_LIMIT = 1e12
DECIMALS = 8
INSET = 9  # pixels: a style sheet's padding does not reach the text of a spin box
ITEM_TYPES: dict[str, Callable[[str], Any]] = {"integer": int, "number": float, "string": str}


@dataclass(frozen=True)
class Field:
    """The widget of one field, and how to read and write it."""

    widget: QWidget
    read: Callable[[], Any]
    write: Callable[[Any], object]
    changed: SignalInstance


@dataclass(frozen=True)
class NameField(Field):
    """A field that names something saved; `kind` says what, as "models"."""

    kind: str
    offer: Callable[[Sequence[str]], object]


class RealBox(QDoubleSpinBox):
    """Shows `0.001` as such and steps by a tenth of what it shows."""

    def textFromValue(self, value: float) -> str:  # noqa: N802
        return f"{value:.{DECIMALS}g}"

    def stepBy(self, steps: int) -> None:  # noqa: N802
        value = abs(self.value())
        self.setSingleStep(10 ** (math.floor(math.log10(value)) - 1) if value else 0.01)
        super().stepBy(steps)


def resolved(schema: Schema, defs: Schema) -> Schema:
    """`schema` with what it refers to written out, and without the null of an optional field."""
    if "$ref" in schema:
        found = defs[schema["$ref"].rpartition("/")[2]]
        return resolved({**found, **{k: v for k, v in schema.items() if k != "$ref"}}, defs)
    if len(schema.get("allOf", ())) == 1:
        rest = {k: v for k, v in schema.items() if k != "allOf"}
        return resolved({**schema["allOf"][0], **rest}, defs)
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        rest = {k: v for k, v in schema.items() if k != "anyOf"}
        optional = len(choices) < len(schema["anyOf"])
        if len(choices) == 1:
            return resolved({**choices[0], **rest, "optional": optional}, defs)
    return schema


def integer_field(schema: Schema) -> Field:
    box = QSpinBox()
    box.lineEdit().setTextMargins(INSET, 0, 0, 0)
    low = schema.get("minimum", schema.get("exclusiveMinimum", -INT_LIMIT - 1) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", INT_LIMIT + 1) - 1)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setRange(max(int(low), -INT_LIMIT), min(int(high), INT_LIMIT))
    return Field(box, box.value, lambda value: box.setValue(int(value)), box.valueChanged)


def number_field(schema: Schema) -> Field:
    box = RealBox()
    box.lineEdit().setTextMargins(INSET, 0, 0, 0)
    least = 10.0**-DECIMALS  # an open end of a range is this far away
    low = schema.get("minimum", schema.get("exclusiveMinimum", -REAL_LIMIT - least) + least)
    high = schema.get("maximum", schema.get("exclusiveMaximum", REAL_LIMIT + least) - least)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    box.setDecimals(DECIMALS)
    box.setRange(low, high)
    box.setLocale(QLocale.c())  # as on the command line, whatever the system's language
    return Field(
        box,
        lambda: round(box.value(), DECIMALS),
        lambda value: box.setValue(float(value)),
        box.valueChanged,
    )


def boolean_field(_schema: Schema) -> Field:
    box = QCheckBox()
    return Field(box, box.isChecked, lambda value: box.setChecked(bool(value)), box.toggled)


def enum_field(schema: Schema) -> Field:
    box = QComboBox()
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    for value in schema.get("enum", [schema.get("const")]):
        box.addItem(wording.words(str(value)), value)
    return Field(
        box,
        box.currentData,
        lambda value: box.setCurrentIndex(box.findData(value)),
        box.currentIndexChanged,
    )


def text_field(schema: Schema) -> Field:
    """Text; also lists, parted by commas, and optional figures, which may be left empty."""
    box = QLineEdit()
    kind, optional = schema.get("type", "string"), schema.get("optional", False)
    items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    convert = ITEM_TYPES.get(items.get("type", "") if kind == "array" else kind, str)
    if optional:
        box.setPlaceholderText("Automatic")
    elif kind == "array":
        box.setPlaceholderText("Parted by commas")

    def read() -> Any:
        text = box.text().strip()
        if kind == "array":
            return [convert(part.strip()) for part in text.split(",") if part.strip()]
        return None if optional and not text else convert(text)

    def write(value: Any) -> None:
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        box.setText("" if shown is None else str(shown))

    return Field(box, read, write, box.textChanged)


def name_field(schema: Schema) -> Field:
    """One of the things of a kind, or none of them: what that means, its description says."""
    box = Choice("", automatic="Default")
    return NameField(
        box,
        lambda: box.chosen,
        lambda value: box.prefer(str(value)) if value else box.choose(""),
        box.currentIndexChanged,
        schema["names"],
        box.offer,
    )


MAKERS: dict[str, Callable[[Schema], Field]] = {
    "integer": integer_field,
    "number": number_field,
    "boolean": boolean_field,
}


def make_field(schema: Schema) -> Field:
    if "enum" in schema or "const" in schema:
        return enum_field(schema)
    if "names" in schema:
        return name_field(schema)
    if schema.get("optional"):
        return text_field(schema)
    return MAKERS.get(schema.get("type", ""), text_field)(schema)


def as_text(value: Any) -> str:
    """A value as `--set` takes it: lists parted by commas, the rest as JSON has it."""
    if isinstance(value, list):
        return ",".join(map(as_text, value))
    return value if isinstance(value, str) else json.dumps(value)


class Form(QWidget):
    """One row a field, labelled and explained by the field itself."""

    changed = Signal()

    def __init__(self, cls: type[BaseModel], leave_out: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.cls = cls
        self.fields: dict[str, Field] = {}
        self._defaults: dict[str, Any] = {}
        rows = empty_rows()
        self.setLayout(rows)
        schema = cls.model_json_schema()
        for name, raw in schema.get("properties", {}).items():
            if name not in leave_out:
                self._add_row(rows, name, resolved(raw, schema.get("$defs", {})))

    def _add_row(self, rows: QFormLayout, name: str, schema: Schema) -> None:
        field = make_field(schema)
        if "default" in schema:
            field.write(schema["default"])
            self._defaults[name] = schema["default"]
        title, meaning, widget = wording.words(name), schema.get("description", ""), field.widget
        widget.setAccessibleName(title)
        widget.setAccessibleDescription(meaning)
        if isinstance(widget, QAbstractSpinBox | QComboBox):
            steady(widget)
        field.changed.connect(self.changed)
        self.fields[name] = field
        add_row(rows, title, widget, meaning)

    def offer(self, kind: str, names: Sequence[str]) -> None:
        """What there is of a kind now, for the fields that name one."""
        for field in self.fields.values():
            if isinstance(field, NameField) and field.kind == kind:
                field.offer(names)

    def copy(self, other: "Form") -> None:
        """Take over what another form of the same class says, as far as it can be read."""
        for name, field in self.fields.items():
            with suppress(ValueError):
                field.write(other.fields[name].read())

    def values(self) -> dict[str, Any]:
        """All fields, checked by their class; `Incomplete` names the first that is wrong."""
        values: dict[str, Any] = {}
        for name, field in self.fields.items():
            try:
                values[name] = field.read()
            except ValueError as error:
                raise Incomplete(f"{wording.words(name)} cannot be read: {error}.") from error
        try:
            self.cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = wording.words(str(first["loc"][0])) if first["loc"] else "These values"
            raise Incomplete(f"{where}: {first['msg']}.") from error
        return values

    def chosen(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return {
            name: value
            for name, value in self.values().items()
            if name not in self._defaults or value != self._defaults[name]
        }

    def arguments(self) -> tuple[str, ...]:
        """What differs from the defaults, as the command line takes it."""
        words: list[str] = []
        for name, value in self.chosen().items():
            words += ["--set", f"{name}={as_text(value)}"]
        return tuple(words)
