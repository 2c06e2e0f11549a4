"""Any id becomes a file name that stays in its folder, and comes back."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_store.sample.file_names import file_of, files_of, id_of

IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300) | st.text(
    "aB./%\\ ~\0con.npz", min_size=1, max_size=12
)


@pytest.mark.parametrize(
    ("sample", "file"),
    [
        ("img_0001", "img_0001.npz"),
        ("val/img 1.jpg", "val/img 1.jpg.npz"),
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd.npz"),
        ("/etc/passwd", "%2Fetc%2Fpasswd.npz"),
        ("a//b", "a%2F%2Fb.npz"),
        (".hidden", "%2Ehidden.npz"),
        ("a.npz/b", "a.np%7A/b.npz"),
        ("50%", "50%25.npz"),
        ("C:\\x", "C%3A%5Cx.npz"),
        ("con", "%63on.npz"),
        ("é", "%C3%A9.npz"),
    ],
)
def test_known_names(sample: str, file: str) -> None:
    assert file_of(sample, ".npz") == file
    assert id_of(file, ".npz") == sample


@given(IDS)
@settings(max_examples=400, deadline=None)
def test_names_are_safe_and_come_back(sample: str) -> None:
    file = file_of(sample, ".npz")
    path = PurePosixPath(file)
    assert str(path) == file
    assert not path.is_absolute()
    for part in path.parts:
        assert part.isascii()
        assert part.isprintable()
        assert not part.startswith(".")
        assert len(part) <= 200
    assert all(not part.lower().endswith(".npz") for part in path.parts[:-1])
    assert id_of(file, ".npz") == sample


@given(st.lists(IDS | st.sampled_from(["ab", "AB", "Ab", "aB", "CON", "con", "%41B"]), unique=True, max_size=12))
@settings(max_examples=200, deadline=None)
def test_names_differ_where_case_does_not_count(samples: list[str]) -> None:
    files = dict(files_of(samples, ".npz"))
    assert len({file.casefold() for file in files.values()}) == len(samples)
    assert [id_of(file, ".npz") for file in files.values()] == samples


def test_long_ids_are_cut() -> None:
    sample = ("x" * 1000 + "/" + ".y" * 1000) * 2
    assert max(map(len, PurePosixPath(file_of(sample, ".npz")).parts)) < 200
    assert id_of(file_of(sample, ".npz"), ".npz") == sample
