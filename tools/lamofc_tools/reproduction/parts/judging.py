"""Parts that say what a task still does with coded features: by a head, by the rest of a model, or by a table.

The folder of judges has a file for each data set, at the same path as its features: a head that was trained here, a
JSON object that names a model, or a table of performances that were measured elsewhere.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lamofc_store import Store
from lamofc_store.errors import BadArgument
from lamofc_tools.evaluation import RestOptions, evaluate_model_at_rates, open_rest
from lamofc_tools.heads import HeadEvaluation, TrainingConfig, evaluate_at_rates, load
from lamofc_tools.reproduction.parts.coding import CodedPart
from lamofc_tools.reproduction.parts.inputs import Inputs, Missing, digest
from lamofc_tools.reproduction.parts.plan import Figures

PERFORMANCE = "performance"
_COLUMNS = ("codec", "setting", "performance")
_MODEL_KEYS = {"model", "figure"}


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
        judge = find_judge(self.coded.features.path, inputs)
        if judge is not None and judge.suffix == ".csv":
            return [] if _read_table(judge, self.coded) else [self._missing_row(judge)]
        if judge is not None:
            return self.coded.missing(inputs)
        file = inputs.judges / f"{self.coded.features.path}.safetensors"
        command = f"lamofc train linear STORE -o {file}"
        return [*self.coded.missing(inputs), Missing(PERFORMANCE, str(file.with_suffix("")), command)]

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return the config of the coding, and the content of the judge and of the labels."""
        judge = self._judge(inputs)
        if judge.suffix == ".csv":
            return {"judge": digest(judge), "codec": self.coded.coder.row, "setting": self.coded.setting}
        labels = self.coded.features.labels_digest(inputs)
        return {**self.coded.config(inputs), "judge": digest(judge), "labels": labels}

    def measure(self, inputs: Inputs) -> Figures:
        """Ask the judge."""
        judge = self._judge(inputs)
        if judge.suffix == ".csv":
            return _read_table(judge, self.coded)
        with self.coded.store(inputs) as store:
            return {PERFORMANCE: _JUDGES[judge.suffix](judge, store)}

    def _missing_row(self, table: Path) -> Missing:
        row = f"{self.coded.coder.row},{self.coded.setting:g}"
        return Missing(PERFORMANCE, f"{table}: {row}", f"python: add rows of {', '.join(_COLUMNS)} to {table}")

    def _judge(self, inputs: Inputs) -> Path:
        judge = find_judge(self.coded.features.path, inputs)
        if judge is None:
            raise BadArgument(f"{self.coded.features.path} has no judge", f"give one of {', '.join(SUFFIXES)}")
        return judge


def find_judge(path: str, inputs: Inputs) -> Path | None:
    """Return the judge of a data set; None if there is none."""
    files = [inputs.judges / f"{path}{suffix}" for suffix in SUFFIXES]
    return next((file for file in files if file.is_file()), None)


def _judge_by_head(file: Path, store: Store) -> float:
    """Evaluate a head on the samples of a store that have its target."""
    head, provenance = load(file)
    evaluation = HeadEvaluation(head, provenance, None, TrainingConfig.from_json(provenance["course"]))
    (point,) = evaluate_at_rates(evaluation, {store.url: store}, [], ["original"], lambda done, count: None)
    return point.values[head.task.meter().main]


def _judge_by_model(file: Path, store: Store) -> float:
    """Run the rest of a model on decoded features."""
    document = json.loads(file.read_text(encoding="utf-8"))
    known = {field.name for field in fields(RestOptions)}
    if not isinstance(document, dict) or not set(document) >= _MODEL_KEYS or set(document) - known - _MODEL_KEYS:
        raise BadArgument(
            f"{file} is no object of {', '.join(sorted(_MODEL_KEYS))} and {', '.join(sorted(known))}",
            'write {"model": "Qwen3-8B", "block": 4, "data": "gsm8k.jsonl", "figure": "exact_match"}',
        )
    options = {name: value for name, value in document.items() if name in known}
    if "data" in options:
        options["data"] = str(file.parent / options["data"])
    rest = open_rest(str(document["model"]), store, RestOptions(**options))
    (point,) = evaluate_model_at_rates(rest, {store.url: store}, [], lambda done, count: None)
    if document["figure"] not in point.values:
        raise BadArgument(f"{file} asks for {document['figure']!r}", f"ask for one of {', '.join(point.values)}")
    return point.values[document["figure"]]


def _read_table(file: Path, coded: CodedPart) -> Figures:
    """Read the performance at one setting of a codec, by its name in the paper's table; nothing without its row."""
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if not set(_COLUMNS) <= set(reader.fieldnames or ()):
            raise BadArgument(f"{file} has the columns {reader.fieldnames}", f"name them {', '.join(_COLUMNS)}")
        rows = [row for row in reader if row["codec"] == coded.coder.row]
    try:
        found = {float(row["setting"] or 0): float(row["performance"]) for row in rows}
    except (TypeError, ValueError) as error:
        raise BadArgument(f"{file}: a row of {coded.coder.row}: {error}", "write numbers such as 0.001,0.97") from error
    return {PERFORMANCE: found[coded.setting]} if coded.setting in found else {}


_JUDGES: dict[str, Callable[[Path, Store], float]] = {".safetensors": _judge_by_head, ".json": _judge_by_model}
SUFFIXES = (*_JUDGES, ".csv")
"""Kinds of judges by the suffix of their file."""
