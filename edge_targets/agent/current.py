"""The model that is served now, swapped while requests are running."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from edge_targets.runtime.contract import Record
from edge_targets.runtime.predictor import Predictor

DRAIN_S = 30.0  # a batch at the body limit takes seconds on the slowest board


class Current:
    """Holds one predictor; what is counted in it is never lost in a swap."""

    def __init__(self, predictor: Predictor | None = None) -> None:
        self.changed = threading.Condition()
        self.predictor = predictor
        self.users: dict[int, int] = {}  # id of a predictor -> requests that run in it

    @contextmanager
    def use(self) -> Iterator[Predictor | None]:
        """The predictor, kept from being retired while the block runs."""
        with self.changed:
            predictor = self.predictor
            self.users[id(predictor)] = self.users.get(id(predictor), 0) + 1
        try:
            yield predictor
        finally:
            with self.changed:
                self.users[id(predictor)] -= 1
                if not self.users[id(predictor)]:
                    del self.users[id(predictor)]
                self.changed.notify_all()

    def swap(self, predictor: Predictor | None) -> Record | None:
        """Serve another model from now on; the last window of the one before."""
        with self.changed:
            old, self.predictor = self.predictor, predictor
            self.changed.wait_for(lambda: id(old) not in self.users, DRAIN_S)
        return old.close_window() if old else None

    def close_window(self) -> Record | None:
        with self.use() as predictor:
            return predictor.close_window() if predictor else None
