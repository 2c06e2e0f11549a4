"""Names of files by sample ids, as the scripts put them together from their data sets.

An id is a path of source data, such as `n01440764/ILSVRC2012_val_00000293`, or already the name of a file.
"""

from __future__ import annotations

import re

_PROMPT = re.compile(r"(?:sample)?(\d+)(?:-layer4-item1)?")
_TASKS = ("fc_arc_challenge", "fc_hellaswag", "fc_truthfulqa_mc1", "fc_winogrande", "fc_gsm8k")
"""Beginnings of the folders that the scripts of language models open."""
_AUDIO_GROUPS = {"AdvBench": "advbench", "OpenBookQA": "openbookqa", "SD-QA": "sd-qa"}
_SPEECH = "LibriSpeech"
_FLIPPED, _CUT = "-wflip", "-stackedpatches"
_PICTURES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
DIFFUSION_FOLDER = "sd35cond"


def class_and_image(sample: str) -> str:
    """Join class and image: `n01440764-ILSVRC2012_val_00000293`."""
    return _two_parts(sample, "a class and an image, such as n01440764/ILSVRC2012_val_00000293")


def flipped_image(sample: str) -> str:
    """Join scene and image: `kitchen_0004-rgb_00045-wflip`."""
    name = _two_parts(sample, "a scene and an image, such as kitchen_0004/rgb_00045")
    return _ending(name, _FLIPPED, other=_CUT)


def cut_image(sample: str) -> str:
    """Name an image that is cut into crops: `ADE_val_00000001-stackedpatches`."""
    return _ending(_last_part(sample), _CUT, other=_FLIPPED)


def prompt(sample: str) -> str:
    """Name a prompt in the folder of its task: `fc_gsm8k/sample12-layer4-item1`."""
    *folders, last = sample.split("/")
    match = _PROMPT.fullmatch(last)
    if match is None or not folders:
        raise ValueError("it must be a task and a number, such as fc_gsm8k/12 or fc_gsm8k/sample12-layer4-item1")
    if not folders[-1].startswith(_TASKS):
        raise ValueError(f"its task must begin with {', '.join(_TASKS)}")
    return f"{folders[-1]}/sample{int(match[1])}-layer4-item1"


def sound(sample: str) -> str:
    """Put a sound into the folder of its data set: `sd-qa/SD-QA-aus-7`."""
    name = sample.rpartition("/")[2]
    if name.startswith(_SPEECH):
        return f"librispeech-test-{'clean' if 'clean' in name else 'other'}/{name}"
    group = next((group for start, group in _AUDIO_GROUPS.items() if name.startswith(start)), None)
    if group is None:
        raise ValueError(f"its last part must begin with {', '.join([_SPEECH, *_AUDIO_GROUPS])}")
    return f"{group}/{name}"


def picture(sample: str) -> str:
    """Name a picture: `sd35cond/000000000139`."""
    return f"{DIFFUSION_FOLDER}/{_last_part(sample)}"


def _two_parts(sample: str, expected: str) -> str:
    """Join the last two parts of a path by a hyphen; a name that has one already is taken as it is."""
    name = _without_suffix("-".join(sample.split("/")[-2:]))
    if "-" not in name.strip("-"):
        raise ValueError(f"it must be {expected}")
    return name


def _last_part(sample: str) -> str:
    name = _without_suffix(sample.rpartition("/")[2])
    if not name:
        raise ValueError("its last part must be the name of a picture")
    return name


def _without_suffix(name: str) -> str:
    """Drop the suffix of a file of a picture, which the scripts do not keep."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix.lower() in _PICTURES else name


def _ending(name: str, ending: str, other: str) -> str:
    if name.endswith(other):
        raise ValueError(f"it ends with {other}, as files of another script do")
    return name if name.endswith(ending) else f"{name}{ending}"
