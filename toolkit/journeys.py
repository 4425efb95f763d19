"""From data to a proven file: train, import, build, measure, retrain, on a workspace."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from edge_targets.catalog import targets
from edge_targets.runtime.durable import replace_file, storing
from edge_targets.runtime.errors import DataError, RecipeError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit import retrain as retraining
from toolkit import shelf
from toolkit.artifact import Compiled, compile_model
from toolkit.attaching import answers_from_words, steps_from_words
from toolkit.attaching import attach as attached
from toolkit.data.dataset import Dataset
from toolkit.data.dataset import told as listed
from toolkit.describe import input_info
from toolkit.evaluation.held_out import held_out
from toolkit.evaluation.metrics import metric_name, quality
from toolkit.features import fit_features
from toolkit.formats import Wish, formats
from toolkit.guarded import import_model
from toolkit.importers import Given, Source, recognised
from toolkit.inference import Runner
from toolkit.matching import in_classes, with_meaning
from toolkit.meaning import Told, questions
from toolkit.measure import Subject
from toolkit.measure import measure as measured
from toolkit.model import Model
from toolkit.networks import networks
from toolkit.onnx_graph import OPSET, answering, graph_of, operators
from toolkit.parameters import from_words, split_words
from toolkit.proof import proof_inputs
from toolkit.quantities import check_threads
from toolkit.report import Interval, Report
from toolkit.results import Attached, Built, Fit, Imported, Retrained, Trained
from toolkit.training import Settings, fit
from toolkit.workspace import Entry, Workspace, check_name

NOTHING_GIVEN, NOTHING_TOLD = Given(), Told()


def train(
    shelves: Workspace, data_name: str, network_name: str, words: Sequence[str], name: str, job: Job
) -> Trained:
    check_name(name)
    source = shelves.get("datasets", data_name)
    data = shelf.load_dataset(shelves, source)
    cls = networks[network_name]
    network_words, training_words = split_words(words, cls, Settings)
    network, settings = from_words(cls, network_words), from_words(Settings, training_words)
    blank = Model(data.signature(), network, fit_features(data), data=data)
    blank.module()  # a network that does not take these inputs says so before anything is done
    parameters = {
        "network": network_name,
        **network.model_dump(mode="json"),
        **settings.model_dump(mode="json"),
    }
    checkpoint = run_file(shelves, [source.files["data.npz"], parameters])
    fitted = fit(blank, settings, job, checkpoint)
    shelf.save_model(
        shelves, name, fitted.model, "train", parameters, (source,), (source,),
        settings=settings.model_dump(mode="json"),
    )  # fmt: skip
    with storing(checkpoint):
        checkpoint.unlink(missing_ok=True)
    runner = Runner.of_model(fitted.model, job)
    validation, test = (quality_of(runner, data, part, job) for part in ("validation", "test"))
    return Trained(
        name,
        network_name,
        data_name,
        fitted.epochs,
        fitted.model.parameters,
        metric_name(data.targets),
        validation,
        test,
        next=(
            f"sanderling compress {name} --passes quantize_int8 --name {name}-int8",
            f"sanderling build {name} --format onnx --format tflite",
        ),
    )


def run_file(shelves: Workspace, what: object) -> Path:
    """Where a training run is kept until it is done: the same run finds its own file again."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return shelves.runs() / f"{digest[:32]}.pt"


def quality_of(runner: Runner, data: Dataset, part: str, job: Job) -> Interval:
    inputs, targets = data.part("validation" if part == "validation" else "test")
    return quality(runner.first_output(inputs, job), targets)


def import_file(
    shelves: Workspace,
    file: Path,
    name: str,
    data_name: str | None,
    job: Job,
    given: Given = NOTHING_GIVEN,
    told: Told = NOTHING_TOLD,
) -> Imported:
    check_name(name)
    sources = (shelves.get("datasets", data_name),) if data_name else ()
    found = import_model(file, given, job)
    own = told.applied(found.model.signature)
    model, notes = replace(found.model, signature=own), found.notes
    for entry in sources:
        model = with_meaning(model, shelf.load_dataset(shelves, entry))
    if model.signature.labels != own.labels:
        notes = (*notes, order_taken(model.signature.labels))
    parameters = {
        "file": file.name,
        "data": data_name,
        "trust": given.trust,
        "shapes": {key: list(shape) for key, shape in given.shapes.items()},
        **told.to_json(),
    }
    shelf.save_model(shelves, name, model, "import", parameters, sources, sources)
    graph = graph_of(model, job)
    return Imported(
        name,
        recognised(Source.of(file)),
        model.parameters,
        found.opset or None,
        found.layout,
        tuple(input_info(spec) for spec in model.signature.inputs),
        tuple(input_info(spec) for spec in model.signature.outputs),
        model.signature.labels,
        operators(graph),
        dict(found.metadata),
        (*notes, *questions(model.signature)),
        found.warnings,
        next=(f"sanderling build {name}", f"sanderling verify {name}"),
    )


def order_taken(labels: Sequence[str]) -> str:
    """What is said where a model has numbered classes and its dataset has named ones."""
    return (
        f"Its numbered classes are taken to be {listed(labels)}, in this order, as in the data: "
        "where they are in another, give it with --labels FILE."
    )


def attach(
    shelves: Workspace,
    source_name: str,
    before: Sequence[str],
    after: Sequence[str],
    name: str,
    job: Job,
) -> Attached:
    shelf.new_name(name, source_name)
    if not before and not after:
        raise RecipeError("Nothing to attach.", "Say --before or --after, or both.")
    steps, answers = steps_from_words(before), answers_from_words(after)
    entry = shelves.get("models", source_name)
    model = attached(shelf.load_model(shelves, entry), steps, answers, job)
    parameters = {"before": list(before), "after": list(after)}
    same = not before and model.signature.labels == shelf.signature_of(entry).labels != ()
    # with a step before it, what the model learned from is no longer what it takes
    data = shelf.data_of(shelves, entry) if same else ()
    shelf.save_model(shelves, name, model, "attach", parameters, (entry,), data)
    return Attached(
        name,
        source_name,
        tuple(before),
        tuple(after),
        tuple(input_info(spec) for spec in model.signature.inputs),
        tuple(input_info(spec) for spec in model.signature.outputs),
        model.signature.labels,
        next=(f"sanderling build {name}",),
    )


def formats_for(names: Sequence[str], target_name: str | None) -> tuple[str, ...]:
    """The formats that were asked for, or all that a target takes, or the usual ones."""
    if not target_name:
        return tuple(names) or tuple(name for name in formats.names() if formats[name].usual)
    target = targets[target_name]
    for name in names:
        if formats[name].engine not in target.formats:
            raise UnsupportedError(
                f"{target.title} cannot run {name!r}.",
                f"Build one of: {', '.join(target.formats)}.",
            )
    return tuple(names) or target.formats


def build(
    shelves: Workspace,
    model_name: str,
    names: Sequence[str],
    data_name: str | None,
    job: Job,
    target_name: str | None = None,
    free_batch: bool = False,
) -> Built:
    # an unknown name, or one that grows too long, fails before any work
    chosen = {name: formats[name] for name in formats_for(names, target_name)}
    artifacts = {name: check_name(f"{model_name}.{name}") for name in chosen}
    _, model, parents = shelf.loaded(shelves, model_name, data_name, judged=False)
    finished = model.with_graph(graph_of(model, job))  # exported once for all formats
    proof = proof_inputs(finished)
    opset = targets[target_name].opset if target_name else OPSET
    wish = Wish(opset, free_batch, partial(answering, model) if model.network else None)
    # all are compiled before one is stored: a refusal leaves nothing behind
    compiled_as: dict[str, Compiled] = {}
    left_out: list[Fit] = []
    for name in chosen:
        try:
            compiled = compile_model(finished, name, proof.inputs, job, wish)
        except UnsupportedError as error:
            if names or len(left_out) + 1 == len(chosen):  # asked for by name, or none is left
                raise
            left_out.append(Fit(name, False, str(error), error.hint))
        else:
            compiled_as[name] = compiled.noted(proof.note)
    found = []
    for name, compiled in compiled_as.items():
        file = f"model{chosen[name].suffix}"
        facts = {"format": name, "signature": model.signature.to_json(), **compiled.facts()}
        parameters = {"format": name, "data": data_name}
        made = shelves.put(
            "artifacts", artifacts[name], {file: compiled.data}, facts, "build", parameters, parents
        )
        found.append(compiled.info(made.name, name, made.files[file]))
    first = found[0].name if found else ""
    return Built(
        tuple(found),
        tuple(left_out),
        next=(
            f"sanderling measure {first} --data {data_name or 'DATA'}",
            f"sanderling package {first} --target {target_name or 'simulator'}",
        ),
    )


def copied(shelves: Workspace, built: Built, folder: Path) -> Built:
    """The same, with copies of the files in a folder; one that failed its proof is not copied."""
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for artifact in built.artifacts:
        if not artifact.passed:
            continue
        entry = shelves.get("artifacts", artifact.name)
        [file] = entry.files
        replace_file(folder / artifact.name, shelves.read(entry, file))
    return built


def runner_of(shelves: Workspace, entry: Entry, threads: int, job: Job) -> tuple[Runner, int]:
    """A model or artifact, loaded, and the size of its file in bytes."""
    if entry.kind == "models":
        graph = graph_of(shelf.load_model(shelves, entry), job)
        return Runner(graph, "onnx", shelf.signature_of(entry), threads), len(graph)
    [file] = entry.files
    data = shelves.read(entry, file)
    return Runner(data, entry.facts["format"], shelf.signature_of(entry), threads), len(data)


def measure(shelves: Workspace, name: str, data_name: str, threads: int, job: Job) -> Report:
    check_threads(threads)
    entry = shelves.find_any(name, ("models", "artifacts"))
    learned = shelf.learned_data(shelves, entry)
    data = shelf.fitting(shelf.signature_of(entry), shelf.dataset(shelves, data_name), learned)
    unseen = held_out(data, [learned] if learned else [])
    runner, size = runner_of(shelves, entry, threads, job)
    subject = Subject(runner, size)
    if entry.kind == "artifacts":
        original, _ = runner_of(shelves, shelves.entry(entry.parents[0]), threads, job)
        subject = Subject(runner, size, original, entry.facts["quantized"])
    return Report(f"{name} on {data_name}", measured(subject, data, unseen, job))


def retrain(
    shelves: Workspace, name: str, data_name: str, words: Sequence[str], new_name: str, job: Job
) -> Retrained:
    check_name(new_name)
    source = shelf.trainable(shelves, shelves.get("models", name))
    old, before = shelf.load_model(shelves, source), shelf.data_of(shelves, source)
    today_entry = shelves.get("datasets", data_name)
    today = shelf.fitting(old.signature, shelf.load_dataset(shelves, today_entry), old.data)
    if today_entry.files in [entry.files for entry in before]:
        raise DataError(
            f"{name} has learned from {data_name} already.",
            "Name a dataset with what devices see now.",
        )
    given = from_words(Settings, words).model_dump(exclude_unset=True)
    settings = Settings(**{**(source.facts.get("settings") or {}), **given})
    learned = [in_classes(shelf.load_dataset(shelves, one), today.labels) for one in before]
    proofs = retraining.unseen(today, learned)
    new = retraining.retrain(old, today, settings, job)
    rows = retraining.compare(old, new, proofs, job)
    parameters = {"data": data_name, **settings.model_dump(mode="json")}
    shelf.save_model(
        shelves, new_name, new, "retrain", parameters,
        (source, today_entry), (today_entry, *before), settings=settings.model_dump(mode="json"),
    )  # fmt: skip
    return Retrained(
        new_name,
        name,
        rows,
        next=(f"sanderling compress {new_name} --passes quantize_int8 --name {new_name}-int8",),
    )
