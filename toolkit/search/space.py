"""What can be tried: a way to shrink the network, a way to store its numbers, and a runtime.

Passes that make neither the file smaller nor a prediction faster (zeros, clusters) are left out:
they shrink a zip only. Every choice is a parameter of the study, so that the sampler learns which
of them pay.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from edge_targets.catalog import targets
from edge_targets.runtime.errors import UnknownNameError, UnsupportedError
from toolkit.anatomy import layers_of
from toolkit.model import Model
from toolkit.passes import Pass, passes
from toolkit.recipe import Recipe
from toolkit.search.options import Options

FLOAT = "none"
SHRINK = ("distill", "low_rank", "prune_channels")
BOTH = "distill+prune_channels"  # a student that is wide enough to learn, then cut down
STORE = {  # bits of a weight at least
    "half_precision": 16, "qat": 4, "quantize_dynamic": 8, "quantize_int8": 8,
    "quantize_weights": 4,
}  # fmt: skip
BEFORE = "equalize_layers"  # helps static int8 and nothing else
RECURRENT = {"LSTM", "GRU", "Gemm", "MatMul"}  # what quantize_dynamic works on
DEPTHS = (1.0, 0.6)
# a student begins with nothing; what was pruned hard needs long steps, and time, to come back
EPOCHS = {"distill": 80, "low_rank": 10, "prune_channels": 50}
LEARNING_RATES = {"prune_channels": 3e-3}
CALIBRATIONS = ("minmax", "mse", "percentile", "entropy")
IMPORTANCES = ("magnitude", "taylor", "batch_norm")
APART = ("none", "first", "last")  # the layers that suffer most, as a rule
MOST_THREADS = 4  # of a small network: more only wait for each other


class Suggests(Protocol):
    """What suggests values: a trial of Optuna, or a fixed choice."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...

    def suggest_float(self, name: str, low: float, high: float, *, step: float) -> float: ...


@dataclass(frozen=True)
class Runtime:
    """A format and so many threads."""

    format: str
    threads: int

    def __str__(self) -> str:
        return f"{self.format} x{self.threads}"


@dataclass(frozen=True)
class Plan:
    """What one trial does.

    Attributes:
        shrink: passes that change the network.
        store: passes that change how numbers are stored.
        apart: which layer keeps float arithmetic: `first`, `last` or `none`.
        bits: of a stored weight, at least.
    """

    shrink: tuple[Pass, ...]
    store: tuple[Pass, ...]
    apart: str
    bits: int
    runtime: Runtime

    @property
    def key(self) -> str:
        """The same for the same work."""
        recipe = Recipe((*self.shrink, *self.store)).to_toml()
        return f"{recipe}\n{self.apart}\n{self.runtime}"

    def stored_for(self, graph: bytes) -> tuple[Pass, ...]:
        """The last passes, with the layer of this graph that stands apart named."""
        names = [layer.name for layer in layers_of(graph)]
        if self.apart == "none" or len(names) < 2:
            return self.store
        layer = names[0 if self.apart == "first" else -1]
        return tuple(
            step.model_copy(update={"layers": (f"{layer}=weights",)})
            if "layers" in type(step).model_fields
            else step
            for step in self.store
        )


@dataclass(frozen=True)
class Space:
    """The families that suit a model, and the runtimes of a target."""

    families: tuple[str, ...]
    runtimes: tuple[Runtime, ...]
    trainable: bool
    epochs: int | None
    seed: int

    @classmethod
    def of(cls, model: Model, graph: bytes, options: Options) -> "Space":
        """Everything that can be tried with this model.

        Raises:
            UnknownNameError: a family that no search knows.
            UnsupportedError: a family that needs the trainable network.
        """
        known = (*SHRINK, *STORE, BEFORE)
        for name in options.families:
            if name not in known or name not in passes.names():
                raise UnknownNameError("family", name, sorted(set(known) & set(passes.names())))
            if passes[name].needs_network and not model.network:
                raise UnsupportedError(
                    f"{name} needs the trainable network, and this model is a finished graph.",
                    "Leave it out of --families, or begin with a model that was trained here.",
                )
        operators = {layer.op for layer in layers_of(graph)}
        found = [
            name
            for name in known
            if name in passes.names()
            and (not options.families or name in options.families)
            and (model.network or not passes[name].needs_network)
            and (name != "quantize_dynamic" or operators & RECURRENT)
        ]
        runtimes = runtimes_of(options.target)
        trainable = model.network is not None
        return cls(tuple(found), runtimes, trainable, options.epochs, options.seed)

    def plan(self, trial: Suggests) -> Plan:
        """What the parameters of a trial stand for; asks for those that matter only."""
        shrinks = [FLOAT, *self.of_kind(SHRINK)]
        if all(name in shrinks for name in BOTH.split("+")):
            shrinks.append(BOTH)
        shrink = trial.suggest_categorical("shrink", shrinks)
        store = trial.suggest_categorical("store", [FLOAT, *self.of_kind(STORE)])
        apart, before = "none", []
        if store == "quantize_int8":
            apart = trial.suggest_categorical("apart", APART)
            if BEFORE in self.families and trial.suggest_categorical("equalize", [False, True]):
                before = [self.member(BEFORE)]
        chosen = [] if shrink == FLOAT else shrink.split("+")
        shrinking = tuple(self.shrinking(name, trial) for name in chosen)
        storing = () if store == FLOAT else (*before, self.storing(store, trial))
        bits = storing[-1].model_dump().get("bits", STORE[store]) if storing else 32
        names = [str(runtime) for runtime in self.runtimes]
        runtime = trial.suggest_categorical("runtime", names)
        return Plan(shrinking, storing, apart, bits, self.runtimes[names.index(runtime)])

    def of_kind(self, kind: Any) -> list[str]:
        return [name for name in kind if name in self.families]

    def shrinking(self, name: str, trial: Suggests) -> Pass:
        if name == "distill":
            width = round(trial.suggest_float("width", 0.2, 0.8, step=0.05), 2)
            return self.member(name, width=width, depth=trial.suggest_categorical("depth", DEPTHS))
        if name == "low_rank":
            energy = trial.suggest_float("energy", 0.6, 0.95, step=0.05)
            return self.member(name, energy=round(energy, 2))
        importance = trial.suggest_categorical("importance", offered(name, "importance"))
        ratio = trial.suggest_float("ratio", 0.1, 0.85, step=0.05)
        return self.member(name, ratio=round(ratio, 2), importance=importance)

    def storing(self, name: str, trial: Suggests) -> Pass:
        if name == "quantize_int8":
            found = trial.suggest_categorical("calibration", offered(name, "calibration"))
            return self.member(name, calibration=found)
        if name in ("quantize_weights", "qat"):
            return self.member(name, bits=trial.suggest_categorical("bits", (8, 4)))
        return self.member(name)

    def member(self, name: str, **fields: Any) -> Pass:
        cls = passes[name]
        given = {**fields, "seed": self.seed}
        if name in LEARNING_RATES:
            given["learning_rate"] = LEARNING_RATES[name]
        epochs = EPOCHS.get(name) if self.epochs is None else self.epochs
        if epochs is not None:
            given["epochs"] = epochs if self.trainable else 0
        return cls(**{key: value for key, value in given.items() if key in cls.model_fields})

    def starts(self) -> Iterator[dict[str, Any]]:
        """Points that are worth a look whatever the model: the first trials of a study."""
        for runtime in self.runtimes:
            yield {"shrink": FLOAT, "store": FLOAT, "runtime": str(runtime)}
        exact = {"apart": "none", "equalize": False, "calibration": "minmax"}
        stores: list[dict[str, Any]] = [
            {"store": name, **(exact if name == "quantize_int8" else {}), "bits": 8}
            for name in self.of_kind(("quantize_int8", "qat", "quantize_weights"))
        ]
        shrinks: list[dict[str, Any]] = [
            {"shrink": "prune_channels", "ratio": ratio, "importance": "magnitude"}
            for ratio in (0.5, 0.7)
        ]
        shrinks += [
            {"shrink": "distill", "width": width, "depth": depth}
            for width, depth in ((0.5, 1.0), (0.35, 0.6))
        ]
        shrinks += [{"shrink": "low_rank", "energy": 0.8}]
        cut = {"ratio": 0.4, "importance": "magnitude"}
        shrinks.append({"shrink": BOTH, "width": 0.8, "depth": 0.6, **cut})
        shrinks = [p for p in shrinks if set(p["shrink"].split("+")) <= set(self.families)]
        last = next(str(runtime) for runtime in reversed(self.runtimes) if runtime.threads == 1)
        for store in stores[:1]:
            for runtime in self.runtimes:
                yield {"shrink": FLOAT, **store, "runtime": str(runtime)}
            for shrink in shrinks:
                yield {**shrink, **store, "runtime": last}
        for store in stores[1:]:
            yield {"shrink": FLOAT, **store, "runtime": last}
            # float arithmetic on small weights is often as fast, and loses next to nothing
            if store["store"] == "quantize_weights":
                yield from ({**shrink, **store, "runtime": last} for shrink in shrinks[:2])
        if not stores:
            for shrink in shrinks:
                yield {**shrink, "store": FLOAT, "runtime": last}


def runtimes_of(target_name: str) -> tuple[Runtime, ...]:
    """One thread, and as many as are worth it."""
    target = targets[target_name]
    counts = sorted({1, min(target.facts.cores, MOST_THREADS)})
    return tuple(Runtime(name, count) for name in target.formats for count in counts)


def offered(name: str, field: str) -> list[str]:
    """The values of a pass's field that are worth trying."""
    described = passes[name].model_fields.get(field)
    known = get_args(described.annotation) if described else ()
    return [value for value in (*CALIBRATIONS, *IMPORTANCES) if value in known] or ["magnitude"]


def short(steps: tuple[Pass, ...]) -> str:
    """A recipe in a few words."""
    return " → ".join(words(passes.name_of(step), step.model_dump()) for step in steps) or "float"


def words(name: str, given: Mapping[str, Any]) -> str:
    apart = "".join(f", {layer}" for layer in given.get("layers", ()))
    plain = {
        "distill": "distill to width {width:g}, depth {depth:g}",
        "equalize_layers": "equalize",
        "half_precision": "half precision",
        "low_rank": "low rank {energy:g}",
        "prune_channels": "prune channels {ratio:g}",
        "qat": "qat int{bits}",
        "quantize_dynamic": "dynamic int8",
        "quantize_int8": "int8 ({calibration}" + apart + ")",
        "quantize_weights": "weights int{bits}",
    }
    text = plain.get(name, name.replace("_", " ")).format(**given)
    importance = given.get("importance", "magnitude")
    return text if importance == "magnitude" else f"{text} ({importance})"
