"""Sinks: tokens of massive energy are coded with a finer step than the others, and read like them."""

from itertools import accumulate
from typing import Any
from unittest.mock import patch

import pytest
import torch

from lamofc_codecs import Pool, Profile, Quality, Rotary, decode, decode_pooled, encode, fit
from lamofc_codecs.klt.format import KltParameters, read_layers
from lamofc_codecs.record.framing import parse, sections
from lamofc_codecs.runtime import devices

WIDTHS = {"a": 40, "b": 24}
TOKENS, SINK = 90, 57


def group(seed: int, tokens: int = TOKENS) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1000 + seed)
    spread = {name: 0.9 ** torch.arange(width) for name, width in WIDTHS.items()}
    return {name: torch.randn(tokens, width, generator=draw) * spread[name] for name, width in WIDTHS.items()}


def with_sinks(features: dict[str, torch.Tensor], *at: int) -> dict[str, torch.Tensor]:
    """Some tokens with one massive activation, and little else."""
    changed = {name: value.clone() for name, value in features.items()}
    for token in at:
        changed["a"][token, 3] += 200 * features["a"].std()
        changed["b"][token] *= 0.1
    return changed


WEIGHT = {name: torch.diag(torch.linspace(0.5, 2, width)) for name, width in WIDTHS.items()}
OPTIONS: dict[str, Any] = {"weight": WEIGHT, "weight_nats": 0.5, "weight_floor": 0.001, "layer_bytes": 32}
SAMPLES = [group(-seed) for seed in range(1, 13)]
PROFILE = fit("klt", SAMPLES, Quality(snr_db=15), sinks=True, **OPTIONS)
PLAIN = fit("klt", SAMPLES, Quality(snr_db=15), **OPTIONS)
GIVEN = with_sinks(group(5), SINK)


def errors(given: dict[str, torch.Tensor], data: bytes, profile: Profile) -> torch.Tensor:
    """Weighted squared error of each token."""
    parts = dict(zip(sorted(WIDTHS), decode([data], profile), strict=True))
    return torch.stack([((parts[n] - value) @ WEIGHT[n]).square().sum(1) for n, value in given.items()]).sum(0)


@pytest.mark.parametrize("kl", [2.0, 0.5, 0.1])
def test_a_sink_has_a_fraction_of_the_error(kl: float) -> None:
    (found,), (plain,) = (encode([GIVEN], profile, quality=Quality(kl=kl)) for profile in (PROFILE, PLAIN))
    told, usual = errors(GIVEN, found.data, PROFILE), errors(GIVEN, plain.data, PLAIN)
    assert told[SINK] < 0.03 * told.median()
    assert usual[SINK] > 0.2 * usual.median()
    assert float(told.sum()) / TOKENS / 2 == pytest.approx(kl, rel=0.06)
    assert PROFILE.config["nats"] * (found.weighted_sse or 0) / TOKENS == pytest.approx(kl, rel=0.06)


def test_samples_without_sinks_are_coded_as_if_none_were_looked_for() -> None:
    for given in (group(5), with_sinks(group(5), *range(0, TOKENS, 10))):  # so many are nothing out of the ordinary
        (found,), (plain,) = (encode([given], profile, quality=Quality(kl=0.5)) for profile in (PROFILE, PLAIN))
        assert [layer.bytes for layer in found.layers] == [layer.bytes for layer in plain.layers]
    assert "sinks" not in PLAIN.config and "usual_energy" not in PLAIN.config


MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "turned in halves": {"rotary": {"a": Rotary((1.0, 0.3, 0.1), "halves", 4)}},
    "turned in neighbours": {"rotary": {"a": Rotary((1.0, 0.3, 0.1), "neighbours", 4)}, "means": 8},
    "waves": {"waves": True, "means": 8},
    "no transform": {"transform": "none", "weight": {name: matrix.diag() for name, matrix in WEIGHT.items()}},
}


@pytest.mark.parametrize("first", [0, 1, 700])
@pytest.mark.parametrize("mode", MODES)
def test_every_way_to_read_gives_the_same(mode: str, first: int) -> None:
    begin = {name: 40 * value for name, value in group(99, 2).items()}
    samples = [{name: torch.cat([begin[name], value]) for name, value in one.items()} for one in SAMPLES]
    profile = fit("klt", samples, Quality(snr_db=15), sinks=True, **{**OPTIONS, "waves": False, **MODES[mode]})
    assert len(profile.tensors["first_tokens"]) == 2
    source = {name: torch.cat([begin[name][first:], value]) for name, value in GIVEN.items()}
    for value in source.values():
        value[31] *= 10  # within the bulk, so that levels are large
    how: dict[str, Any] = {"quality": Quality(kl=0.02), "first_positions": [first]}
    (record,) = encode([source], profile, **how)
    assert len(record.layers) > 4
    assert sections(record.data, parse(record.data))[0][5] & 8  # some tokens have gains
    with patch.object(devices, "ACCELERATORS", ("cpu",)):
        assert encode([source], profile, **how, device="cpu")[0].data == record.data
    for end in accumulate(layer.bytes for layer in record.layers):
        prefix = [record.data[:end]]
        whole = decode(prefix, profile)
        for part, (expected, mean) in enumerate(zip(whole, decode_pooled(prefix, profile, Pool("mean")), strict=True)):
            assert torch.equal(decode(prefix, profile, parts=[part])[0], expected)
            assert torch.allclose(mean[0], expected.float().mean(0), atol=1e-4, rtol=1e-4)
            with patch.object(devices, "ACCELERATORS", ("cpu",)):
                assert torch.equal(decode(prefix, profile, parts=[part], device="cpu")[0], expected)


def smooth(seed: int) -> dict[str, torch.Tensor]:
    """Tokens that resemble their neighbours."""
    slow = {name: value.repeat_interleave(6, 0) for name, value in group(seed, TOKENS // 6).items()}
    return {name: slow[name] + 0.1 * value for name, value in group(seed + 500).items()}


@pytest.mark.parametrize("with_sink", [False, True])
def test_a_fit_counts_what_sinks_cost_on_a_grid(with_sink: bool) -> None:
    """A sample with a sink is coded without the grid, on which others take fewer bits."""
    samples = [with_sinks(smooth(-seed), 7 * seed) if with_sink else smooth(-seed) for seed in range(1, 13)]
    profile = fit("klt", samples, Quality(snr_db=15), sinks=True, **OPTIONS)
    assert ("terrain" in profile.config) == (not with_sink)
    if with_sink:
        return
    for given in (smooth(5), with_sinks(smooth(5), SINK)):
        (record,) = encode([given], profile, quality=Quality(kl=0.5))
        parameters = KltParameters.from_profile(profile)
        side = read_layers(sections(record.data, parse(record.data)), TOKENS, [40, 24], parameters).side
        assert (side.grid.rows > 1) == (given["a"].abs().max() < 50) == (side.item_gains is None)
        told = errors(given, record.data, profile)
        assert float(told.sum()) / TOKENS / 2 == pytest.approx(0.5, rel=0.06)
    assert side.item_gains is not None and side.item_gains[SINK] > 0
    assert told[SINK] < 0.03 * told.median()


def test_figures_of_coarser_layers_count_sinks() -> None:
    tokens = 9000  # of so many, coarser levels are measured on some
    given = with_sinks(group(3, tokens), *range(0, tokens, 300))
    (record,) = encode([given], PROFILE, quality=Quality(kl=0.1))
    layers = record.layers
    assert len(layers) > 2
    scale = record.weighted_sse or 0.0
    for count, layer in enumerate(layers[:-1], 1):
        prefix = record.data[: len(record.data) - sum(later.bytes for later in layers[count:])]
        felt = errors(given, prefix, PROFILE).sum() / errors(given, record.data, PROFILE).sum()
        assert (layer.weighted_sse or 0) / scale == pytest.approx(float(felt), rel=0.3), count
