"""Profile: bytes with a name, checked before anything is believed."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from lamofc_codecs import CodecError, Profile

TENSORS = {"b": torch.arange(5.0), "a": torch.ones(2, 3, dtype=torch.int32)}
PROFILE = Profile("uniform", {"x": 1, "nested": {"y": [1, 2.5, None, "z"]}}, TENSORS)


def test_the_same_content_has_the_same_name() -> None:
    again = Profile("uniform", {"nested": {"y": [1, 2.5, None, "z"]}, "x": 1}, dict(reversed(TENSORS.items())))
    assert again == PROFILE
    assert again.data == PROFILE.data
    assert PROFILE.id == hashlib.sha256(PROFILE.data).hexdigest()
    assert Profile("uniform", {"x": 2}, TENSORS) != PROFILE


def test_file_and_pickle(tmp_path: Path) -> None:
    PROFILE.save(tmp_path / "p.safetensors")
    thawed = pickle.loads(pickle.dumps(PROFILE))  # noqa: S301
    for again in (Profile.load(tmp_path / "p.safetensors"), Profile.load(PROFILE.data), thawed):
        assert again == PROFILE
        assert dict(again.config) == {"x": 1, "nested": {"y": [1, 2.5, None, "z"]}}
        assert all(torch.equal(again.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert "uniform" in repr(PROFILE)
    assert {PROFILE: 1}[again] == 1


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        PROFILE.codec = "raw"  # type: ignore[misc]
    with pytest.raises(TypeError):
        PROFILE.config["x"] = 2  # type: ignore[index]
    with pytest.raises(TypeError):
        PROFILE.tensors["b"] = torch.ones(1)  # type: ignore[index]


def test_one_metadata_key_with_canonical_json() -> None:
    length = int.from_bytes(PROFILE.data[:8], "little")
    metadata = json.loads(PROFILE.data[8 : 8 + length])["__metadata__"]
    assert list(metadata) == ["lamofc"]
    assert metadata["lamofc"].startswith('{"codec":"uniform","config":{"nested":')


@pytest.mark.parametrize("size", [0, 7, 8, 60, len(PROFILE.data) - 1])
def test_a_shortened_file_is_refused(size: int) -> None:
    with pytest.raises(CodecError):
        Profile.from_bytes(PROFILE.data[:size])


def test_no_damaged_byte_passes_as_the_same_profile_or_crashes() -> None:
    for place in range(len(PROFILE.data)):
        damaged = bytearray(PROFILE.data)
        damaged[place] ^= 0x11
        try:
            assert Profile.from_bytes(damaged).id != PROFILE.id
        except CodecError:
            continue


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"other": "{}"},
        {"lamofc": '{"codec":"uniform","config":{},"format":1}', "more": ""},
        {"lamofc": "not json"},
        {"lamofc": "[]"},
        {"lamofc": '{"codec":"uniform","config":{},"format":2}'},
        {"lamofc": '{"codec":"uniform","config":{},"format":1.0}'},
        {"lamofc": '{"codec":"uniform","config":{},"format":true}'},
        {"lamofc": '{"codec":7,"config":{},"format":1}'},
        {"lamofc": '{"codec":"uniform","config":[],"format":1}'},
        {"lamofc": '{"codec": "uniform","config":{},"format":1}'},
        {"lamofc": '{"codec":"uniform","config":{},"format":1,"more":1}'},
        {"lamofc": '{"codec":"uniform","config":{"x":NaN},"format":1}'},
        {"lamofc": "[" * 100000},
    ],
)
def test_metadata_of_another_kind_is_refused(metadata: dict[str, str] | None) -> None:
    with pytest.raises(CodecError):
        Profile.from_bytes(save(TENSORS, metadata=metadata))


def test_a_pickle_is_not_run() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, ("/nonexistent/bomb",))

    with pytest.raises(CodecError):
        Profile.from_bytes(pickle.dumps(Bomb()))


def test_a_huge_header_is_not_allocated() -> None:
    with pytest.raises(CodecError, match="claims a header"):
        Profile.from_bytes((1 << 62).to_bytes(8, "little") + b"{}")


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [("c", torch.float32, (5,)), ("b", torch.float64, (5,)), ("b", torch.float32, (4,)), ("b", torch.float32, (5, 1))],
)
def test_a_codec_gets_only_tensors_of_the_kind_that_it_wants(
    name: str, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    with pytest.raises(CodecError, match=f"tensor '{name}' must be"):
        PROFILE.tensor(name, dtype, *shape)
    assert PROFILE.tensor("b", torch.float32, -1) is PROFILE.tensors["b"]


@pytest.mark.parametrize("config", [{"x": float("nan")}, {"x": np.float32(1)}, {"x": {1, 2}}])
def test_a_config_that_json_cannot_hold_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(CodecError, match="cannot be written as JSON"):
        Profile("uniform", config, {})
