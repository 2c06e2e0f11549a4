"""Files as samples: one file each, found in a folder and in all folders beneath it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lamofc_store.errors import SourceError, StoreError
from lamofc_store.sample import Sample
from lamofc_store.sources.contract import (
    ALL_FEATURES,
    FeatureFilter,
    UnreadableSample,
    require_unique_ids,
    sample_id,
    spread_order,
)
from lamofc_store.sources.exports import exported_ids, is_export
from lamofc_store.sources.formats import AUTO, BY_NAME, format_of


@dataclass(frozen=True)
class Files:
    """Each file is one sample. Its id is its path beneath `root` without suffix, or the one that an export gave it."""

    root: Path
    files: tuple[Path, ...]
    format: str
    features: FeatureFilter = ALL_FEATURES
    reiterable: bool = True
    any_thread: bool = True

    def __post_init__(self) -> None:
        require_unique_ids(list(self._ids.values()), self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Sample]:
        for path in self.files:
            yield self._load(path)

    def attempts(self) -> Iterator[Sample | UnreadableSample]:
        """Yield each file's sample, or why it cannot be loaded."""
        for path in self.files:
            try:
                yield self._load(path)
            except StoreError as error:
                yield UnreadableSample(self._ids[path], str(path), error)

    def sample_ids(self) -> list[str]:
        """Return the ids of all files."""
        return list(self._ids.values())

    @cached_property
    def _ids(self) -> dict[Path, str]:
        """The id of each file."""
        if is_export(self.root):
            return dict(zip(self.files, exported_ids(self.root, self.files), strict=True))
        return {path: sample_id(self.root, path) for path in self.files}

    def spread(self) -> Files:
        """Return the same files in an order that is spread over the folder."""
        return replace(self, files=tuple(self.files[place] for place in spread_order(len(self.files))))

    def describe(self) -> str:
        """Return the number of files by suffix."""
        counts = Counter(path.suffix.lower() for path in self.files)
        listed = " and ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
        return f"{listed} of {self.root}, a sample each"

    def _load(self, path: Path) -> Sample:
        format = format_of(path) if self.format == AUTO else BY_NAME[self.format]
        return format.read(path, self._ids[path], self.features)


def find(root: Path, suffixes: set[str]) -> tuple[Path, ...]:
    """Find the files of these suffixes under `root`, sorted by name; dot files are left out.

    A link to a folder is not followed, and a link or a device that leads out of `root` is refused: a folder packed by
    somebody else must not make us read another one.
    """
    if not root.is_dir():
        return (_regular(root, None),)
    files = []
    inside = root.resolve()

    def refuse(error: OSError) -> None:
        raise SourceError(f"{error.filename} cannot be listed: {error.strerror}", "give yourself the right to read it")

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (Path(folder, name) for name in names if not name.startswith("."))
        files += [_regular(path, inside) for path in visible if path.suffix.lower() in suffixes]
    return tuple(sorted(files, key=lambda path: path.relative_to(root).parts))


def _regular(path: Path, inside: Path | None) -> Path:
    """Return the path; SourceError unless it is a plain file that does not lead out of the folder `inside`."""
    if inside is not None and path.is_symlink() and not path.resolve().is_relative_to(inside):
        raise SourceError(
            f"{path} is a link out of the folder, to {path.resolve()}",
            "copy the file in, or open the folder that holds it",
        )
    if not path.is_file():
        raise SourceError(f"{path} is no regular file", "remove it, or open the files beside it one by one")
    return path
