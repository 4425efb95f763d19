"""LightGBM's own text files."""

import re

from edge_targets.runtime.errors import IntegrityError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source
from toolkit.model import Model
from toolkit.quiet import quiet

HEAD = re.compile(rb"tree\r?\nversion=v\d")
STEPS = 3
MOST_COLUMNS = 1 << 16


class LightGBM(Importer):
    """Boosted trees and random forests for values, classes and ranks."""

    title = "LightGBM"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        return bool(HEAD.match(source.head))

    def read(self, source: Source, given: Given, job: Job) -> Found:
        from toolkit.foreign import samples, tables
        from toolkit.foreign.lightgbm_model import (
            blocks,
            damaged,
            expected,
            opened,
            rewritten,
            translated,
        )

        file = source.path
        job.step("import LightGBM", 0, STEPS)
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise IntegrityError(f"{file} is no text.", "Copy the file again.") from error
        try:
            trees = translated(text, file)
            head = blocks(text)[0]
            width = int(head["max_feature_idx"]) + 1
            names = tuple(head.get("feature_names", "").split(" "))
        except (KeyError, ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
            raise damaged(file) from error
        if not 0 < width <= MOST_COLUMNS or len(names) != width:
            raise damaged(file)
        job.step("import LightGBM", 1, STEPS)
        with quiet():
            booster = opened(rewritten(text), file)
            named = () if names == tuple(f"Column_{i}" for i in range(width)) else names
            output, graph = trees.graph(width)
            table = tables.Table(named, width, trees.labels)
            graph, signature = tables.finished(graph, table, output, trees.outputs)
            job.step("import LightGBM", 2, STEPS)
            rows = samples.rows(width, trees.pools())
            answer = expected(booster, trees.after)
            notes = tables.prove(graph, answer, (rows, samples.with_gaps(rows)), file)
        job.step("import LightGBM", 3, STEPS)
        facts = {"framework": f"lightgbm {head['version']}", "objective": head.get("objective", "")}
        return Found(Model(signature, graph=graph), metadata=facts, notes=notes)
