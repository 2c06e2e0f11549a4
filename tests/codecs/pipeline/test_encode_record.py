"""The placement of a source: what an encoder tells its codec of an element besides its values."""

import pytest
import torch

from lamofc_codecs import Placement, Quality, Rotary, UnsupportedInput, decode, encode, fit, testing
from lamofc_codecs.pipeline import Encoder
from lamofc_codecs.source import AT_START

TOKENS, CHANNELS = 40, 16
SAMPLE = testing.feature(TOKENS, CHANNELS, 3)


def encoder(**options: object) -> Encoder:
    samples = [testing.feature(TOKENS, CHANNELS, -seed) for seed in range(1, 5)]
    profile = fit("klt", samples, Quality(snr_db=12), **options)
    return Encoder.of(profile, None, torch.device("cpu"))


def test_a_placement_has_the_position_of_the_first_token() -> None:
    turned = encoder(rotary=Rotary(tuple(torch.logspace(0, -2, CHANNELS // 2).tolist())))
    late = turned.encode(SAMPLE, Placement(500)).data
    assert late == encode([SAMPLE], turned.profile, first_positions=[500])[0].data
    assert late != turned.encode(SAMPLE).data == turned.encode(SAMPLE, AT_START).data


def test_a_placement_has_the_shift_of_weighted_values() -> None:
    plain = encoder()
    still, moved = torch.zeros(TOKENS, CHANNELS), torch.zeros(TOKENS, CHANNELS)
    moved[7] = 0.1 * SAMPLE.std()
    assert plain.encode(SAMPLE, Placement(shift=still.numpy())).data == plain.encode(SAMPLE).data
    record = plain.encode(SAMPLE, Placement(shift=moved.numpy()))
    assert record.codec == "klt" and record.data != plain.encode(SAMPLE).data
    errors = SAMPLE - decode([record.data], plain.profile)[0]
    assert record.sse == pytest.approx(float(errors.double().square().sum()), rel=1e-5)


def test_planes_have_equally_many_tokens_of_one_item() -> None:
    with pytest.raises(UnsupportedInput, match="40 tokens of 1 items in 3 planes"):
        encoder().encode(SAMPLE, Placement(planes=3))
    with pytest.raises(UnsupportedInput, match="80 tokens of 2 items in 2 planes"):
        encoder().encode([SAMPLE, SAMPLE], Placement(planes=2))
