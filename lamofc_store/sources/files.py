"""Files as samples: one file each, found in a folder and all beneath it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lamofc_store.errors import SourceError, StoreError
from lamofc_store.sample import Sample, id_of
from lamofc_store.sources.formats import READERS, format_of
from lamofc_store.sources.readers import ALL, Unreadable, Wanted, only_once, sample_id, spread_order


@dataclass(frozen=True)
class Files:
    """Each file is one sample, whose id is the path beneath `root` without suffix; an export's names are decoded."""

    root: Path
    files: tuple[Path, ...]
    format: str
    wanted: Wanted = ALL
    exported: bool = False
    reiterable: bool = True

    def __post_init__(self) -> None:
        only_once([self._id(path) for path in self.files], self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Sample]:
        for path in self.files:
            yield self._load(path)

    def attempts(self) -> Iterator[Sample | Unreadable]:
        """Every file's sample, or why there is none."""
        for path in self.files:
            try:
                yield self._load(path)
            except StoreError as error:
                yield Unreadable(self._id(path), str(path), error)

    def _load(self, path: Path) -> Sample:
        read = READERS[format_of(path) if self.format == "auto" else self.format]
        return read(path, self._id(path), self.wanted)

    def spread(self) -> Files:
        """The same files, spread over the folder."""
        return replace(self, files=tuple(self.files[place] for place in spread_order(len(self.files))))

    def describe(self) -> str:
        """How many files of which suffix."""
        kinds = Counter(path.suffix.lower() for path in self.files)
        return (
            f"{' and '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))} of {self.root}, a sample each"
        )

    def _id(self, path: Path) -> str:
        if self.exported:
            return id_of(path.relative_to(self.root).as_posix(), path.suffix)
        return sample_id(self.root, path)


def find(root: Path, suffixes: set[str]) -> tuple[Path, ...]:
    """The files of these suffixes under `root`, sorted by name; dot files are left out.

    A link to a folder is not walked, and a link or a device that leads out of `root` is refused:
    a folder that somebody else packed must not make us read another one.
    """
    if not root.is_dir():
        return (_regular(root, None),)
    found = []
    inside = root.resolve()

    def refuse(error: OSError) -> None:
        raise SourceError(f"{error.filename} cannot be listed: {error.strerror}", "give yourself the right to read it")

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        chosen = (Path(folder, name) for name in names if not name.startswith("."))
        found += [_regular(path, inside) for path in chosen if path.suffix.lower() in suffixes]
    return tuple(sorted(found, key=lambda path: path.relative_to(root).parts))


def _regular(path: Path, inside: Path | None) -> Path:
    """The path itself, if it is a plain file, and one of ours."""
    if inside is not None and path.is_symlink() and not path.resolve().is_relative_to(inside):
        raise SourceError(
            f"{path} is a link out of the folder, to {path.resolve()}",
            "copy the file in, or open the folder that holds it",
        )
    if not path.is_file():
        raise SourceError(f"{path} is no regular file", "remove it, or open the files beside it one by one")
    return path
