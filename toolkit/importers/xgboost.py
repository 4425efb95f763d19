"""XGBoost's own files, JSON and UBJSON."""

import re
from pathlib import Path
from typing import Any

from edge_targets.runtime.errors import IntegrityError, UnsupportedError
from edge_targets.runtime.events import Job
from toolkit.importers.base import Found, Given, Importer, Source
from toolkit.model import Model
from toolkit.quiet import quiet

TEXT = re.compile(rb'\s*\{\s*"(learner|version)"\s*:')
BINARY = re.compile(rb"\{[iUIlL][\x00-\x07]{1,8}(learner|version)")  # UBJSON: length, then name
STEPS = 3
MOST_COLUMNS = 1 << 16


class XGBoost(Importer):
    """Boosted trees (DART too) and linear boosters, with XGBoost's own objectives."""

    title = "XGBoost"

    @classmethod
    def accepts(cls, source: Source) -> bool:
        text = TEXT.match(source.head) and b'"learner"' in source.head
        return bool(text or BINARY.match(source.head))

    def read(self, source: Source, given: Given, job: Job) -> Found:
        from toolkit.foreign import samples, tables
        from toolkit.foreign.xgboost_model import described, expected, opened, translated

        file = source.path
        job.step("import XGBoost", 0, STEPS)
        with quiet():
            facts = described(file.read_bytes(), file)
            try:
                translated(facts, columns_of(facts, file), file)  # the library trusts what it reads
                booster, facts = opened(facts, file)
                job.step("import XGBoost", 1, STEPS)
                learner = facts["learner"]
                objective = learner["objective"]["name"]
                width, names = columns_of(facts, file), learner.get("feature_names") or []
                output, graph, trees = translated(facts, width, file)
            except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise IntegrityError(
                    f"{file} is a damaged XGBoost file: {type(error).__name__} in its description.",
                    "Copy or save the model again.",
                ) from error
            table = tables.Table(tuple(map(str, names)), width, trees.labels)
            graph, signature = tables.finished(graph, table, output, trees.outputs)
            job.step("import XGBoost", 2, STEPS)
            rows = samples.rows(width, trees.pools())
            answer = expected(booster, objective, names or None)
            notes = tables.prove(graph, answer, (rows, samples.with_gaps(rows)), file)
        job.step("import XGBoost", 3, STEPS)
        version = ".".join(str(part) for part in facts.get("version", ()))
        return Found(
            Model(signature, graph=graph),
            metadata={"framework": f"xgboost {version}", "objective": objective},
            notes=(*notes, *said(objective, trees.after, learner.get("attributes", {}))),
        )


def columns_of(facts: dict[str, Any], file: Path) -> int:
    """How many columns the model takes."""
    learner = facts["learner"]
    width = int(learner["learner_model_param"]["num_feature"])
    names = learner.get("feature_names") or []
    if not 0 < width <= MOST_COLUMNS or len(names) not in {0, width}:
        raise UnsupportedError(
            f"{file} takes {width:,} columns and names {len(names):,}.",
            f"Train it on 1 to {MOST_COLUMNS:,} columns.",
        )
    return width


def said(objective: str, after: str, attributes: dict[str, str]) -> tuple[str, ...]:
    notes = []
    if after == "scores":
        notes.append(f"{objective} gives no shares: the larger of two scores decides.")
    if objective == "multi:softmax":
        notes.append("It gives shares of classes here, of which multi:softmax names the largest.")
    if "best_iteration" in attributes:
        notes.append(
            f"Training was stopped early at round {attributes['best_iteration']}: all rounds are "
            "used here, as by Booster.predict."
        )
    return tuple(notes)
