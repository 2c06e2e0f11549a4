"""Nested features come back with the types, keys and order that they had."""

import enum
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lamofc_store as lamofc
from lamofc_store import Sample
from lamofc_store.errors import CorruptStore, NotFound, SourceError
from lamofc_store.sample import structure
from lamofc_store.sample.structure import Nested

SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=5)
TENSORS = st.integers(-9, 9).map(torch.tensor)
KEYS = st.text(st.sampled_from('ab.~01"\\é'), max_size=4) | st.integers(-3, 3) | st.none()
NESTED = st.recursive(
    SCALARS | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def same(left: Nested, right: Nested) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right or (left != left and right != right))


@given(NESTED)
@settings(max_examples=300, deadline=None)
def test_restore_inverts_flatten(nested: Nested) -> None:
    features, text = structure.flatten(nested)
    if text is not None:
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    shuffled = dict(sorted(features.items(), reverse=text is not None))
    if text is None:
        assert same(structure.restore(features, text), nested)
    else:
        assert same(structure.restore(shuffled, text), nested)


def test_flat_dict_needs_no_structure() -> None:
    features, text = structure.flatten({"layer.1": torch.ones(2), "b": torch.zeros(1)})
    assert list(features) == ["layer.1", "b"]
    assert text is None


def test_names_are_paths_and_never_collide() -> None:
    one, two = torch.tensor(1), torch.tensor(2)
    nested = {"a.b": one, "a": {"b": two}, "kv": [(one, two)]}
    features, text = structure.flatten(nested)
    assert list(features) == ["a.b", "a.b~2", "kv.0.0", "kv.0.1"]
    assert same(structure.restore(features, text), nested)


def test_arrays_become_tensors_of_the_same_type() -> None:
    big = np.arange(6, dtype=">f4").reshape(2, 3)
    frozen = np.arange(3, dtype=np.uint16)
    frozen.flags.writeable = False
    features, _ = structure.flatten({"big": big, "frozen": frozen, "zero": np.array(1.5, np.float16)})
    assert torch.equal(features["big"], torch.arange(6.0).reshape(2, 3))
    assert features["frozen"].dtype == torch.uint16
    assert features["zero"].shape == ()
    assert features["zero"].dtype == torch.float16


def test_parameters_lose_their_gradient() -> None:
    features, _ = structure.flatten({"weight": torch.nn.Parameter(torch.ones(2))})
    assert not features["weight"].requires_grad


def test_enums_become_their_plain_value() -> None:
    class Split(enum.StrEnum):
        TRAIN = "train"

    values = {"split": Split.TRAIN, "label": np.int64(3), "score": np.float32(np.inf), "double": np.float64(0.5)}
    features, text = structure.flatten({"x": torch.ones(1), **values})
    restored = structure.restore(features, text)
    assert {key: (type(restored[key]), restored[key]) for key in values} == {
        "split": (str, "train"),
        "label": (int, 3),
        "score": (float, float("inf")),
        "double": (float, 0.5),
    }


@pytest.mark.parametrize(
    "value", [object(), {1.5: torch.ones(1)}, {"a": {1, 2}}, np.array([object()]), np.array(["a"])]
)
def test_other_values_are_refused(value: Nested) -> None:
    with pytest.raises(SourceError) as caught:
        structure.flatten({"here": value})
    assert "here" in str(caught.value)
    assert caught.value.cure


def test_sparse_tensors_and_cycles_are_refused() -> None:
    with pytest.raises(SourceError, match="sparse"):
        structure.flatten([torch.eye(2).to_sparse()])
    cycle: list[Nested] = []
    cycle.append(cycle)
    with pytest.raises(SourceError, match="deeper than 64"):
        structure.flatten(cycle)


def test_partial_restore() -> None:
    features, text = structure.flatten({"a": [torch.ones(1), torch.zeros(1)], "b": torch.ones(2), "n": 3})
    some = {"a.0": features["a.0"]}
    with pytest.raises(NotFound, match=r"needs feature 'a\.1'"):
        structure.restore(some, text)
    assert structure.restore(some, text, partial=True) == {"a": [torch.ones(1), None], "n": 3}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"tensor":1}',
        '{"dict":{}}',
        '{"dict":[["a"]]}',
        '{"list":[1]}',
        '{"code":"x"}',
        '{"float":"1"}',
        '{"list":[' * 5000,
        '{"list":[' * 100 + '{"value":1}' + "]}" * 100,
    ],
)
def test_damaged_structures_are_named(text: str) -> None:
    with pytest.raises(CorruptStore, match="is no structure"):
        structure.restore({}, text)


def test_what_comes_later_has_a_place_too(tmp_path: Path) -> None:
    tensors = {name: torch.randn(2, 3) for name in ("a.0", "a.1", "b", "c", "flat")}

    def sample(nested: Any) -> Sample:
        features, text = structure.flatten(nested)
        return Sample("x", features, structure=text)

    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest([sample({"a": [tensors["a.0"], tensors["a.1"]], "note": "kept"})], "raw")
        store.ingest([sample({"b": tensors["b"], "c": (tensors["c"],)})], "raw")
        store.ingest([Sample("x", {"flat": tensors["flat"]})], "raw")
        found = store.get("x")
        assert list(found) == ["a", "note", "b", "c", "flat"]
        assert torch.equal(found["a"][1], tensors["a.1"]) and torch.equal(found["c"][0], tensors["c"])
        assert torch.equal(found["flat"], tensors["flat"]) and found["note"] == "kept"
        for format in ("lamofcbench", "safetensors"):
            lamofc.export(store, tmp_path / format, format)
            with lamofc.open(str(tmp_path / f"again-{format}"), "w-") as again:
                again.ingest(str(tmp_path / format), "raw")
                assert same(again.get("x"), found)


@pytest.mark.parametrize(
    ("nested", "keys"),
    [
        (
            {"features": {"b": torch.ones(2)}, "metadata": {"bpfp": 1.5}},
            ["features.b", "features.late", "metadata.bpfp"],
        ),
        ([torch.ones(2), torch.ones(3)], ["0", "1", "late"]),
        ({"late": "a text", "b": torch.ones(2)}, ["late", "b", "late~2"]),
    ],
)
def test_where_a_late_feature_goes(nested: Any, keys: list[str]) -> None:
    features, text = structure.flatten(nested)
    features["late"] = torch.zeros(2)
    found = structure.restore(features, structure.add_features(text, features))
    inner = [[f"{key}.{name}" for name in value] if isinstance(value, dict) else [key] for key, value in found.items()]
    assert [name for names in inner for name in names] == keys


def test_damaged_structures_are_not_completed() -> None:
    for text in ("{", "[" * 100_000):
        with pytest.raises(CorruptStore):
            structure.add_features(text, ["a"])
    for text in ("3", '{"dict": 3}', '{"dict": [3]}', '{"list": []}'):
        assert structure.add_features(text, ["a"]) in (None, text) or "a" in str(structure.add_features(text, ["a"]))
