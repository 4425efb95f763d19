"""Colours and style sheet of the window, light and dark."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

ThemeName = Literal["light", "dark", "system"]
Tone = Literal["good", "watch", "bad", "muted", "accent"]

ICONS = (Path(__file__).parent / "icons").as_posix()
FAMILIES = ["Inter", "Segoe UI", "Helvetica Neue", "Cantarell", "Noto Sans", "DejaVu Sans"]


@dataclass(frozen=True)
class Colors:
    """Every colour of one theme. Text on its ground keeps a contrast of 4.5 (WCAG 2.2, AA)."""

    background: str
    side: str
    card: str
    well: str  # sunken ground: commands, logs, the empty part of a progress bar
    line: str
    text: str
    muted: str
    hover: str
    selected: str
    alternate: str
    accent: str
    button: str  # ground of the primary button, under white text
    button_hover: str
    good: str
    watch: str
    bad: str
    bad_ground: str


LIGHT = Colors(
    background="#f7f8fa",
    side="#ffffff",
    card="#ffffff",
    well="#f2f4f7",
    line="#e4e7ec",
    text="#101828",
    muted="#5d6777",
    hover="#f2f4f7",
    selected="#eaf1ff",
    alternate="#fafbfc",
    accent="#1d5fe0",
    button="#2563eb",
    button_hover="#1d4ed8",
    good="#087a55",
    watch="#a15c07",
    bad="#c92a2a",
    bad_ground="#fdf0ef",
)
DARK = Colors(
    background="#0f1419",
    side="#141a21",
    card="#171e26",
    well="#10161c",
    line="#28313b",
    text="#e6edf3",
    muted="#919eac",
    hover="#1e2731",
    selected="#1b2a41",
    alternate="#19212a",
    accent="#6aa5ff",
    button="#2f6fed",
    button_hover="#2563eb",
    good="#34d399",
    watch="#fbbf24",
    bad="#ff7b72",
    bad_ground="#2b191b",
)
SERIES = ("#2f6fed", "#10b981", "#f59e0b", "#a855f7", "#06b6d4", "#ec4899", "#84cc16", "#64748b")
"""Colours of the lines and bars of a plot, on either ground."""

STYLE = Template("""
QWidget#side { background: $side; border-right: 1px solid $line; }
QFrame#card { background: $card; border: 1px solid $line; border-radius: 10px; }
QFrame#drop { background: $well; border: 1px dashed $muted; border-radius: 10px; }
QFrame#drop[over="true"] { border: 2px solid $accent; }
QFrame#strip, QPlainTextEdit { background: $well; border: 1px solid $line; border-radius: 7px; }
QFrame#banner { background: $bad_ground; border: 1px solid $bad; border-radius: 8px; }
QLabel[role="title"] { font-size: 20px; font-weight: 600; }
QLabel[role="heading"] { font-weight: 600; }
QLabel[role="figure"] { font-size: 24px; font-weight: 600; }
QLabel[role="muted"], QCheckBox:disabled { color: $muted; }
QLabel[role="problem"] { color: $bad; font-weight: 600; }
QLabel[role="code"], QPlainTextEdit { font-family: "DejaVu Sans Mono", Consolas, Menlo, monospace;
  font-size: 12px; color: $muted; }
QListWidget { background: transparent; border: none; outline: none; }
QListWidget::item { padding: 7px 10px; border: 1px solid transparent; border-radius: 7px;
  color: $text; }
QListWidget#navigation { font-weight: 500; }
QListWidget#navigation::item { padding: 9px 12px; margin: 2px 8px; color: $muted; }
QListWidget::item:hover { background: $hover; }
QListWidget::item:selected, QListWidget#navigation::item:selected { background: $selected;
  color: $accent; }
QListWidget::item:selected:focus { border: 1px solid $accent; }
QPushButton { background: $card; color: $text; border: 1px solid $line; border-radius: 7px;
  padding: 6px 13px; font-weight: 500; }
QPushButton:hover { background: $hover; }
QPushButton:focus { border-color: $accent; }
QPushButton[role="primary"] { background: $button; color: white; border-color: $button; }
QPushButton[role="primary"]:hover { background: $button_hover; }
QPushButton[role="primary"]:focus { border-color: $text; }
QPushButton[role="quiet"] { background: transparent; border-color: transparent; padding: 5px; }
QPushButton[role="quiet"]:hover { background: $hover; }
QPushButton[role="quiet"]:focus { border-color: $accent; }
QPushButton:disabled, QPushButton[role="primary"]:disabled { background: $well; color: $muted;
  border-color: $line; }
QPushButton[role="quiet"]:disabled { background: transparent; border-color: transparent; }
QTabBar { font-weight: 500; }
QTabBar::tab { background: transparent; color: $muted; border: 1px solid transparent;
  border-radius: 7px; padding: 5px 13px; margin-right: 4px; }
QTabBar::tab:hover { background: $hover; }
QTabBar::tab:selected { background: $selected; color: $accent; }
QTabBar::tab:selected:focus { border-color: $accent; }
QTableView { background: transparent; alternate-background-color: $alternate; border: none;
  selection-background-color: $selected; selection-color: $text; }
QAbstractScrollArea::corner { background: transparent; border: none; }
QTableView::item { padding: 2px 8px; border-bottom: 1px solid $line; }
QTableView::item:selected { background: $selected; color: $text; }
QHeaderView { background: transparent; }
QHeaderView::section { background: transparent; color: $muted; border: none;
  border-bottom: 1px solid $line; padding: 5px 11px; font-weight: 500; }
QProgressBar { background: $well; border: none; border-radius: 4px; max-height: 8px; }
QProgressBar::chunk { background: $button; border-radius: 4px; }
QLineEdit, QComboBox, QSpinBox, QDoubleSpinBox { background: $card; color: $text;
  border: 1px solid $line;
  border-radius: 7px; padding: 5px 10px; min-height: 18px; selection-background-color: $button; }
QLineEdit:focus, QComboBox:focus, QSpinBox:focus, QDoubleSpinBox:focus { border-color: $accent; }
QLineEdit:disabled, QComboBox:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled {
  background: $well; color: $muted; }
QSpinBox, QDoubleSpinBox { padding: 4px 0; }
QComboBox::drop-down { border: none; width: 26px; }
QComboBox::down-arrow { image: url($icons/chevron.svg); width: 12px; height: 12px; }
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button,
QDoubleSpinBox::down-button { border: none; width: 20px; }
QSpinBox::up-arrow, QDoubleSpinBox::up-arrow { image: url($icons/chevron_up.svg);
  width: 10px; height: 10px; }
QSpinBox::down-arrow, QDoubleSpinBox::down-arrow { image: url($icons/chevron.svg);
  width: 10px; height: 10px; }
QComboBox QAbstractItemView { background: $card; color: $text; border: 1px solid $line;
  selection-background-color: $selected; selection-color: $text; padding: 4px; outline: none; }
QCheckBox { spacing: 8px; }
QCheckBox::indicator { width: 16px; height: 16px; border: 1px solid $muted; border-radius: 4px;
  background: $card; }
QCheckBox::indicator:checked { background: $button; border-color: $button;
  image: url($icons/check.svg); }
QCheckBox::indicator:focus { border-color: $accent; }
QPlainTextEdit { padding: 4px; }
QScrollArea, QScrollArea > QWidget > QWidget#body { background: transparent; border: none; }
QScrollBar { background: transparent; border: none; }
QScrollBar:vertical { width: 10px; }
QScrollBar:horizontal { height: 10px; }
QScrollBar::handle { background: $line; border-radius: 4px; margin: 1px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::handle:vertical { min-height: 30px; }
QScrollBar::handle:horizontal { min-width: 30px; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {
  width: 0; height: 0; background: none; }
QToolTip { background: $card; color: $text; border: 1px solid $line; padding: 5px; }
""")


def colors() -> Colors:
    """The colours in force; read from the application, so that nothing else has to keep them."""
    ground = QApplication.palette().color(QPalette.ColorRole.Window)
    return DARK if ground.lightness() < 128 else LIGHT


def resolve(theme: ThemeName) -> Colors:
    """What `theme` means now; a system that does not say is light."""
    if theme == "system":
        dark = QApplication.styleHints().colorScheme() is Qt.ColorScheme.Dark
        return DARK if dark else LIGHT
    return DARK if theme == "dark" else LIGHT


def style_sheet(chosen: Colors) -> str:
    return STYLE.substitute(dataclasses.asdict(chosen), icons=ICONS)


def qt_palette(chosen: Colors) -> QPalette:
    palette, role = QPalette(), QPalette.ColorRole
    pairs = {
        role.Window: chosen.background,
        role.WindowText: chosen.text,
        role.Base: chosen.card,
        role.AlternateBase: chosen.alternate,
        role.Text: chosen.text,
        role.Button: chosen.card,
        role.ButtonText: chosen.text,
        role.PlaceholderText: chosen.muted,
        role.ToolTipBase: chosen.card,
        role.ToolTipText: chosen.text,
        role.Highlight: chosen.button,
        role.HighlightedText: "#ffffff",
        role.Accent: chosen.accent,
        role.Link: chosen.accent,
        role.Mid: chosen.line,
    }
    for key, value in pairs.items():
        palette.setColor(key, QColor(value))
    for key in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, QColor(chosen.muted))
    return palette


def apply(app: QApplication, theme: ThemeName) -> None:
    """Dress the whole application; every widget hears of it as a palette change."""
    hints = app.styleHints()
    if theme == "system":
        hints.unsetColorScheme()
    else:  # so that what the platform draws itself (title bars, file dialogs) agrees
        dark = theme == "dark"
        hints.setColorScheme(Qt.ColorScheme.Dark if dark else Qt.ColorScheme.Light)
    font = QFont(FAMILIES)
    font.setPointSizeF(10)
    app.setFont(font)
    chosen = resolve(theme)
    app.setPalette(qt_palette(chosen))
    app.setStyleSheet(style_sheet(chosen))
