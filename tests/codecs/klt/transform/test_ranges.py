"""Ranges of channels that are decorrelated each by itself: the zeros beside them are not multiplied."""

from functools import cache
from weakref import WeakValueDictionary

import numpy as np
import pytest
import torch

from lamofc_codecs import Profile, Quality, UnsupportedInput, decode, encode, fit
from lamofc_codecs.klt.format.profile import KltParameters
from lamofc_codecs.klt.transform.channel_ranges import ranges_of
from lamofc_codecs.klt.transform.int8_transform import Analysis, Basis

CHANNELS = 70


def sample(seed: int, tokens: int = 120) -> torch.Tensor:
    """Channels that share two streams, some of them both."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(20, CHANNELS, generator=torch.Generator().manual_seed(9))
    mixing[:10, 45:], mixing[10:, :25] = 0, 0
    return torch.randn(tokens, 20, generator=draw) @ mixing + 0.1 * torch.randn(tokens, CHANNELS, generator=draw)


TRAIN = [sample(-seed) for seed in range(1, 15)]
UNSEEN = [sample(seed) for seed in range(4)]
OPTIONS: dict[str, dict[str, object]] = {
    "codebook": {"means": 40},
    "plain": {"means": 0},
    "weighted": {"weight": torch.rand(CHANNELS, generator=torch.Generator().manual_seed(7)) + 0.1},
}


@cache
def bits_in_one_range() -> int:
    """Bits of the unseen samples by a transform of all channels."""
    return sum(record.payload_bits for record in encode(UNSEEN, fit("klt", TRAIN, Quality(snr_db=12), means=0)))


@cache
def profile_of(options: str) -> Profile:
    """A profile of three ranges."""
    return fit("klt", TRAIN, Quality(snr_db=20), ranges=3, **OPTIONS[options])


@pytest.mark.parametrize("ranges", [2, 3, 7])
def test_each_column_is_of_one_range(ranges: int) -> None:
    profile = fit("klt", TRAIN, Quality(snr_db=12), ranges=ranges, means=0)
    assert profile.config["ranges"] == ranges
    found = Basis(profile.tensors["basis"], profile.tensors["basis_scale"]).ranges
    assert [where.start for where, _ in found] == [-(-CHANNELS * number // ranges) for number in range(ranges)]
    assert sorted(column for _, columns in found for column in columns.tolist()) == list(
        range(len(profile.tensors["basis"]))
    )
    records = encode(UNSEEN, profile)
    for record in records:
        assert 10 * np.log10(record.signal / record.bulk_sse) == pytest.approx(12, abs=0.2)
    assert sum(record.payload_bits for record in records) > bits_in_one_range()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_leaving_out_zeros_changes_no_bit(options: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_of(options)
    sources = [one.to(dtype) for one in UNSEEN]
    data = [record.data for record in encode(sources, profile)]
    decoded = decode(data, profile)
    monkeypatch.setattr(
        "lamofc_codecs.klt.transform.int8_transform.ranges_of",
        lambda rows: [(slice(0, CHANNELS), np.arange(len(rows)))],
    )
    plain = Profile.from_bytes(profile.data)
    monkeypatch.setattr("lamofc_codecs.registry._OPEN", WeakValueDictionary())
    assert all(map(torch.equal, decoded, decode(data, plain)))
    assert decoded[0].dtype == dtype


def test_solving_by_ranges_is_solving_the_whole() -> None:
    parameters = KltParameters.from_profile(profile_of("plain"))
    assert parameters.basis is not None
    assert parameters.analysis is not None
    whole = Analysis(parameters.basis.floats(), [(slice(0, CHANNELS), np.arange(parameters.columns))])
    values = UNSEEN[0].numpy()
    for columns in (parameters.columns, 30, 1):
        one, other = parameters.analysis.forward(values, columns), whole.forward(values, columns)
        assert np.abs(one - other).max() < 1e-3 * np.abs(other).max()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 0, 0], [0, 1, 1]], [(0, 1, [0]), (1, 3, [1])]),
        ([[1, 1, 1, 1, 0]] * 7 + [[0, 0, 0, 0, 1]], [(0, 5, list(range(8)))]),
        (np.eye(70, dtype=int).tolist(), [(0, 70, list(range(70)))]),
        ([[0, 1, 1], [1, 0, 0]], [(0, 1, [1]), (1, 3, [0])]),
        ([[1, 0, 1], [0, 1, 0]], [(0, 3, [0, 1])]),
        ([[1, 1, 0], [0, 1, 1]], [(0, 3, [0, 1])]),
        ([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]], [(0, 1, [0]), (2, 4, [2])]),
        ([[0, 0], [0, 0]], [(0, 2, [0, 1])]),
        ([[0, 0, 0, 5]], [(0, 4, [0])]),
    ],
)
def test_ranges_are_found(rows: list[list[int]], expected: list[tuple[int, int, list[int]]]) -> None:
    found = ranges_of(torch.tensor(rows, dtype=torch.int8))
    assert [(where.start, where.stop, columns.tolist()) for where, columns in found] == expected


def test_no_columns_and_no_channels_are_no_error() -> None:
    assert [(where, columns.tolist()) for where, columns in ranges_of(torch.zeros(0, 5, dtype=torch.int8))] == [
        (slice(0, 5), [])
    ]


def test_groups_and_parts_go_with_ranges() -> None:
    profile = fit("klt", [{"a": one[:, :30], "b": one[:, 30:]} for one in TRAIN], Quality(snr_db=12), ranges=2)
    record = encode([{"a": UNSEEN[0][:, :30], "b": UNSEEN[0][:, 30:]}], profile)[0]
    both = decode([record.data], profile)
    assert [tensor.shape[1] for tensor in both] == [30, 40]
    assert torch.equal(decode([record.data], profile, parts=[1])[0], both[1])


@pytest.mark.parametrize("options", [{"ranges": 0}, {"ranges": 2, "weight": torch.ones(2, CHANNELS)}])
def test_what_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UnsupportedInput):
        fit("klt", TRAIN, **options)
