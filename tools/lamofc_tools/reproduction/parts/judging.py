"""Parts that say what a task still does with coded features: by a head, by the rest of a model, or by a table.

The folder of judges has a file for each data set, at the same path as its features: a head that was trained here, a
JSON object that names a model or a published head, or a table of performances that were measured elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lamofc_store import Store
from lamofc_store.errors import BadArgument
from lamofc_tools.evaluation import evaluate_model_at_rates, open_rest
from lamofc_tools.heads import Head, HeadEvaluation, PublishedSource, TrainingConfig, evaluate_at_rates, load
from lamofc_tools.reproduction.parts.coding import CodedPart
from lamofc_tools.reproduction.parts.inputs import Inputs, Missing, digest, listing
from lamofc_tools.reproduction.parts.judge_files import COLUMNS, HeadJudge, read_judge, read_table
from lamofc_tools.reproduction.parts.plan import Figures

PERFORMANCE = "performance"


@dataclass(frozen=True)
class JudgedPart:
    """The performance of a task on coded features."""

    coded: CodedPart

    @property
    def name(self) -> str:
        """The coding and the word performance."""
        return f"{self.coded.name} {PERFORMANCE}"

    def missing(self, inputs: Inputs) -> list[Missing]:
        """List all that the coding needs, and the judge; a table of performances needs nothing but its row."""
        judge = find_judge(self.coded.features.judged, inputs)
        if judge is not None and judge.suffix == ".csv":
            return [] if _read_table(judge, self.coded) else [self._missing_row(judge)]
        if judge is not None:
            _check(judge, judge.stat().st_mtime_ns)
            return self.coded.missing(inputs)
        own = inputs.judges / self.coded.features.judged
        return [*self.coded.missing(inputs), Missing(PERFORMANCE, str(own), self.coded.features.judging(own))]

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return the config of the coding, and the content of the judge and of the labels."""
        judge = self._judge(inputs)
        if judge.suffix == ".csv":
            coder = self.coded.coder
            return {"judge": digest(judge), "codec": coder.row, "origin": coder.origin, "setting": self.coded.setting}
        labels = self.coded.features.labels_digest(inputs)
        return {**self.coded.config(inputs), "judge": [digest(judge), *_digests_of_named(judge)], "labels": labels}

    def measure(self, inputs: Inputs) -> Figures:
        """Ask the judge."""
        judge = self._judge(inputs)
        if judge.suffix == ".csv":
            return _read_table(judge, self.coded)
        with self.coded.store(inputs) as store:
            return {PERFORMANCE: _JUDGES[judge.suffix](judge, store)}

    def _missing_row(self, table: Path) -> Missing:
        coder, features = self.coded.coder, self.coded.features
        row = f"{coder.row},{self.coded.setting:g},{coder.origin}"
        added = f"python: add rows of {', '.join(COLUMNS)} to {table}"
        return Missing(PERFORMANCE, f"{table}: {row}", features.judging(table) if features.export else added)

    def _judge(self, inputs: Inputs) -> Path:
        judge = find_judge(self.coded.features.judged, inputs)
        if judge is None:
            raise BadArgument(f"{self.coded.features.judged} has no judge", f"give one of {', '.join(SUFFIXES)}")
        return judge


def find_judge(path: str, inputs: Inputs) -> Path | None:
    """Return the judge of a data set; None if there is none."""
    files = [inputs.judges / f"{path}{suffix}" for suffix in SUFFIXES]
    return next((file for file in files if file.is_file()), None)


@lru_cache(maxsize=256)
def _check(judge: Path, _changed: int) -> None:
    """Refuse a judge that is none before anything is coded for it."""
    if judge.suffix == ".json":
        read_judge(judge)
    else:
        load(judge)


def _digests_of_named(judge: Path) -> list[str]:
    """Return digests of the files and folders that an object names."""
    named = read_judge(judge).named if judge.suffix == ".json" else ()
    return [digest(path) if path.is_file() else listing(path) for path in map(Path, named) if path.exists()]


def _judge_by_head(file: Path, store: Store) -> float:
    """Evaluate a head of `lamofc train` on the samples of a store that have its target."""
    return _performance(*load(file), store)


def _performance(head: Head, provenance: dict[str, Any], store: Store) -> float:
    """Return the main metric of a head."""
    evaluation = HeadEvaluation(head, provenance, None, TrainingConfig.from_json(provenance["course"]))
    (point,) = evaluate_at_rates(evaluation, {store.url: store}, [], ["original"], lambda done, count: None)
    return point.values[head.task.meter().main]


def _judge_by_object(file: Path, store: Store) -> float:
    """Ask a published head, or run the rest of a model on decoded features."""
    judge = read_judge(file)
    if isinstance(judge, HeadJudge):
        source = PublishedSource(path=judge.head, target=judge.target, backbone=judge.backbone, grid=judge.grid)
        return _performance(*source.open(store), store)
    rest = open_rest(judge.model, store, judge.options)
    (point,) = evaluate_model_at_rates(rest, {store.url: store}, [], lambda done, count: None)
    if judge.figure not in point.values:
        raise BadArgument(f"{file} asks for {judge.figure!r}", f"ask for one of {', '.join(point.values)}")
    return point.values[judge.figure]


def _read_table(file: Path, coded: CodedPart) -> Figures:
    """Read the performance at one setting of a codec, by its name in the paper's table; nothing without its row."""
    found = read_table(file, coded.coder.row, coded.coder.origin)
    return {PERFORMANCE: found[coded.setting]} if coded.setting in found else {}


_JUDGES: dict[str, Callable[[Path, Store], float]] = {".safetensors": _judge_by_head, ".json": _judge_by_object}
SUFFIXES = (*_JUDGES, ".csv")
"""Kinds of judges by the suffix of their file."""
