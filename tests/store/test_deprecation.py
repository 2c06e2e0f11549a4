"""Former names work for one release and warn with the new one."""

from typing import Any

import pytest

from lamofc_store import exporting, sources

FORMER = [
    (sources, "Wanted", "FeatureFilter"),
    (sources, "Unreadable", "UnreadableSample"),
    (sources, "Spread", "Spreadable"),
    (exporting, "whole", "atomic_file"),
    (exporting, "files_of", "export_files"),
]


@pytest.mark.parametrize(("package", "old", "new"), FORMER)
def test_a_former_name_gives_what_it_gave_and_warns(package: Any, old: str, new: str) -> None:
    with pytest.warns(
        DeprecationWarning, match=rf"{package.__name__}\.{old} goes with version 0.2: use {new}"
    ) as caught:
        assert getattr(package, old) is getattr(package, new)
    assert caught[0].filename == __file__


def test_other_names_are_as_absent_as_before() -> None:
    with pytest.raises(AttributeError, match=r"module 'lamofc_store\.sources' has no attribute 'Wnated'"):
        _ = sources.Wnated
