"""Convert the texts of options to values: pairs, qualities, devices and profiles."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument

if TYPE_CHECKING:
    from lamofc_store import Profile, Quality

_MAX_MESSAGE_LETTERS = 100
"""Letters of another library's message that fit into an error."""


def parse_pairs(texts: Sequence[str] | None, option: str, example: str) -> dict[str, str]:
    """Parse `KEY=VALUE` texts of a repeatable option to a mapping."""
    pairs = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise BadArgument(f"{option} {text!r} is not of the form KEY=VALUE", f"{option} '{example}'")
        pairs[key] = value
    return pairs


def parse_patterns(texts: Sequence[str] | None) -> dict[str, str]:
    """Parse the texts of --pattern."""
    return parse_pairs(texts, "--pattern", "layer.*=b t c -> (b t) c")


def parse_json_pairs(texts: Sequence[str] | None, option: str, example: str) -> dict[str, Any]:
    """Parse `KEY=VALUE` texts to a mapping; a value that is JSON is read as JSON."""
    return {key: _json_or_text(text) for key, text in parse_pairs(texts, option, example).items()}


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_quality(targets: Mapping[str, tuple[str, Any]]) -> "Quality | None":
    """Make a quality of the one target that has a value; None if none has.

    `targets` gives the option and the value for each argument of `Quality`.
    """
    chosen_targets = {name: (option, value) for name, (option, value) in targets.items() if value is not None}
    if not chosen_targets:
        return None
    if len(chosen_targets) > 1:
        named = " beside ".join(
            option if value is True else f"{option} {value:g}" for option, value in chosen_targets.values()
        )
        raise BadArgument(f"{named}: only one quality can be met", "give one of them")
    ((name, (option, value)),) = chosen_targets.items()
    try:
        return lamofc.Quality(**{name: value})
    except ValueError as error:
        expected = "a number above 0" if math.isfinite(value) else "a finite number"
        raise BadArgument(f"{option} {value:g} is not {expected}", f"give {option} {expected}") from error


def resolve_device(text: str) -> str:
    """Return the device that --device names; `auto` is a GPU where there is one."""
    import torch

    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=text)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [""])[0][:_MAX_MESSAGE_LETTERS]
        raise BadArgument(f"--device {text}: {reason}", "--device auto or cpu, or cuda where there is a GPU") from error
    return text


def load_profile(path: str | None) -> "Profile | None":
    """Load the profile in a file, if one is named."""
    return None if path is None else lamofc.Profile.load(path)
