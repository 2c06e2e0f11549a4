"""The former place of replay still works, and says where it is now."""

import importlib
import sys

import pytest

pytest.importorskip("transformers")


def test_the_former_place_warns_and_gives_the_same() -> None:
    from lamofc_tools import models

    sys.modules.pop("lamofc_tools.replay", None)
    with pytest.warns(DeprecationWarning, match=r"import replay and replaying from lamofc_tools\.models"):
        former = importlib.import_module("lamofc_tools.replay")
    assert former.replay is models.replay
    assert former.replaying is models.replaying
