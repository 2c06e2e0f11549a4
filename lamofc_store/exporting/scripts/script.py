"""An evaluation script: the tensors that it reads, and the files in which it looks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lamofc_store.errors import BadArgument, Hint
from lamofc_store.sample import Keys

MAX_NAME_BYTES = 255
"""Length of a file name that common file systems take."""


@dataclass(frozen=True)
class Reading:
    """A tensor that a script reads from the object in a file."""

    feature: str
    """Its name in a store."""
    paths: tuple[Keys, ...]
    """Keys and indices under which the script finds it; an export that nests it anew takes the first."""
    measured_paths: tuple[Keys, ...]
    """The same for a file with measured figures beside the features, counted from the features."""
    axes: str
    """Length of each axis: a number, `*` for any, or a letter for one that is equal wherever it stands in a sample."""

    def paths_in(self, measured: bool) -> tuple[Keys, ...]:
        """Return the paths in a file with figures, or in one without."""
        return self.measured_paths if measured else self.paths


@dataclass(frozen=True)
class Script:
    """One evaluation script."""

    name: str
    readings: tuple[Reading, ...]
    stem_of: Callable[[str], str]
    """Return the path of a sample's file, without suffix, by the sample's id; ValueError says what it must be."""
    needs: tuple[frozenset[str], ...]
    """Sets of features: a run of the script reads all of one set from every file."""
    measured_needs: tuple[frozenset[str], ...] = ()
    """The same for files with measured figures; empty where it is the same."""
    blocks: tuple[int, ...] = ()
    """Blocks of the model, counted from zero, whose outputs the script reads."""
    dtype: str | None = None
    """The only dtype that the model behind the script takes; None where any floating dtype is converted."""
    sequence: str = "list"
    """Type of the sequences of tensors: `list` or `tuple`."""
    listed: Callable[[Any], list[str]] | None = None
    """Return the stems that the script's own list of samples stands for; None for a script without one."""
    list_form: str = ""
    """Form of that list, as an error shows it."""

    def needs_in(self, measured: bool) -> tuple[frozenset[str], ...]:
        """Return the sets of features for files with figures, or without."""
        return self.measured_needs or self.needs if measured else self.needs

    @property
    def features(self) -> list[str]:
        """Names of all features that the script reads."""
        return [reading.feature for reading in self.readings]

    def file_stem(self, sample: str) -> str:
        """Return the path of a sample's file without suffix; BadArgument where the script can look for no such file."""
        try:
            stem = self.stem_of(sample)
            _require_plain(stem)
        except ValueError as error:
            raise BadArgument(
                f"sample {sample[:120]!r} has no name of a file that {self.name} opens: {error}",
                Hint("choose other samples by [where], or ingest them under such ids"),
            ) from None
        return stem


def script_files(script: Script, samples: Iterable[str], suffix: str) -> Iterator[tuple[str, str]]:
    """Yield each sample with the relative name of the file in which the script looks for it; no two have the same."""
    taken: dict[str, str] = {}
    for sample in samples:
        file = f"{script.file_stem(sample)}{suffix}"
        other = taken.setdefault(file.casefold(), sample)
        if other != sample:
            raise BadArgument(
                f"{script.name} looks for samples {other!r} and {sample!r} in one file, {file}",
                Hint("choose one of them by [where]"),
            )
        yield sample, file


def _require_plain(stem: str) -> None:
    """Raise ValueError for a path that cannot be written as it is, or that leads out of its folder."""
    for part in stem.split("/"):
        if not part or part[0] == "." or any(ord(letter) < 32 or letter == "\\" for letter in part):
            raise ValueError(f"{part[:80]!r} is no plain file name")
        if len(part.encode()) > MAX_NAME_BYTES - len(".part") - len(".zst") - 1:
            raise ValueError(f"{part[:80]!r}... is longer than file systems take")
