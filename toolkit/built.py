"""Which of a workspace's built files is packed: the one that was named, or a model's best."""

from edge_targets.catalog import targets
from edge_targets.places.target import Target
from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from toolkit.formats import formats
from toolkit.workspace import Entry, Workspace


def artifact_of(shelves: Workspace, name: str, target: type[Target]) -> Entry:
    """The artifact of that name; of a model's name, the one that a target runs best.

    Targets name the faster format first. One that was not proven comes after all that were.

    Raises:
        UnknownNameError: neither an artifact nor a model has that name.
        UnsupportedError: nothing that the target runs was built of the model.
    """
    known = shelves.names("artifacts")
    if name in known or name not in shelves.names("models"):
        return shelves.get("artifacts", name)
    model = shelves.get("models", name)
    made = [shelves.get("artifacts", one) for one in known]
    fitting = [
        entry
        for entry in made
        if model.digest in entry.parents and engine_of(entry) in target.formats
    ]
    if not fitting:
        title = next(key for key in targets.names() if targets[key] is target)
        raise UnsupportedError(
            f"Nothing that {target.title} runs was built of {name}.",
            f"sanderling build {name} --target {title}",
        )

    def rank(entry: Entry) -> tuple[bool, int, bool]:
        engine, unproven = engine_of(entry), not entry.facts["parity"]["passed"]
        return unproven, target.formats.index(engine), entry.facts["format"] != engine

    return min(fitting, key=rank)


def engine_of(artifact: Entry) -> str:
    return formats[artifact.facts["format"]].engine


def refuse_unproven(artifact: Entry) -> None:
    proof = artifact.facts["parity"]
    failed = [check for check in artifact.facts.get("checks", ()) if check["passed"] is False]
    if proof["passed"] and failed:
        named = "; ".join(f"{check['name']}: {check['value']}" for check in failed)
        raise IntegrityError(
            f"{artifact.name} fails a check of its file: {named}.",
            "Build another format, or report the model's operators as a bug.",
        )
    if proof["passed"]:
        return
    told = {
        "the share of equal labels": proof["label_agreement"],
        "the variance explained": proof.get("explained"),
    }
    known = "".join(f", {name} {value:.4g}" for name, value in told.items() if value is not None)
    raise IntegrityError(
        f"{artifact.name} does not answer like its model: the largest difference is "
        f"{proof['max_difference']:.3g}{known}.",
        "Build another format, or report the model's operators as a bug.",
    )
