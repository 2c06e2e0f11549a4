"""What models are shown: folders of images or sounds, text files, lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lamofc_codecs import MissingExtra
from lamofc_store.errors import NotFound, SourceError
from lamofc_store.sources import find, sample_id

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Takes = Literal["images", "sounds", "texts"]
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_SUFFIXES: dict[Takes, tuple[str, ...]] = {
    "images": _IMAGES,
    "sounds": (".wav", ".flac", ".ogg", ".mp3"),
    "texts": (".txt", ".jsonl"),
}
_KEYS = ("text", "caption", "prompt")


@dataclass(frozen=True)
class Given:
    """One item."""

    id: str
    path: Path
    text: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    """Other plain values of its line."""
    picture: Path | None = None
    """Beside its text, for models that take both."""

    def image(self) -> Any:
        """Its picture, as RGB."""
        path = self.picture or self.path
        if path.suffix.lower() not in _IMAGES:
            raise NotFound(f"{self.id!r} has no picture beside its text", 'write "image": "a.png" into its line')
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtra(f"images need Pillow: {error}", "pip install 'lamofc-store[models]'") from error
        try:
            with Image.open(path) as opened:
                return opened.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise SourceError(f"{path} is no readable image: {error}", "leave it out, or mend it") from error

    def sound(self, rate: int) -> NDArray[np.float32]:
        """Its sound, all channels as one, so many values a second."""
        try:
            import soundfile
            import soxr
        except ImportError as error:
            raise MissingExtra(f"sounds need soxr, soundfile: {error}", "pip install 'lamofc-store[models]'") from error
        try:
            values, own = soundfile.read(self.path, dtype="float32", always_2d=True)
        except (OSError, RuntimeError) as error:
            raise SourceError(f"{self.path} is no readable sound: {error}", "leave it out, or mend it") from error
        found: NDArray[np.float32] = soxr.resample(values.mean(1), own, rate)
        return found


def find_inputs(data: str, takes: Takes) -> list[Given]:
    """Items beneath a folder, or of a file, sorted by id."""
    root, suffixes = Path(data), _SUFFIXES[takes]
    if not root.exists():
        raise NotFound(f"{root} does not exist", f"give a folder of {takes}, or a file")
    files = find(root, set(suffixes))
    base = root.parent if root.is_file() else root
    found = sorted((one for path in files for one in _items(path, base)), key=lambda one: one.id)
    if not found or files[0].suffix.lower() not in suffixes:
        raise SourceError(f"{root} holds no file of {', '.join(suffixes)}", f"the model takes {takes}")
    twice = [one.id for one, other in pairwise(found) if one.id == other.id]
    if twice:
        raise SourceError(f"two items have the id {twice[0]!r}", "name files, or lines' ids, each otherwise")
    return found


def _items(path: Path, base: Path) -> Iterator[Given]:
    name = sample_id(base, path)
    if path.suffix.lower() == ".jsonl":
        yield from _lines(path, name)
    elif path.suffix.lower() == ".txt":
        picture = next((one for one in map(path.with_suffix, _IMAGES) if one.is_file()), None)
        yield Given(name, path, _text(path).strip(), picture=picture)
    else:
        yield Given(name, path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}", "convert it") from error


def _lines(path: Path, name: str) -> Iterator[Given]:
    for number, line in enumerate(_text(path).split("\n")):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key = next(key for key in _KEYS if isinstance(row.get(key), str))
            name_of = row.get("id", f"{name}/{number:06d}")
            if not isinstance(name_of, str | int):
                raise ValueError(name_of)
        except (ValueError, StopIteration, TypeError, AttributeError, RecursionError):
            raise SourceError(
                f"line {number + 1} of {path} is no JSON object with {' or '.join(_KEYS)}",
                'write {"id": "a", "text": "what it says"}',
            ) from None
        rest = {one: value for one, value in row.items() if one not in (key, "id")}
        rest = {one: value for one, value in rest.items() if isinstance(value, str | int | float)}
        yield Given(str(name_of), path, row[key], rest, _beside(path, row.get("image")))


def _beside(path: Path, image: object) -> Path | None:
    """The picture that a line names: none that lies outside of its file's folder."""
    if not isinstance(image, str):
        return None
    found = (path.parent / image).resolve()
    if not found.is_relative_to(path.parent.resolve()):
        raise SourceError(f"{path} names the picture {image!r}, outside of its folder", "put pictures beside the texts")
    return found
