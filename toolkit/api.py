"""The verbs: all that a user can do, each one function.

The command line is made from these signatures and docstrings, the window drives the command
line, and a program may call them. They join the rooms and hold no logic of their own.
`workspace` is always the folder with `sanderling.toml`; without it, the nearest one at or above
the current folder.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from edge_targets.runtime.errors import EdgeError, UsageError
from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.report import Report, Result

if TYPE_CHECKING:
    from toolkit.evaluation.gate import Gate
    from toolkit.importers import Given

__all__ = [
    "attach",
    "build",
    "bundle",
    "collect",
    "compress",
    "data_add",
    "data_show",
    "demo",
    "deploy",
    "device_add",
    "device_list",
    "device_remove",
    "device_status",
    "device_stop",
    "diagnose",
    "diff",
    "doctor",
    "flash",
    "gui",
    "import_",
    "init",
    "inspect",
    "list_",
    "measure",
    "package",
    "retrain",
    "search",
    "serve",
    "show",
    "train",
    "verify",
    "watch",
]


Folder = Annotated[
    Path | None,
    Parameter(help="the workspace; unless given, the nearest folder with sanderling.toml"),
]
Drop = Annotated[str | None, Parameter(show_default=False)]
SURE = "95%"
Size = Annotated[str | None, Parameter(show_default=False)]
Flag = Annotated[bool, Parameter(show_default=False)]
Columns = Annotated[Sequence[str], Parameter(show_default=False)]
Words = Annotated[Sequence[str], Parameter(metavar="KEY=VALUE", show_default=False)]
Named = Annotated[Sequence[str], Parameter(metavar="NAME=WORDS", show_default=False)]
Sizes = Annotated[Sequence[str], Parameter(metavar="NAME=SIZES", show_default=False)]
Steps = Annotated[Sequence[str], Parameter(metavar="STEP", show_default=False)]


def init(
    directory: Path | None = None, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.Initialised:
    """Make a workspace: the folder that keeps models, data, packages and telemetry.

    Args:
        directory: the folder, the current one unless given; one that is a workspace already is
            left as it is.
    """
    from toolkit.workspace import Workspace

    root = Workspace.create(directory or workspace or Path()).root
    where = f"--workspace {root}"
    return r.Initialised(
        str(root), next=(f"sanderling data add digits --name digits {where}", "sanderling doctor")
    )


def data_add(
    source: str,
    /,
    *,
    name: str,
    target: str | None = None,
    like: str | None = None,
    set: Words = (),  # noqa: A002 - the word users type
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.DatasetInfo:
    """Read a dataset, split it and keep it in the workspace.

    Args:
        source: `digits` (built in), a .csv file, or a folder of images or of WAV files with one
            folder a class; WAV files may be named LABEL_GROUP_INDEX.wav instead.
        name: what to call it.
        target: the column to predict, for tables.
        like: read it with the columns, categories and classes of this dataset, so that a model
            trained on that one understands it.
        set: a parameter of the source; may be repeated. `sanderling show sources/csv` names them.
    """
    from toolkit import shelf
    from toolkit.data.sources import source_for, sources
    from toolkit.describe import dataset_info, network_for
    from toolkit.parameters import from_words
    from toolkit.workspace import Workspace, check_name

    shelves = Workspace.find(workspace)
    kind = source_for(source)
    reader = from_words(sources[kind], set)
    pattern = shelf.dataset(shelves, like) if like else None
    data = reader.dataset(check_name(name), source, target, job, pattern)
    chosen = reader.model_dump(mode="json")
    parameters = {"source": source, "target": target, "like": like, **chosen}
    shelf.save_dataset(shelves, data, "data add", parameters)
    network = network_for(data.facts)
    return dataset_info(data, f"sanderling train {name} --network {network} --name {name}-model")


def data_show(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.DatasetInfo:
    """Tell what a dataset holds: columns, ranges, gaps, classes and split.

    Args:
        name: of the dataset.
    """
    from toolkit import shelf
    from toolkit.describe import dataset_info
    from toolkit.workspace import Workspace

    return dataset_info(shelf.dataset(Workspace.find(workspace), name))


def train(
    data: str,
    /,
    *,
    name: str,
    network: str = "small_cnn",
    set: Words = (),  # noqa: A002 - the word users type
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Trained:
    """Train a network. A run that was stopped goes on where it was when you type it again.

    Args:
        data: the dataset to learn from.
        name: what to call the model.
        network: small_cnn for images, mlp for tables, ds_cnn for sounds; `sanderling list networks`
            names all.
        set: a parameter of the network or of the training, such as epochs=40; may be repeated.
            `sanderling show networks/small_cnn` names them.
    """
    from toolkit import journeys
    from toolkit.workspace import Workspace

    return journeys.train(Workspace.find(workspace), data, network, set, name, job)


def import_(
    file: Path,
    /,
    *,
    name: str,
    data: str | None = None,
    labels: Annotated[Path | None, Parameter(show_default=False)] = None,
    meaning: Named = (),
    unit: Named = (),
    shape: Sizes = (),
    network: str | None = None,
    set: Words = (),  # noqa: A002 - the word users type
    trust: Flag = False,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Imported:
    """Take over a model that was made elsewhere.

    Args:
        file: ONNX, PyTorch (.pt2, TorchScript, weights), Keras, TFLite, scikit-learn, XGBoost or
            LightGBM; told by its content.
        name: what to call the model.
        data: a dataset of the workspace with the model's inputs: brings names, units and
            classes, and makes compression and measuring possible.
        labels: a text file with the name of one class a line, in the model's order; the data may
            have numbers for names, or the same names in any order.
        meaning: what an input or output stands for, such as image=pixels; may be repeated.
        unit: of an input or output, such as image=0-255; may be repeated.
        shape: of an input whose sizes the file leaves free, such as image=1,3,224,224; may be
            repeated.
        network: for a file of weights alone, the network of ours that they belong to.
        set: a parameter of that network; may be repeated.
        trust: read a pickle, which may run any code on this machine.
    """
    from toolkit import journeys
    from toolkit.meaning import told
    from toolkit.workspace import Workspace

    given = given_of(shape, network, set, trust)
    words = told(labels, meaning, unit)
    return journeys.import_file(Workspace.find(workspace), file, name, data, job, given, words)


def given_of(
    shape: Sequence[str], network: str | None, words: Sequence[str], trust: bool
) -> "Given":
    """What a user typed about a file."""
    from toolkit.importers import Given
    from toolkit.meaning import shapes_of

    if words and not network:
        raise UsageError(
            "--set gives parameters of a network.", "Name it, such as --network small_cnn."
        )
    return Given(trust, shapes_of(shape), network or "", tuple(words))


def inspect(
    subject: str,
    /,
    *,
    graph: Flag = False,
    shape: Sizes = (),
    network: str | None = None,
    set: Words = (),  # noqa: A002 - the word users type
    trust: Flag = False,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Inspected:
    """Tell what is in a model file, and what it can be compiled to. Needs no workspace.

    Args:
        subject: a file of any kind that can be imported, or a model or artifact of the workspace.
        graph: list every operator, too (with --json).
        shape: of an input whose sizes the file leaves free, such as image=1,3,224,224; may be
            repeated.
        network: for a file of weights alone, the network of ours that they belong to.
        set: a parameter of that network; may be repeated.
        trust: read a pickle, which may run any code on this machine.
    """
    from toolkit import inspection

    given = given_of(shape, network, set, trust)
    return inspection.inspect(subject, given, graph, workspace, job)


def diff(
    first: str,
    second: str,
    /,
    *,
    data: str | None = None,
    shape: Sizes = (),
    trust: Flag = False,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Compared:
    """Compare two models: sizes, operators, weights and, on data, what each layer gives.

    Layers are paired by name, by their weights or by their shape, so that models from other
    frameworks, quantized or pruned ones can be compared. Files need no workspace.

    Args:
        first: a file, a model or an artifact.
        second: likewise.
        data: a dataset of the workspace to run both on.
        shape: of an input whose sizes a file leaves free, such as image=1,3,224,224; may be
            repeated.
        trust: read a pickle, which may run any code on this machine.
    """
    from toolkit import comparison

    given = given_of(shape, None, (), trust)
    return comparison.compare(first, second, data, workspace, given, job)


def attach(
    model: str,
    /,
    *,
    name: str,
    before: Steps = (),
    after: Steps = (),
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Attached:
    """Put steps before and after a model into its graph, so that every place does the same.

    Args:
        model: the model to start from; it stays as it is.
        name: what to call the new model.
        before: a step for the input, with its parameters, such as "resize height=32 width=32";
            may be repeated. `sanderling list features` names all.
        after: a step for the output, such as "softmax temperature=1.5"; may be repeated.
            `sanderling list answers` names all.
    """
    from toolkit import journeys
    from toolkit.workspace import Workspace

    return journeys.attach(Workspace.find(workspace), model, before, after, name, job)


def compress(
    model: str,
    /,
    *,
    name: str,
    passes: str | None = None,
    recipe: Path | None = None,
    data: str | None = None,
    max_drop: Drop = None,
    confidence: str = SURE,
    slice: Columns = (),  # noqa: A002 - the word users type
    strict: Flag = False,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Compressed:
    """Make a model smaller or faster, pass by pass, and tell what each one did to every layer.

    Exits with 3, and keeps nothing, when it may lose more than --max-drop.

    Args:
        model: the model to start from; it stays as it is.
        name: what to call the new model.
        passes: names of passes with their defaults, in order, with commas between them.
        recipe: a TOML file of passes with parameters, instead of --passes.
        data: calibrate with this dataset instead of the one the model learned from.
        max_drop: what it may lose, such as 1%: of accuracy, or of R² for numbers.
        confidence: how sure it must be that no more is lost.
        slice: a column, or `group`, none of whose values may surely lose more; may be repeated.
        strict: exit with 3 also when a pass changed nothing.
    """
    from toolkit import compression
    from toolkit.recipe import Recipe
    from toolkit.workspace import Workspace

    if (passes is None) == (recipe is None):
        raise UsageError("Say either --passes or --recipe.", "For example: --passes quantize_int8.")
    steps = Recipe.from_file(recipe) if recipe else Recipe.of_names(passes or "")
    gate = gate_if(max_drop, confidence, slice)
    return compression.compress(
        Workspace.find(workspace), model, steps, data, name, job, gate, slice, strict
    )


def diagnose(
    model: str,
    /,
    *,
    data: str,
    recipe: Path | None = None,
    repair: Flag = False,
    name: str | None = None,
    max_drop: str = "1%",
    confidence: str = SURE,
    slice: Columns = (),  # noqa: A002 - the word users type
    max_size: Size = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Diagnosed:
    """Tell which layers int8 quantization hurts, the worst first, and mend just those.

    With --repair it exits with 3, and keeps nothing, when it may still lose more than --max-drop.

    Args:
        model: the float model.
        data: the dataset to measure on.
        recipe: a TOML file whose quantize_int8 is looked into; its defaults unless given.
        repair: lift the guilty layers one after another until no more than --max-drop is lost.
        name: with --repair: what to call the repaired model; MODEL-repaired unless given.
        max_drop: what the repaired model may lose, such as 1%.
        confidence: how sure it must be that no more is lost.
        slice: a column, or `group`, none of whose values may surely lose more; may be repeated.
        max_size: with --repair: of the repaired model's ONNX graph, such as 60kB.
    """
    from toolkit import diagnosis
    from toolkit.quantities import size_bytes
    from toolkit.recipe import Recipe
    from toolkit.workspace import Workspace

    return diagnosis.diagnose(
        Workspace.find(workspace),
        model,
        data,
        Recipe.from_file(recipe) if recipe else None,
        gate_of(max_drop, confidence),
        repair,
        name,
        size_bytes(max_size, "--max-size") if max_size else None,
        slice,
        job,
    )


def search(
    model: str,
    /,
    *,
    data: str,
    target: str = "simulator",
    device: str | None = None,
    max_size: Size = None,
    max_latency: Annotated[str | None, Parameter(help="of one prediction, such as 5ms.")] = None,
    max_ram: Size = None,
    max_drop: str = "1%",
    confidence: str = SURE,
    trials: int = 40,
    time: Annotated[str | None, Parameter(help="to stop after, such as 10min.")] = None,
    name: str | None = None,
    families: str | None = None,
    seed: int = 0,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Searched:
    """Search for the best recipe and runtime within a budget.

    Typed again it goes on where it was; typed in a second terminal, both share the work.

    Exits with 3 when nothing fits.

    Args:
        model: the model to start from.
        data: the dataset to measure on.
        target: what the model is for; `sanderling list targets` names them.
        device: a device of the workspace to measure on, instead of an estimate.
        max_size: of the compiled file, such as 200kB.
        max_ram: that the runtime may need for the model, such as 8MB.
        max_drop: what may be lost, such as 1%.
        confidence: how sure it must be that no more is lost.
        trials: models to try in all.
        name: of the study; MODEL-TARGET unless given.
        families: names of passes to choose from, with commas between them; all unless given.
        seed: of the search.
    """
    from toolkit import search as searching
    from toolkit.quantities import milliseconds, seconds, size_bytes
    from toolkit.workspace import Workspace

    options = searching.Options(
        target=target,
        device=device,
        max_size=size_bytes(max_size, "--max-size") if max_size else None,
        max_latency_ms=milliseconds(max_latency, "--max-latency") if max_latency else None,
        max_ram=size_bytes(max_ram, "--max-ram") if max_ram else None,
        gate=gate_of(max_drop, confidence),
        trials=trials,
        time_s=seconds(time, "--time") if time else None,
        study=name,
        families=tuple(name.strip() for name in families.split(",")) if families else (),
        seed=seed,
    )
    return searching.search(Workspace.find(workspace), model, data, options, job)


def gate_if(max_drop: str | None, confidence: str, slices: Sequence[str]) -> "Gate | None":
    """The gate that was asked for, if one was; what would be of no use without it is refused."""
    if max_drop:
        return gate_of(max_drop, confidence)
    if slices or confidence != SURE:
        raise UsageError(
            "--slice and --confidence say how --max-drop is judged.", "Add --max-drop 1%."
        )
    return None


def gate_of(max_drop: str, confidence: str) -> "Gate":
    """Of what a user typed."""
    from toolkit.evaluation.gate import Gate
    from toolkit.quantities import share

    sure = share(confidence, "--confidence", "95% or 0.95")
    if not 0.5 <= sure < 1:
        raise UsageError(
            f"--confidence {confidence}: it is from 50% to below 100%.", "Write it like 95%."
        )
    return Gate(max_drop=share(max_drop, "--max-drop"), confidence=sure)


def build(
    model: str,
    /,
    *,
    format: Sequence[str] = (),  # noqa: A002 - the word users type
    target: str | None = None,
    free_batch: Flag = False,
    data: str | None = None,
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Built:
    """Compile a model to files, and prove that each answers like the model.

    Exits with 3 when one does not.

    Args:
        model: the model to compile.
        format: such as onnx or tflite; may be repeated. Unless given, all that the target takes;
            `sanderling list formats` names all.
        target: what the files are for; `sanderling list targets` names them.
        free_batch: TFLite files that take any number of items at once, where the operators can;
            the others take one at a time.
        data: prove it on this dataset instead of the one the model learned from.
        out: a folder for copies of the files; what is there under their names is replaced.
    """
    from toolkit import journeys
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    built = journeys.build(shelves, model, format, data, job, target, free_batch)
    return journeys.copied(shelves, built, out) if out else built


def verify(
    model: str,
    /,
    *,
    data: str | None = None,
    device: str | None = None,
    place: Columns = (),
    samples: int = 500,
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Certificate:
    """Run the same inputs through every runtime there is, and certify that all answer alike.

    Exits with 3 when one does not.

    Args:
        model: the model to verify.
        data: a dataset of the workspace to take inputs from, instead of the one it learned from.
        device: a device of the workspace to ask as well.
        place: a runtime to ask; may be repeated. Unless given, all; `sanderling list places` names
            them.
        samples: inputs to compare at most.
    """
    from toolkit import verification
    from toolkit.workspace import Workspace

    return verification.verify(Workspace.find(workspace), model, data, device, place, samples, job)


def measure(
    subject: str,
    /,
    *,
    data: str,
    threads: int = 1,
    workspace: Folder = None,
    job: Job = QUIET,
) -> Report:
    """Measure accuracy, equality with the original, size and latency on this machine.

    Args:
        subject: a model or an artifact.
        data: the dataset; accuracy is of its test part.
        threads: that the engine may use.
    """
    from toolkit import journeys
    from toolkit.workspace import Workspace

    return journeys.measure(Workspace.find(workspace), subject, data, threads, job)


def package(
    artifact: str,
    /,
    *,
    target: str,
    name: str | None = None,
    serve_as: str | None = None,
    reference: str | None = None,
    max_drop: Drop = None,
    confidence: str = SURE,
    slice: Columns = (),  # noqa: A002 - the word users type
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Packaged:
    """Pack an artifact into one signed file with all that a device needs.

    Exits with 3, and packs nothing, when it may lose more than --max-drop.

    Args:
        artifact: a file made by `build` that answers like its model.
        target: what it is for; `sanderling list targets` names them.
        name: of the package; ARTIFACT-TARGET unless given.
        serve_as: the name a device serves the model by; the model's own unless given.
        reference: the dataset that live windows are compared with; the newest one that the model
            learned from unless given.
        max_drop: what it may lose against the float model it comes from, such as 1%.
        confidence: how sure it must be that no more is lost.
        slice: a column, or `group`, none of whose values may surely lose more; may be repeated.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    gate = gate_if(max_drop, confidence, slice)
    return shipping.package(shelves, artifact, target, name, serve_as, job, reference, gate, slice)


def deploy(
    package: str, device: str, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.Deployed:
    """Put a package on a device, which checks it, tries it and only then switches to it.

    Args:
        package: the name of a package.
        device: the name of a device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.deploy(Workspace.find(workspace), package, device, job)


def device_add(
    name: str, address: str, /, *, target: str, workspace: Folder = None, job: Job = QUIET
) -> r.DeviceInfo:
    """Give a device a name. Nothing is sent to it yet.

    Args:
        name: what to call it.
        address: http://HOST:PORT of an agent that runs, or, for the simulator and the browser, a
            folder.
        target: what it is; `sanderling list targets` names them.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.device_add(Workspace.find(workspace), name, address, target)


def device_list(*, workspace: Folder = None, job: Job = QUIET) -> r.Devices:
    """Name all devices, each asked how it is."""
    from toolkit import shipping
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    names = job.track(shelves.names("devices"), "ask devices")
    return r.Devices(tuple(shipping.device_status(shelves, name) for name in names))


def device_remove(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Devices:
    """Forget a device. Nothing is sent to it: what runs there goes on.

    Args:
        name: of the device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    shelves = Workspace.find(workspace)
    shipping.device_remove(shelves, name)
    return device_list(workspace=workspace, job=job)


def device_status(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.DeviceInfo:
    """Ask a device how it is, what it serves and what it has not sent yet.

    Args:
        name: of the device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.device_status(Workspace.find(workspace), name)


def device_stop(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.DeviceInfo:
    """Stop the agent of a device; what it has not sent stays in its spool.

    Args:
        name: of the device.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.device_stop(Workspace.find(workspace), name)


def bundle(
    package: str, directory: Path, /, *, workspace: Folder = None, job: Job = QUIET
) -> r.Bundled:
    """Write a folder of static files that runs a package in any browser.

    Args:
        package: a package for the browser target.
        directory: the folder to write.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.bundle(Workspace.find(workspace), package, directory, job)


def serve(
    directory: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workspace: Folder = None,
    job: Job = QUIET,
) -> None:
    """Serve a browser bundle and take the telemetry of its visitors, until stopped.

    Args:
        directory: the folder that `bundle` wrote.
        host: the address to listen on; other machines can reach 0.0.0.0.
        port: 0 for any free one.
    """
    from toolkit import serving
    from toolkit.telemetry import receiver
    from toolkit.telemetry.store import Store
    from toolkit.workspace import Workspace

    store = Store(Workspace.find(workspace).telemetry)
    serving.serve(directory, host, port, receiver.routes(store), job)


def collect(
    *, host: str = "127.0.0.1", port: int = 7733, workspace: Folder = None, job: Job = QUIET
) -> None:
    """Take telemetry from devices into the workspace, until stopped.

    Args:
        host: the address to listen on; other machines can reach 0.0.0.0.
        port: 0 for any free one.
    """
    from toolkit.telemetry import receiver
    from toolkit.telemetry.store import Store
    from toolkit.workspace import Workspace

    receiver.collect(Store(Workspace.find(workspace).telemetry), host, port, job)


def watch(
    model: str,
    /,
    *,
    hours: float = 24,
    alpha: float = 0.01,
    workspace: Folder = None,
    job: Job = QUIET,
) -> Result:
    """Compare what devices have seen with the reference profile of their package.

    Exits with 3 when anything drifts.

    Args:
        model: a model, a package, or the name a model is served by.
        hours: how far back to look.
        alpha: how often a quiet window may raise a false alarm, over all features together.
    """
    from toolkit import shipping
    from toolkit.workspace import Workspace

    return shipping.watch(Workspace.find(workspace), model, hours, alpha, job)


def retrain(
    model: str,
    /,
    *,
    data: str,
    name: str,
    set: Words = (),  # noqa: A002 - the word users type
    workspace: Folder = None,
    job: Job = QUIET,
) -> r.Retrained:
    """Train again with new data, and prove the new model better there and not worse elsewhere.

    Exits with 3 when the proof fails; the model is kept all the same.

    Args:
        model: the model, or one compressed from it.
        data: the dataset of what devices see now.
        name: what to call the new model.
        set: a parameter of the training, such as epochs=40; may be repeated.
    """
    from toolkit import journeys
    from toolkit.workspace import Workspace

    return journeys.retrain(Workspace.find(workspace), model, data, set, name, job)


def list_(kind: str | None = None, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Listing:
    """Name what there is.

    Args:
        kind: datasets, models, artifacts, packages or devices of the workspace; or networks,
            passes, formats, targets, sources, importers, drift_tests. Without it, all of the
            workspace.
    """
    from toolkit.describe import listing

    return listing(kind, workspace)


def show(name: str, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Shown:
    """Tell all about one thing, and what it was made from, back to the data.

    Args:
        name: of a dataset, model, artifact, package or device; KIND/NAME where two share it, and
            for what can be chosen, such as passes/quantize_int8: its parameters.
    """
    from toolkit.describe import shown

    return shown(name, workspace)


def flash(image: Path, disk: Path, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Flashed:
    """Write a system image to a memory card and read it back to be sure.

    Args:
        image: .img, .img.xz or .img.gz.
        disk: the card's device, such as /dev/sdX, or the name of a new file; a disk in use is
            refused.
    """
    from edge_targets.flashing.image import write_image

    done = write_image(image, disk, job)
    return r.Flashed(str(disk), done.bytes_written, done.sha256)


def doctor(*, workspace: Folder = None, job: Job = QUIET) -> Result:
    """Tell what is installed, what is missing, and the command that mends it."""
    from toolkit.doctor import examine

    return examine(workspace)


def demo(directory: Path | None = None, /, *, workspace: Folder = None, job: Job = QUIET) -> r.Demo:
    """Run the whole line once on real data: train, compress, deploy, watch, retrain.

    Args:
        directory: the folder to do it in, `demo` unless given; it may not hold anything else.
    """
    from toolkit.demo import run

    return run(directory or workspace or Path("demo"), job)


def gui(
    *,
    workspace: Folder = None,
    theme: Literal["system", "light", "dark"] = "system",
    job: Job = QUIET,
) -> None:
    """Open the window.

    Args:
        theme: the window's colours; system is what was last chosen in it.
    """
    import subprocess
    import sys
    from importlib.util import find_spec

    if not find_spec("PySide6") or not find_spec("gui"):
        raise EdgeError("The window is not installed.", "pip install 'sanderling[gui]'")
    # a program of its own: `toolkit` does not know `gui`
    words = ["--workspace", str(workspace)] if workspace else []
    done = subprocess.run([sys.executable, "-m", "gui", "--theme", theme, *words], check=False)
    if done.returncode:
        raise EdgeError(
            f"The window ended with code {done.returncode}; what it said stands above.",
            "Is there a screen? `sanderling doctor` names the libraries it needs.",
        )
