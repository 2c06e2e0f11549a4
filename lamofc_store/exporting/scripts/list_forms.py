"""Forms of the scripts' own lists of samples, each read into stems of files.

A function takes the parsed JSON and raises ValueError, KeyError, TypeError or AttributeError for any other form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from lamofc_store.exporting.scripts import file_stems


def prompts(document: Any) -> list[str]:
    """Read numbers by task."""
    return [file_stems.prompt(f"{task}/{_whole(number)}") for task, numbers in document.items() for number in numbers]


def images_by_class(document: Any) -> list[str]:
    """Read images by class."""
    return [f"{wnid}-{_stem(image['file_name'])}" for wnid, images in document.items() for image in images]


def sounds_by_set(document: Any) -> list[str]:
    """Read sounds by data set; one without a subset has the name of its set in its place."""
    return [
        file_stems.sound(f"{name}-{_subset(item, name)}-{_whole(item['index'])}")
        for name, items in document.items()
        for item in items
    ]


def pictures(document: Any) -> list[str]:
    """Read pictures."""
    if isinstance(document, Mapping):
        raise TypeError("an object in place of a list")
    return [file_stems.picture(_stem(picture["image_name"])) for picture in document]


def _subset(item: Any, name: str) -> str:
    return str(item.get("meta", {}).get("subset", item.get("subset", name)))


def _stem(file: Any) -> str:
    if not isinstance(file, str):
        raise TypeError(f"{file!r} is no name of a file")
    return PurePosixPath(file).stem


def _whole(number: Any) -> int:
    if isinstance(number, bool) or not str(number).isdecimal():
        raise ValueError(f"{number!r} is no number of a sample")
    return int(number)
