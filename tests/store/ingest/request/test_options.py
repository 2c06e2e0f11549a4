"""Options of an ingest: one list for editors and one for the program, a misspelt one refused by both."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import lamofc_store as lamofc
from lamofc_codecs import Profile, Quality
from lamofc_store import maintenance
from lamofc_store.errors import BadArgument
from lamofc_store.ingest import IngestKeywords
from lamofc_store.ingest.request import IngestOptions
from lamofc_store.ingest.request.report import Progress

ROOT = Path(__file__).parents[4]
NAMES: dict[str, Any] = {"Profile": Profile, "Quality": Quality, "Progress": Progress}


def test_keywords_and_options_agree() -> None:
    keywords = get_type_hints(IngestKeywords, localns=NAMES)
    options = get_type_hints(IngestOptions, localns=NAMES)
    assert {"codec": str, "quality": Quality | None, **keywords} == options


def test_every_keyword_is_described() -> None:
    lines = inspect.getsource(IngestKeywords).splitlines()
    for name in IngestKeywords.__annotations__:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"    {name}: "))
        assert lines[at + 1].strip().startswith('"""'), name
        assert f"`{name}`" in (lamofc.Store.ingest.__doc__ or ""), name


def test_a_misspelt_option_has_two_lines(tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        for verb in (lamofc.plan, lamofc.fit_profiles, store.ingest, store.write):
            with pytest.raises(BadArgument, match="there is no option 'fit_sample'") as caught:
                verb([], fit_sample=3)  # type: ignore[operator]
            assert "the options are codec, quality, profile, fit_samples" in caught.value.cure


@pytest.mark.parametrize("name", ["features", "groups"])
def test_one_glob_is_a_list_of_one(name: str) -> None:
    with pytest.raises(BadArgument, match=rf"{name}='layer.\*' is one text") as caught:
        lamofc.plan([], **{name: "layer.*"})  # type: ignore[arg-type]
    assert caught.value.cure == "write ['layer.*']"


@pytest.mark.parametrize(
    ("name", "value", "fault", "cure"),
    [
        ("quality", 15, "is no Quality", "give lamofc_store.Quality(snr_db=15)"),
        ("profile", "klt.safetensors", "is no Profile", "give lamofc_store.Profile.load(path)"),
        ("codec_options", 5, "is no mapping of names", "write {'nonfinite': 'exact'}"),
        ("patterns", ["a"], "is no mapping of texts", "write {'layer.*': 'h w c -> (h w) c'}"),
        ("patterns", {"a": 3}, "is no mapping of texts", "write {'layer.*': 'h w c -> (h w) c'}"),
        ("grids", "1+16x16", "is no mapping of texts", "write {'layer.*': '1+16x16'}"),
        ("features", 3, "is no list of globs", "write ['layer.*']"),
        ("groups", [3], "is no list of globs", "write ['layer.*']"),
        ("fit_samples", "3", "is no whole number from 1", "64 samples are a good start"),
        ("block", 0, "is no whole number from 1", "64 samples are a good size"),
        ("segment_bytes", 1e6, "is no whole number from 1", "256 MiB is a good size"),
    ],
)
def test_an_option_of_another_kind_has_two_lines(name: str, value: object, fault: str, cure: str) -> None:
    with pytest.raises(BadArgument) as caught:
        lamofc.plan([], **{name: value})  # type: ignore[arg-type]
    assert (caught.value.message, caught.value.cure) == (f"{name}={value!r} {fault}", cure)


@pytest.mark.parametrize("verb", ["verify", "compact"])
def test_verbs_have_the_same_defaults_as_methods(verb: str) -> None:
    method, function = (inspect.signature(getattr(of, verb)) for of in (lamofc.Store, maintenance))
    (_, *of_method), (_, *of_function) = method.parameters.values(), function.parameters.values()
    assert [(one.name, one.kind, one.default) for one in of_method] == [
        (one.name, one.kind, one.default) for one in of_function
    ]


SNIPPET = """
from lamofc_store.ingest.planning import fit_profiles, plan
from lamofc_store.store import Store

def work(store: Store) -> None:
    store.ingest("in", fit_samples=3, on_error="skip", groups=["a.*"])
    store.ingest("in", fit_sample=3)
    store.ingest("in", on_error="jump")
    store.write("in", fit_sample=3)
    store.compact(live=0.5)
    store.compact(life=0.5)
    store.verify(progres=print)
    plan("in", fit_sample=3)
    fit_profiles("in", fit_sample=3)
"""
CONFIG = """
[mypy]
python_version = 3.11
mypy_path = {root}
explicit_package_bases = true
follow_imports = skip
cache_dir = {cache}

[mypy-lamofc_store.store,lamofc_store.session,lamofc_store.ingest,lamofc_store.ingest.planning,\
lamofc_store.ingest.request,lamofc_store.ingest.request.options,lamofc_store.errors]
follow_imports = silent
"""


def test_a_type_checker_sees_a_misspelt_option(tmp_path: Path) -> None:
    """Only the modules that declare the verbs are followed, so that this takes seconds."""
    pytest.importorskip("mypy")
    (tmp_path / "snippet.py").write_text(SNIPPET)
    (tmp_path / "mypy.ini").write_text(CONFIG.format(root=ROOT, cache=tmp_path / "cache"))
    command = [sys.executable, "-m", "mypy", "--config-file", str(tmp_path / "mypy.ini"), "snippet.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    wrong = [int(line.split(":")[1]) for line in checked.stdout.splitlines() if line.startswith("snippet.py:")]
    expected = [number for number, line in enumerate(SNIPPET.splitlines(), 1) if "fit_sample=" in line]
    expected += [number for number, line in enumerate(SNIPPET.splitlines(), 1) if "jump" in line or "progres" in line]
    expected += [number for number, line in enumerate(SNIPPET.splitlines(), 1) if "life" in line]
    assert sorted(set(wrong)) == sorted(expected), checked.stdout + checked.stderr
