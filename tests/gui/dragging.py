"""What is dragged onto widgets in tests."""

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QWidget

COPY, LEFT = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton


def drop(widget: QWidget, *paths: str) -> bool:
    """Drag files onto a widget, and let them go where they are accepted."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(path) for path in paths])
    modifiers = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), COPY, data, LEFT, modifiers)
    widget.dragEnterEvent(enter)
    if enter.isAccepted():
        widget.dropEvent(QDropEvent(QPointF(5, 5), COPY, data, LEFT, modifiers))
    return enter.isAccepted()
