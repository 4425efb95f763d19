"""Datasets."""

from edge_targets.runtime.events import QUIET, Job
from toolkit import results as r
from toolkit.verbs.words import Folder, Words


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
