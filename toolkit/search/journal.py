"""The study on disk: what was tried, in one journal that several processes write.

```
journal.log    every suggestion and every result, appended (Optuna's JournalStorage)
alive/         a file for each process at work, locked as long as the process lives
shrunk/        networks that trials share
report.html  front.png
```
Locks are the system's: it lets go of them when a process ends, however it ends. A trial that is
running, and whose process holds no lock any more, was killed: it is tried once again.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edge_targets.runtime.durable import storing
from edge_targets.runtime.errors import IntegrityError, RecipeError
from toolkit.search.space import Plan, Space

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

STUDY = "search"
PROCESS, PLAN, CANDIDATE, REASON, AGAIN, KILLED = (
    "process", "plan", "candidate", "reason", "again", "killed",
)  # fmt: skip
RANDOM_TRIALS = 12  # before the sampler has something to go by; the starting points count
IDENTITY = "identity"


class FileLock:
    """A lock between processes, in the form that Optuna's journal wants."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle = -1

    def acquire(self) -> bool:
        self.handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self.handle, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        os.close(self.handle)

    @contextmanager
    def held(self) -> Iterator[None]:
        self.acquire()
        try:
            yield
        finally:
            self.release()


class Journal:
    """One process's hold on a study.

    Args:
        folder: of the study; made on first use.
        identity: what the study is of, by names that people know; another one is refused.
        space: what is suggested.
        trials: in all.
        seed: of the suggestions.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], space: Space, trials: int, seed: int
    ) -> None:
        self.folder, self.space, self.trials, self.seed = folder, space, trials, seed
        self.token = uuid.uuid4().hex
        with storing(folder):
            (folder / "alive").mkdir(parents=True, exist_ok=True)
            self.asking = FileLock(folder / "asking.lock")
            self.alive = FileLock(folder / "alive" / self.token)
            self.alive.acquire()
            with self.asking.held():
                self.study = opened(folder)
                self._claim(identity)

    def close(self) -> None:
        self.alive.path.unlink(missing_ok=True)
        self.alive.release()

    def _claim(self, identity: Mapping[str, Any]) -> None:
        """Make a new study ours; refuse one that is of something else."""
        known = self.study.user_attrs.get(IDENTITY)
        wanted = json.loads(json.dumps(identity))
        if known is None:
            for point in self.space.starts():
                self.study.enqueue_trial(point, skip_if_exists=True)
            self.study.set_user_attr(IDENTITY, wanted)
        elif known != wanted:
            raise RecipeError(
                f"The study {self.folder.name} is of something else: {differences(known, wanted)}.",
                f"Give this search a name of its own with --name, or delete {self.folder}.",
            )

    @property
    def found(self) -> list["FrozenTrial"]:
        return cast("list[FrozenTrial]", self.study.get_trials(deepcopy=False))

    def ask(self) -> "tuple[Trial, Plan] | None":
        """The next trial; None when the study has enough of them."""
        from optuna.samplers import TPESampler

        with self.asking.held():
            self._reap()
            begun = self.counted()
            if begun >= self.trials:
                return None
            # by the number of trials: a study that was interrupted suggests what an unbroken one
            # would have, and two processes do not suggest the same
            seed = (self.seed * 100_003 + begun) % (1 << 32)
            self.study.sampler = TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
            trial = self.study.ask()
            plan = self.space.plan(trial)
            trial.set_user_attr(PLAN, plan.key)
            trial.set_user_attr(PROCESS, self.token)
            return trial, plan

    def counted(self) -> int:
        """Trials that are done, or that somebody is at: those to be done again count once."""
        again = {trial.user_attrs.get(AGAIN) for trial in self.found}
        begun = (trial for trial in self.found if trial.state.name != "WAITING")
        return sum(trial.number not in again for trial in begun)

    def twin(self, trial: "Trial", plan: Plan) -> int | None:
        """The number of an earlier trial that did, or does, the very same."""
        for other in self.found[: trial.number]:
            if other.user_attrs.get(PLAN) == plan.key and other.state.name in (
                "COMPLETE", "RUNNING",
            ):  # fmt: skip
                return int(other.number)
        return None

    def complete(
        self,
        trial: "Trial",
        candidate: Mapping[str, Any],
        values: tuple[float, ...],
        excess: Mapping[str, float],
    ) -> None:
        for name, value in excess.items():
            trial.set_constraint(name, value)
        trial.set_user_attr(CANDIDATE, dict(candidate))
        self.study.tell(trial, values)

    def end(self, trial: "Trial", reason: str, state: str) -> None:
        """Nothing came of it: `PRUNED` where it was hopeless, `FAIL` where it went wrong."""
        from optuna.trial import TrialState

        trial.set_user_attr(REASON, reason)
        self.study.tell(trial, state=TrialState[state])

    def put_back(self, trial: "Trial") -> None:
        """It was interrupted: the next to ask gets it."""
        from optuna.trial import TrialState

        attributes = {AGAIN: trial.number}
        self.study.enqueue_trial(trial.params, user_attrs=attributes)
        self.study.tell(trial, state=TrialState.FAIL)

    def _reap(self) -> None:
        """Put back what killed processes were at; what kills its process twice has failed."""
        from optuna.trial import TrialState

        for trial in self.found:
            if trial.state.name != "RUNNING" or self._lives(trial.user_attrs.get(PROCESS)):
                continue
            if trial.params and not trial.user_attrs.get(KILLED):
                attributes = {AGAIN: trial.number, KILLED: True}
                self.study.enqueue_trial(trial.params, user_attrs=attributes)
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _lives(self, token: str | None) -> bool:
        # without a token it was killed while asking, which only one process does at a time
        path = self.folder / "alive" / (token or "-")
        try:
            handle = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        path.unlink(missing_ok=True)
        return False


def opened(folder: Path) -> "Study":
    """The study in a folder, made when it is not there.

    Raises:
        IntegrityError: the journal is damaged.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path, lock = folder / "journal.log", FileLock(folder / "journal.lock")
    with lock.held():
        mend(path)
    try:
        storage = JournalStorage(JournalFileBackend(str(path), cast("Any", lock)))
        return optuna.create_study(
            directions=["minimize"] * 3, storage=storage, study_name=STUDY, load_if_exists=True
        )
    except (ValueError, KeyError, TypeError) as error:  # what a journal leads Optuna to
        raise IntegrityError(
            f"{path} is damaged: {error}.", "Name another study with --name, or delete its folder."
        ) from error


def mend(path: Path) -> None:
    """Take off a last line that a kill cut short: what is appended to it would be lost too."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def differences(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name} {told(known.get(name))} and not {told(value)}"
        for name, value in wanted.items()
        if known.get(name) != value
    )


def told(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
