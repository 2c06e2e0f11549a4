"""The page on extending is followed: its source, head, metric and codec are added and used together."""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import lamofc_store
from lamofc_codecs import CODECS
from lamofc_codecs.testing import CodecConformance
from lamofc_tools.heads import HEADS, METERS, TrainingConfig, TrainingSet, evaluate, load, new_head, save, train

PAGE = (Path(__file__).parents[2] / "tools/README.md").read_text().split("\n## Extending\n")[1]
CHAPTERS = dict(re.findall(r"^### How to add a (\w+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL))
MOST_FILES = 5


MODULE = "lamofc_additions"
"""The page's blocks as a module, which another process can import."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module of all blocks in their order. Afterwards the registries are as before."""
    folder = tmp_path_factory.mktemp("additions")
    blocks = [re.findall(r"^```python\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL) for chapter in CHAPTERS.values()]
    assert [len(found) for found in blocks] == [int(name != "table") for name in CHAPTERS]
    (folder / f"{MODULE}.py").write_text("\n".join(block for found in blocks for block in found))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
        for registry in (HEADS, METERS):
            for name in registry:
                patch.setitem(registry, name, registry[name])  # type: ignore[index]
        before = {name: value for name, value in vars(CODECS).items() if name in ("_codecs", "_numbered")}
        yield importlib.import_module(MODULE)
        vars(CODECS).update(before)
        HEADS.pop("perceptron", None)
        sys.modules.pop(MODULE, None)


def test_each_addition_takes_few_files() -> None:
    assert set(CHAPTERS) == {"source", "head", "metric", "table", "codec"}
    for chapter in CHAPTERS.values():
        assert 0 < len(re.findall(r"^\| `", chapter, re.MULTILINE)) <= MOST_FILES


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_files_of_the_page_exist(chapter: str) -> None:
    root = Path(__file__).parents[2]
    for file in re.findall(r"^\| `([^`]*)`", CHAPTERS[chapter], re.MULTILINE):
        if "NAME" not in file:
            assert any((root / room / file).is_file() for room in (".", "tools")), file


def test_the_codec_of_the_page_keeps_the_promises_of_codecs(page: ModuleType) -> None:
    class Conformance(CodecConformance):
        codec = page.Rounded
        noise = 0.0001

    tests = [name for name in dir(Conformance) if name.startswith("test_")]
    assert len(tests) > 8
    for name in tests:
        getattr(Conformance(), name)()


def test_additions_of_the_page_work_together(page: ModuleType, tmp_path: Path) -> None:
    source, config = page.SyntheticSource(), TrainingConfig(epochs=20, batch=8, lr=0.01)
    with lamofc_store.open(str(tmp_path / "features.lamofc"), "w") as store:
        store.ingest(source, "rounded", fit_samples=4)
        sample = next(iter(source))
        rounded = sample.features["tokens"].bfloat16().float()
        assert torch.equal(store[sample.id, "tokens"], rounded)
        ((sse,),) = store.sql("SELECT sse FROM records WHERE sample = ?", [sample.id]).fetchall()
        assert sse == pytest.approx(float((rounded - sample.features["tokens"]).square().sum()), rel=1e-5)
        samples = TrainingSet.of(store, ["tokens"], "label")
        torch.manual_seed(0)
        head = new_head("perceptron", samples, options={"hidden": 8})
        train(head, samples, config)
        save(head, tmp_path / "head.safetensors", {})
        loaded, _ = load(tmp_path / "head.safetensors")
        values = evaluate(loaded, samples, config)
    assert values["accuracy"] > 0.9
    assert values["error"] == pytest.approx(1 - values["accuracy"])
