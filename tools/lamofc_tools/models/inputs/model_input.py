"""Find the inputs of models: folders of images or sounds, text files, and lines of JSON."""

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

InputKind = Literal["images", "sounds", "texts"]
_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
_SUFFIXES: dict[InputKind, tuple[str, ...]] = {
    "images": _IMAGES,
    "sounds": _SOUNDS,
    "texts": (".txt", ".jsonl"),
}
_TEXT_KEYS = ("text", "caption", "prompt")
"""Keys that may hold the text of a JSON line, the preferred one first."""


@dataclass(frozen=True)
class ModelInput:
    """One image, sound or text, which becomes one sample."""

    id: str
    path: Path
    text: str = ""
    """The text that a model reads, or the transcript that lies beside a sound."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """The other numbers and texts of the input's JSON line."""
    image_path: Path | None = None
    """Image that belongs to the text, for models that take both."""
    choices: tuple[str, ...] = ()
    """Answers to choose from, if the input's JSON line has a list of them."""

    @property
    def media_path(self) -> Path | None:
        """The image or the sound that a model reads; None for a text alone."""
        path = self.image_path or self.path
        return path if path.suffix.lower() in _IMAGES + _SOUNDS else None

    def image(self) -> Any:
        """Load the image as RGB."""
        path = self.image_path or self.path
        if path.suffix.lower() not in _IMAGES:
            raise NotFound(f"{self.id!r} has no image beside its text", 'add "image": "a.png" to its line')
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtra(f"images need Pillow: {error}", "pip install 'lamofc-store[models]'") from error
        try:
            with Image.open(path) as opened:
                return opened.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise SourceError(f"{path} is no readable image: {error}", "remove it or repair it") from error

    def waveform(self, rate: int) -> NDArray[np.float32]:
        """Load the sound as one channel at `rate` values per second."""
        try:
            import soundfile
            import soxr
        except ImportError as error:
            raise MissingExtra(f"sounds need soxr, soundfile: {error}", "pip install 'lamofc-store[models]'") from error
        try:
            values, own_rate = soundfile.read(self.path, dtype="float32", always_2d=True)
        except (OSError, RuntimeError) as error:
            raise SourceError(f"{self.path} is no readable sound: {error}", "remove it or repair it") from error
        resampled: NDArray[np.float32] = soxr.resample(values.mean(1), own_rate, rate)
        return resampled


def find_inputs(location: str, input_kind: InputKind) -> list[ModelInput]:
    """Find the inputs in a folder or a file, sorted by id."""
    root, suffixes = Path(location), _SUFFIXES[input_kind]
    if not root.exists():
        raise NotFound(f"{root} does not exist", f"give a folder of {input_kind}, or a file")
    files = find(root, set(suffixes))
    base = root.parent if root.is_file() else root
    inputs = sorted((item for path in files for item in _inputs_of(path, base)), key=lambda item: item.id)
    if not inputs or files[0].suffix.lower() not in suffixes:
        raise SourceError(f"{root} holds no file of {', '.join(suffixes)}", f"the model takes {input_kind}")
    repeated = [item.id for item, following in pairwise(inputs) if item.id == following.id]
    if repeated:
        raise SourceError(f"two inputs have the id {repeated[0]!r}", "give each file, or each line, an id of its own")
    return inputs


def _inputs_of(path: Path, base: Path) -> Iterator[ModelInput]:
    name = sample_id(base, path)
    if path.suffix.lower() == ".jsonl":
        yield from _lines(path, name)
    elif path.suffix.lower() == ".txt":
        image = next((file for file in map(path.with_suffix, _IMAGES) if file.is_file()), None)
        yield ModelInput(name, path, _text(path).strip(), image_path=image)
    elif path.suffix.lower() in _SOUNDS and path.with_suffix(".txt").is_file():
        yield ModelInput(name, path, _text(path.with_suffix(".txt")).strip())
    else:
        yield ModelInput(name, path)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}", "convert it") from error


def _lines(path: Path, name: str) -> Iterator[ModelInput]:
    for number, line in enumerate(_text(path).split("\n")):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key = next(key for key in _TEXT_KEYS if isinstance(row.get(key), str))
            identity = row.get("id", f"{name}/{number:06d}")
            if not isinstance(identity, str | int):
                raise ValueError(identity)
        except (ValueError, StopIteration, TypeError, AttributeError, RecursionError):
            raise SourceError(
                f"line {number + 1} of {path} is no JSON object with {' or '.join(_TEXT_KEYS)}",
                'write lines such as {"id": "a", "text": "a sentence"}',
            ) from None
        attributes = {
            column: value
            for column, value in row.items()
            if column not in (key, "id") and isinstance(value, str | int | float)
        }
        image, choices = _image_beside(path, row.get("image")), _choices(row.get("choices"))
        yield ModelInput(str(identity), path, row[key], attributes, image, choices)


def _choices(choices: object) -> tuple[str, ...]:
    """Return the answers to choose from; none if the line holds anything but a list of texts."""
    texts = isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)
    return tuple(choices) if texts and isinstance(choices, list) else ()


def _image_beside(path: Path, image: object) -> Path | None:
    """Resolve the path of the image that a line names; SourceError if it lies outside of the file's folder."""
    if not isinstance(image, str):
        return None
    resolved = (path.parent / image).resolve()
    if not resolved.is_relative_to(path.parent.resolve()):
        raise SourceError(f"{path} names the image {image!r}, outside of its folder", "put images beside the texts")
    return resolved
