"""Convert the texts of options to values: pairs, qualities, devices and profiles."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument, NotFound

if TYPE_CHECKING:
    from lamofc_store import Profile, Quality

_DEVICE_HINT = "--device auto or cpu, or cuda where there is a GPU"


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


def parse_range(text: str | None, option: str) -> tuple[float, float] | None:
    """Parse `LEAST:MOST`, two numbers of which the second is larger; None if nothing is given."""
    if text is None:
        return None
    try:
        least, most = (float(number) for number in text.split(":"))
    except ValueError:
        least = most = math.nan
    if not (math.isfinite(most) and 0 <= least < most):
        raise BadArgument(f"{option} {text} is no range", f"{option} 0.001:10")
    return least, most


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

    from lamofc_codecs import is_usable_device

    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(text)
    except RuntimeError:
        raise BadArgument(f"--device {text} is no device of torch", _DEVICE_HINT) from None
    if not is_usable_device(device):
        seen = f"is not there: torch sees {torch.cuda.device_count()} CUDA devices"
        raise BadArgument(f"--device {text} {seen if device.type == 'cuda' else 'does not work here'}", _DEVICE_HINT)
    return text


def half_warnings(device: str, *, half: bool) -> list[str]:
    """Return a warning if --half would make the work on a device slower."""
    from lamofc_tools.machine import is_slow_in_bfloat16

    if not half or not is_slow_in_bfloat16(device):
        return []
    return ["this processor is slower in bfloat16 than in float32: leave out --half"]


def require_folder(file: Path) -> None:
    """Raise NotFound unless the folder of a file to write is there."""
    if not file.parent.is_dir():
        raise NotFound(f"there is no folder {file.parent} for {file.name}", "make the folder, or name another file")


def file_to_write(path: str | None) -> str | None:
    """Check the value of an option that names a file to write, before anything is computed for it."""
    if path is not None:
        require_folder(Path(path))
    return path


def load_profile(path: str | None) -> "Profile | None":
    """Load the profile in a file, if one is named."""
    return None if path is None else lamofc.Profile.load(path)
