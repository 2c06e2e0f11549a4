"""Lists, generators, mappings and datasets of samples."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from lamofc_store import sources
from lamofc_store.errors import SourceError
from lamofc_store.sample.sample import Sample

Refused = Callable[..., SourceError]


def test_iterables(pair: dict[str, torch.Tensor]) -> None:
    items = [
        Sample("a", pair, {"label": 1}),
        ("b", pair),
        {"id": np.int64(3), "x": np.ones(2), "label": np.int32(4)},
        {"x": torch.ones(1)},
    ]
    source = sources.open(items)
    assert (len(source), source.reiterable) == (4, True)
    for _ in range(2):
        samples = list(source)
    assert [sample.id for sample in samples] == ["a", "b", "3", "00000003"]
    assert samples[2].attributes == {"label": 4}
    assert_close(dict(samples[1].features), pair, rtol=0, atol=0)
    assert [sample.id for sample in sources.open({"x": pair, "y": pair})] == ["x", "y"]
    assert sources.open(source) is source
    assert [list(sample.features) for sample in sources.open(items[:2], features=["*.0"])] == [["layer.0"]] * 2


def test_samples_pass_with_all_that_they_know(pair: dict[str, torch.Tensor]) -> None:
    """Patterns and grids of a sample's own come through, also where a filter takes some of its features."""
    known = Sample("a", pair, {"label": 1}, None, {"layer.0": "t c -> t c"}, {"layer.0": "1+2x2"})
    assert list(sources.open([known])) == [known]
    (picked,) = sources.open([known], features=["layer.0"])
    assert (picked.patterns, picked.grids, picked.attributes) == (known.patterns, known.grids, known.attributes)


def test_generators_are_read_once(pair: dict[str, torch.Tensor]) -> None:
    def generate() -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
        yield "a", pair

    source = sources.open(generate())
    assert not source.reiterable
    with pytest.raises(TypeError, match="does not know its length"):
        len(source)
    assert len(list(source)) == 1
    with pytest.raises(SourceError, match="was read before"):
        list(source)


class Indexed(torch.utils.data.Dataset[dict[str, object]]):
    """A map-style dataset that never raises IndexError, as many do."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"sample": f"s{index}", "x": torch.full((2,), index)}


def test_map_style_datasets() -> None:
    assert [sample.id for sample in sources.open(Indexed())] == ["s0", "s1", "s2"]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (7, "int is no source"),
        ([torch.ones(2)], "item 0 is a Tensor, no sample"),
        ([(torch.ones(2), 1)], "item 0 is a tuple, no sample"),
        ([("a", {"x": torch.ones(1)})] * 2, "item 1 has the id 'a' of an earlier one"),
        ([("a", {"label": 1})], "sample 'a' holds no tensor"),
        ([("", {"x": torch.ones(1)})], "sample id '' is not"),
        ([{"id": torch.ones(1), "x": torch.ones(1)}], "no text or number under 'id'"),
        ([("a", {"x": object()})], "sample 'a': value 'x' is of type"),
    ],
)
def test_wrong_items_are_refused(what: object, words: str, refused: Refused) -> None:
    refused(what, words)
