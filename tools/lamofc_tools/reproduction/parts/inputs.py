"""The inputs of a reproduction: folders of features, of weights, of judges and of results, with fixed names in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import lamofc_store as lamofc
from lamofc_codecs import register_vtm
from lamofc_store.sources import Source

MAPPING = "mapping.json"
"""Name of LaMoFCBench's levels in the folder of weights."""
RUNS = "runs.lamofc"
"""Name of the store of finished parts in the folder of results."""
TABLES = (".parquet", ".csv")


@dataclass(frozen=True)
class Missing:
    """An input that is not there."""

    kind: str
    name: str
    """Path at which it is looked for."""
    command: str
    """Command that makes it."""


@dataclass(frozen=True)
class FeatureSet:
    """The features of one data set."""

    path: str
    """Folder below that of features; a table of labels may lie beside it."""
    calibration: str
    """Folder below that of features, with samples to fit on."""
    extraction: str
    """Command that makes features, with `{out}` for their folder."""
    features: tuple[str, ...] = ()
    """Globs of the features to code; none for all."""
    family: str | None = None
    """Name of the models within a `mapping.json`."""
    task: str = ""
    """Task whose features they are, where networks are trained for one."""
    calibration_extraction: str = ""
    """Command that makes the samples to fit on, where it is another."""
    export: str = ""
    """Options of an export for the script that measures the performance; without them a linear head does."""
    part: str = ""
    """Name of the chosen features, where a folder holds more than one table codes together."""

    @property
    def judged(self) -> str:
        """Path below the folder of judges: other features of the same folder have judges of their own."""
        return f"{self.path}@{self.part}" if self.part else self.path

    def missing(self, inputs: Inputs) -> list[Missing]:
        """Return the folder of features, if it is not there or empty."""
        return self._missing(inputs, self.path, "features", self.extraction)

    def missing_calibration(self, inputs: Inputs) -> list[Missing]:
        """Return the folder of calibration samples, if it is not there or empty."""
        command = self.calibration_extraction or self.extraction
        return self._missing(inputs, self.calibration, "calibration", command)

    def judging(self, judge: Path) -> str:
        """Return the command that trains a judge, or that writes the inputs of the script that is one."""
        if self.export:
            return f"lamofc export STORE FILES {self.export}"
        chosen = "".join(f" --feature {name}" for name in self.features)
        return f"lamofc train linear TRAINING_STORE{chosen} --target label -o {judge}.safetensors"

    def _missing(self, inputs: Inputs, path: str, kind: str, command: str) -> list[Missing]:
        folder = inputs.features / path
        return [] if has_files(folder) else [Missing(kind, str(folder), command.format(out=folder))]

    def source(self, inputs: Inputs) -> Source:
        """Open the features."""
        return lamofc.sources.open(inputs.features / self.path, features=self.features)

    def fit_source(self, inputs: Inputs) -> Source | None:
        """Open the calibration samples, if they are there."""
        folder = inputs.features / self.calibration
        return lamofc.sources.open(folder, features=self.features) if has_files(folder) else None

    def table(self, inputs: Inputs) -> str | None:
        """Return the path of the table of labels, if there is one."""
        paths = [inputs.features / f"{self.path}{suffix}" for suffix in TABLES]
        return next((str(path) for path in paths if path.is_file()), None)

    def labels_digest(self, inputs: Inputs) -> str | None:
        """Return a digest of the table of labels, if there is one."""
        table = self.table(inputs)
        return None if table is None else digest(Path(table))

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return the features that are read, and a digest of their files' names, sizes and times of change."""
        return {"set": self.path, "features": list(self.features), "files": listing(inputs.features / self.path)}


@dataclass(frozen=True)
class Inputs:
    """The places of all inputs and of the results."""

    features: Path
    weights: Path
    judges: Path
    results: Path
    vtm: str | None = None
    """Path of VTM's encoder, in place of VVenC."""

    def __post_init__(self) -> None:
        """Refuse an encoder that is not there before anything is coded."""
        if self.vtm is not None:
            register_vtm(self.vtm)

    def mapping(self) -> Path | None:
        """Return the published levels, if they are there."""
        path = self.weights / MAPPING
        return path if path.is_file() else None

    @property
    def runs(self) -> str:
        """The store of finished parts."""
        return str(self.results / RUNS)


def has_files(folder: Path) -> bool:
    """Whether there is a file in a folder or below it."""
    return any(path.is_file() for path in folder.rglob("*"))


def listing(folder: Path) -> str:
    """Return a digest of the names, sizes and times of change of all files in a folder."""
    files = {path: path.stat() for path in sorted(folder.rglob("*")) if path.is_file()}
    rows = [f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n" for path, stat in files.items()]
    return hashlib.sha256("".join(rows).encode()).hexdigest()[:16]


def digest(file: Path) -> str:
    """Return a digest of a file's content."""
    return _digest(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(file: Path, _changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
