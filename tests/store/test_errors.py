"""Errors carry a cure into tracebacks and through pickles; hints name arguments as their reader types them."""

import pickle
import re
from pathlib import Path

import pytest

from lamofc_store.errors import BadArgument, Conflict, Hint, StoreError

ROOT = Path(__file__).parents[2]


def test_a_hint_is_text_with_keywords() -> None:
    hint = Hint("give [overwrite] to replace it, not [1, 2]")
    assert hint == "give overwrite= to replace it, not [1, 2]"
    assert hint.worded(lambda argument: f"--{argument}") == "give --overwrite to replace it, not [1, 2]"


def test_errors_survive_a_pickle_with_their_hints() -> None:
    error = pickle.loads(pickle.dumps(Conflict("'a' differs", Hint("give [overwrite]"))))  # noqa: S301 - our own bytes
    assert isinstance(error, Conflict)
    assert (error.message, error.cure) == ("'a' differs", "give overwrite=")
    assert isinstance(error.cure, Hint)
    assert error.cure.template == "give [overwrite]"


def test_a_traceback_shows_the_cure() -> None:
    with pytest.raises(StoreError) as caught:
        raise BadArgument("step=-1", Hint("give [step] above 0"))
    assert caught.value.__notes__ == ["give step= above 0"]


def test_library_messages_name_no_options_of_the_command_line() -> None:
    """Options are worded where they are typed; a library speaks of arguments."""
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for room in ("lamofc_store", "codecs/lamofc_codecs", "catalog/lamofc_catalog")
        for path in (ROOT / room).rglob("*.py")
        for match in re.finditer(r"(?<![-\w])--(?!help)[a-z][a-z-]+", path.read_text())
        if "pip install --" not in path.read_text()[max(0, match.start() - 12) : match.end()]
    ]
    assert not found
