"""The models that are served now, swapped while requests are running."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from edge_targets.runtime.contract import Manifest, Record, Tensor
from edge_targets.runtime.errors import (
    DeviceError,
    EdgeError,
    IntegrityError,
    UnknownNameError,
    first_line,
)
from edge_targets.runtime.predictor import Predictor

log = logging.getLogger(__name__)

DRAIN_S = 30.0  # a batch at the body limit takes seconds on the slowest board


class EmptyError(DeviceError):
    """No model is served yet."""


@dataclass
class Live:
    """One version of a model at work, and how its requests went."""

    predictor: Predictor
    answered: int = 0
    failed: int = 0  # through no fault of who asked
    running: int = 0
    counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def manifest(self) -> Manifest:
        return self.predictor.manifest

    @property
    def failure_share(self) -> float:
        with self.counting:
            return self.failed / max(1, self.answered + self.failed)

    def predict(self, inputs: Mapping[str, Tensor], counted: bool = True) -> dict[str, Tensor]:
        try:
            outputs = self.predictor.predict(inputs, counted)
        except IntegrityError:  # what was sent does not fit the model
            raise
        except Exception:
            with self.counting:
                self.failed += 1
            raise
        with self.counting:
            self.answered += 1
        return outputs


class Served:
    """Holds one version a model; what is counted in it is never lost in a swap."""

    def __init__(self, predictors: Iterable[Predictor] = ()) -> None:
        self.changed = threading.Condition()
        self.models = {one.manifest.name: Live(one) for one in predictors}

    def manifests(self) -> tuple[Manifest, ...]:
        with self.changed:
            return tuple(self.models[name].manifest for name in sorted(self.models))

    def find(self, name: str, version: str | None = None) -> Live:
        """The version that is served.

        Raises:
            EmptyError: there is no model at all.
            UnknownNameError: no such model, or another version of it is served.
        """
        with self.changed:
            if not self.models:
                raise EmptyError("This device serves no model yet.", "Deploy a package to it.")
            live = self.models.get(name)
            if live is None:
                raise UnknownNameError("model", name, sorted(self.models))
            if version not in (None, live.manifest.version):
                raise UnknownNameError("version", str(version), [live.manifest.version])
            return live

    @contextmanager
    def use(self, name: str, version: str | None = None) -> Iterator[Live]:
        """The version that is served, kept from being retired while the block runs."""
        with self.changed:
            live = self.find(name, version)
            live.running += 1
        try:
            yield live
        finally:
            with self.changed:
                live.running -= 1
                self.changed.notify_all()

    def swap(self, predictor: Predictor) -> Record | None:
        """Serve another version of its model from now on; the last window of the one before."""
        name = predictor.manifest.name
        with self.changed:
            old = self.models.get(name)
            self.models[name] = Live(predictor)
        return self._retire(old)

    def drop(self, name: str) -> Record | None:
        """Serve that model no more; its last window."""
        with self.changed:
            old = self.models.pop(name, None)
        return self._retire(old)

    def _retire(self, old: Live | None) -> Record | None:
        """Its last window; none of a version that hangs: others must not wait for it for ever."""
        if old is None:
            return None
        found: list[Record | None] = []
        with self.changed:
            self.changed.wait_for(lambda: not old.running, DRAIN_S)
        if fault := in_time(lambda: found.append(old.predictor.close_window()), DRAIN_S):
            log.error("%s %s: %s", old.manifest.name, old.manifest.version, fault)
        return found[0] if found else None

    def close_windows(self) -> list[Record]:
        """What each model saw since the last time."""
        records = []
        for manifest in self.manifests():
            try:
                with self.use(manifest.name) as live:
                    records.append(live.predictor.close_window())
            except (EmptyError, UnknownNameError):  # removed just now
                continue
        return [record for record in records if record]


def in_time(work: Callable[[], object], seconds: float) -> str:
    """Do `work`; what went wrong, or that it took too long; empty when all is well."""
    ended: list[str] = []

    def run() -> None:
        try:
            work()
            ended.append("")
        except EdgeError as error:
            ended.append(str(error))
        except Exception as error:  # engines fail in ways of their own
            log.exception("it failed")
            ended.append(f"{type(error).__name__}: {first_line(error)}")

    thread = threading.Thread(target=run, name="in time", daemon=True)
    thread.start()
    thread.join(seconds)
    return ended[0] if ended else f"no answer in {seconds:.0f} s"
