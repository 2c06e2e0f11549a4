"""Records that a consumer guided: fewer bits at its divergence, which rows promise of all layers together only."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import UnsupportedInput
from lamofc_store import Quality, Sample
from lamofc_store.errors import BadArgument

WIDTHS, TOKENS, COUNT = {"k": 20, "v": 12}, 60, 8
Features = Mapping[str, torch.Tensor]


def _noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


WEIGHT = {name: _noise(width, width, seed=width) * _noise(width, seed=1).abs() for name, width in WIDTHS.items()}
ANSWERS = _noise(TOKENS, TOKENS * sum(WIDTHS.values()), seed=7) / (TOKENS * 2) ** 0.5
OPTIONS: dict[str, Any] = {
    "codec_options": {"weight": WEIGHT, "weight_nats": 0.5, "weight_floor": 0.001, "layer_bytes": 32},
    "quality": Quality(kl=0.5),
}


def _features(number: int) -> dict[str, torch.Tensor]:
    mixing = {name: _noise(width, width, seed=-width) * 0.8 ** torch.arange(width) for name, width in WIDTHS.items()}
    features = {name: _noise(TOKENS, width, seed=100 + number) @ mixing[name].T for name, width in WIDTHS.items()}
    return {**features, "other": features["k"] + 1}


def _divergence(features: Features, decoded: Features) -> torch.Tensor:
    """As many answers as tokens, which feel any error as much as the weights foretell on average."""
    errors = [(features[name] - decoded[name]) @ WEIGHT[name].T for name in WIDTHS]
    return (ANSWERS @ torch.cat(errors, 1).flatten()).square().mean()


def _samples() -> list[Sample]:
    return [Sample(f"s{number}", {name: _features(number)[name] for name in WIDTHS}) for number in range(COUNT)]


def measure(sample: str, features: Features) -> Callable[[Features], float]:
    return lambda decoded: float(_divergence(features, decoded))


def gradient(sample: str, features: Features) -> Callable[[Features], Features] | None:
    def of_sample(decoded: Features) -> Features:
        leaves = {name: decoded[name].clone().requires_grad_() for name in WIDTHS}
        slopes = torch.autograd.grad(_divergence(features, leaves), list(leaves.values()))
        return dict(zip(leaves, slopes, strict=True))

    return of_sample if sample != "s7" else None


@pytest.mark.parametrize("groups", [("{k,v}",), pytest.param((), marks=pytest.mark.slow)], ids=["group", "each"])
def test_a_guide_saves_bits_and_rows_tell_what_is_felt(tmp_path: Path, groups: tuple[str, ...]) -> None:
    samples = _samples()
    bits, felt = {}, "SELECT sum(stored_bits), sum(measured_kl), sum(expected_kl) FROM records WHERE sample = ?"
    for guided in (False, True):
        all_found = []
        with lamofc.open(str(tmp_path / f"{guided}"), "a") as store:
            store.ingest(samples, groups=groups, measure=measure, guide=gradient if guided else None, **OPTIONS)
            for sample in samples:
                ((bits[guided, sample.id], measured, expected),) = store.sql(felt, [sample.id]).fetchall()
                found = float(_divergence(sample.features, store.tensors(sample.id)))
                assert measured == pytest.approx(found, rel=0.01)
                assert expected == pytest.approx(measured, rel=1e-6)
                # A guide may find an encoding of fewer bytes that is felt less than one of more: that one is taken.
                assert (0 if guided else 0.25) < found < 0.75, sample.id
                all_found.append(found)
        assert 0.25 < sum(all_found) / COUNT < 0.75
    saved = {sample.id: 1 - bits[True, sample.id] / bits[False, sample.id] for sample in samples}
    assert saved.pop("s7") == 0
    assert min(saved.values()) > 0 and sum(saved.values()) > 0.15 * len(saved), saved


def test_tokens_have_steps_of_their_own(tmp_path: Path) -> None:
    felt = torch.exp2(3 * _noise(TOKENS, seed=5))
    felt /= felt.mean()

    def by_token(sample: str, features: Features) -> Callable[[Features], float]:
        def of_sample(decoded: Features) -> float:
            errors = [(features[name] - decoded[name]) @ WEIGHT[name].T for name in WIDTHS]
            return float((felt * torch.cat(errors, 1).square().sum(1)).mean() / 2)

        return of_sample

    def draw(sample: str, features: Features) -> Callable[[], Features] | None:
        generator = torch.Generator().manual_seed(1)

        def of_sample() -> Features:
            signs = {name: torch.randn(TOKENS, width, generator=generator) for name, width in WIDTHS.items()}
            return {name: felt.sqrt()[:, None] * sign @ WEIGHT[name] for name, sign in signs.items()}

        return of_sample if sample != "s7" else None

    samples = _samples()
    bits = {}
    for name, options in (("plain", {}), ("gains", {"draw": draw})):
        with lamofc.open(str(tmp_path / name), "a") as store:
            store.ingest(samples, groups=("{k,v}",), measure=by_token, **options, **OPTIONS)
            rows = store.sql(
                "SELECT sample, sum(stored_bits), sum(measured_kl) FROM records GROUP BY sample"
            ).fetchall()
            for sample, stored, measured in rows:
                bits[name, sample] = stored
                features = samples[int(sample[1:])].features
                assert measured == pytest.approx(by_token(sample, features)(store.tensors(sample)), rel=0.01)
    saved = {sample.id: 1 - bits["gains", sample.id] / bits["plain", sample.id] for sample in samples}
    assert saved.pop("s7") == 0
    assert min(saved.values()) >= 0 and sum(saved.values()) > 0.2 * len(saved), saved


def test_fewer_layers_are_read_by_what_is_foretold(tmp_path: Path) -> None:
    samples = _samples()
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(samples, groups=("{k,v}",), measure=measure, guide=gradient, **OPTIONS)
        rows = "SELECT weighted_layers, nats_per_error, measured_kl, weighted_sse FROM records WHERE sample = 's1'"
        layers, nats, measured, error = store.sql(rows).fetchall()[0]
        at_last = layers[-1] * measured / error
        assert nats * layers[-1] > 2 * at_last
        whole = store.tensors("s1")
        for wanted in (1.01 * at_last, 0.9 * nats * min(layers[:-1])):
            assert all(
                torch.equal(store.tensors("s1", quality=Quality(kl=wanted))[name], whole[name]) for name in whole
            )
        coarse = store.tensors("s1", quality=Quality(kl=1.1 * nats * min(layers[:-1])))
        assert not torch.equal(coarse["k"], whole["k"])


def test_a_guide_knows_every_feature(tmp_path: Path) -> None:
    samples = [Sample(f"s{number}", _features(number)) for number in range(COUNT)]
    options = {**OPTIONS, "codec_options": {**OPTIONS["codec_options"], "weight": {**WEIGHT, "other": torch.eye(20)}}}
    with (
        lamofc.open(str(tmp_path / "s"), "a") as store,
        pytest.raises(BadArgument, match=r"the guide gives no gradient by \['other'\]"),
    ):
        store.ingest(samples, groups=("{k,v,other}",), measure=measure, guide=gradient, **options)


def test_a_guide_of_other_shapes_is_no_reason_to_measure_nothing(tmp_path: Path) -> None:
    def wide(sample: str, features: Features) -> Callable[[Features], Features]:
        return lambda decoded: {name: torch.ones(TOKENS, width + 1) for name, width in WIDTHS.items()}

    with (
        lamofc.open(str(tmp_path / "s"), "a") as store,
        pytest.raises(UnsupportedInput, match="return one for each tensor, of its shape"),
    ):
        store.ingest(_samples(), groups=("{k,v}",), measure=measure, guide=wide, **OPTIONS)


def test_a_sample_that_cannot_be_guided_is_coded_as_foretold(tmp_path: Path) -> None:
    samples = _samples()
    samples[5] = Sample("s5", samples[5].features, first_positions=dict.fromkeys(WIDTHS, 3))

    def refused(sample: str, features: Features) -> Callable[[Features], float]:
        if sample == "s4":
            raise UnsupportedInput("no text of it", "give its text")
        return measure(sample, features) if sample != "s3" else lambda decoded: float("nan")

    with lamofc.open(str(tmp_path / "s"), "a") as store:
        report = store.ingest(samples, groups=("{k,v}",), measure=refused, guide=gradient, **OPTIONS)
        (warning,) = report.warnings
        assert warning.startswith("3 of 8 samples are coded as foretold, such as 's3'")
        rows = "SELECT DISTINCT sample FROM records WHERE measured_kl IS NULL ORDER BY sample"
        assert store.sql(rows).fetchall() == [("s3",), ("s4",), ("s5",)]


def test_guided_samples_share_no_record(tmp_path: Path) -> None:
    samples = _samples()[:4]
    records = {}
    for guided in (False, True):
        told: dict[str, Any] = {"measure": measure, "guide": gradient} if guided else {}
        with lamofc.open(str(tmp_path / f"{guided}"), "a") as store:
            store.ingest(samples, block=64, **told, **OPTIONS)
            rows = "SELECT count(DISTINCT (segment, record)), count(measured_kl) FROM records"
            records[guided] = store.sql(rows).fetchall()[0]
            for sample in samples:
                errors = "SELECT feature, sse FROM records WHERE sample = ?"
                for feature, sse in store.sql(errors, [sample.id]).fetchall():
                    found = store[sample.id, feature] - sample.features[feature]
                    assert sse == pytest.approx(float(found.double().square().sum()), rel=1e-4)
    assert records[True] == (8, 8) and records[False][0] < 8 and records[False][1] == 0


@pytest.mark.parametrize("name", ["guide", "draw"])
def test_gradients_need_a_measure(tmp_path: Path, name: str) -> None:
    with lamofc.open(str(tmp_path / "s"), "a") as store, pytest.raises(BadArgument, match=f"{name}= without measure="):
        store.ingest([Sample("s", _features(0))], **{name: gradient}, **OPTIONS)
