"""Where models come from: trained, imported, or trained again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edge_targets.runtime.errors import UsageError
from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.verbs.words import Flag, Folder, Named, Sizes, Steps, Words

if TYPE_CHECKING:
    from toolkit.importers import Given


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
