"""The page on extending is followed: its source, head, metric and codec are added and used together."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store
from lamofc_codecs.registry import CODECS
from lamofc_tools.heads import HEADS, METERS, TrainingConfig, TrainingSet, evaluate, load, new_head, save, train

PAGE = (Path(__file__).parents[2] / "tools/README.md").read_text().split("\n## Extending\n")[1]
CHAPTERS = dict(re.findall(r"^### How to add a (\w+)\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL))
MOST_FILES = 5


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """Names that the page's blocks define; the registries are as before afterwards."""
    registries: list[dict[Any, Any]] = [CODECS, HEADS, METERS]
    before = [dict(registry) for registry in registries]
    names: dict[str, Any] = {"__name__": __name__}
    for chapter in CHAPTERS.values():
        (block,) = re.findall(r"^```python\n(.*?)^```", chapter, re.MULTILINE | re.DOTALL)
        exec(block, names)  # noqa: S102 - the page's own blocks
    yield names
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


def test_each_addition_takes_few_files() -> None:
    assert set(CHAPTERS) == {"source", "head", "metric", "codec"}
    for chapter in CHAPTERS.values():
        assert 0 < len(re.findall(r"^\| `", chapter, re.MULTILINE)) <= MOST_FILES


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_files_of_the_page_exist(chapter: str) -> None:
    root = Path(__file__).parents[2]
    for file in re.findall(r"^\| `([^`]*)`", CHAPTERS[chapter], re.MULTILINE):
        if "NAME" not in file:
            assert any((root / room / file).is_file() for room in (".", "tools")), file


def test_additions_of_the_page_work_together(page: dict[str, Any], tmp_path: Path) -> None:
    source, config = page["SyntheticSource"](), TrainingConfig(epochs=20, batch=8, lr=0.01)
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
