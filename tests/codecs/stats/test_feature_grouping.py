"""Which features are worth coding together, found by what it saves."""

import pytest
import torch

from lamofc_codecs import Quality, encode, find_groups, fit

MIXING = torch.randn(3, 24, 64, generator=torch.Generator().manual_seed(0))


def sample(seed: int, tokens: int = 40) -> dict[str, torch.Tensor]:
    """Two pairs of features that are images of a stream each, one of another stream, one of other tokens."""
    draw = torch.Generator().manual_seed(seed)
    streams = torch.randn(3, tokens, 24, generator=draw)

    def image(stream: int, first: int, scale: float) -> torch.Tensor:
        seen = streams[stream] @ MIXING[stream][:, first : first + 32]
        return scale * (seen + 0.3 * torch.randn(tokens, 32, generator=draw)) + 5

    return {
        "a": image(0, 0, 1.0),
        "b": image(0, 32, 40.0).half(),
        "c": image(1, 0, 1.0),
        "d": image(1, 32, 0.1),
        "e": image(2, 0, 1.0),
        "f": image(0, 0, 1.0)[: tokens // 2],
        "g": torch.arange(tokens)[:, None],
    }


SAMPLES = [sample(seed) for seed in range(60)]


def test_features_of_one_stream_are_found() -> None:
    assert [group.names for group in find_groups(SAMPLES)] == [("a", "b"), ("c", "d")]
    assert [group.names for group in find_groups(SAMPLES[40::-1], 15.0)] == [("a", "b"), ("c", "d")]


def test_what_is_said_to_be_saved_is_about_what_is_saved() -> None:
    (group, _) = find_groups(SAMPLES, 12.0)
    quality = Quality(snr_db=12)
    unseen = [sample(seed) for seed in range(1000, 1010)]
    bits = {}
    for names in (("a",), ("b",), ("a", "b")):
        pick = [{name: one[name] for name in names} if len(names) > 1 else one[names[0]] for one in SAMPLES]
        test = [{name: one[name] for name in names} if len(names) > 1 else one[names[0]] for one in unseen]
        profile = fit("klt", pick, quality, means=0)  # type: ignore[arg-type]
        records = encode(test, profile)
        bits[names] = sum(record.payload_bits for record in records) / sum(record.elements for record in records)
    saved = (bits["a",] + bits["b",]) / 2 - bits["a", "b"]
    assert saved > 0.2
    assert group.saved == pytest.approx(saved, rel=0.5)


def test_a_profile_that_nobody_shares_is_not_worth_it() -> None:
    assert find_groups(SAMPLES, shared_by=2) == []


def test_three_of_one_stream_are_one_group_whatever_the_order() -> None:
    third = MIXING[2][:, :32].T[:, :24]
    three = [{"c": one["c"], "a": one["a"], "b": one["b"], "z": one["a"] @ third} for one in SAMPLES]
    found = find_groups(three)
    assert [group.names for group in found] == [("a", "b", "z")]
    assert found[0].channels == 32 + 32 + 24


def test_little_or_nothing_to_look_at_is_no_error() -> None:
    assert find_groups([]) == []
    assert find_groups([{"a": torch.zeros(1, 3)}]) == []
    assert find_groups([{"a": torch.zeros(50, 3), "b": torch.zeros(50, 3)}]) == []
    whole = [{"a": one["a"], "b": one["b"]} for one in SAMPLES[:9]]
    whole[3]["a"][2, 5] = float("nan")
    whole[4]["b"][7, 1] = 60000.0
    assert [group.names for group in find_groups(whole)] in ([], [("a", "b")])
