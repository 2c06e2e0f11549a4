"""Replay: the divergence of a model's answers to decoded features of a text, which the model continues by itself."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer import Consumer, ModelMetric, SharedReplay, Split, StateSpaceSplit, TextReplay, cut_passages
from lamofc_tools.consumer.replay import UnbrokenText
from lamofc_tools.models import LoadedModel, ModelInput, open_model
from tests.tools.consumer.noise import stir
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


@pytest.fixture
def features(opened: LoadedModel, texts: list[ModelInput]) -> dict[str, torch.Tensor]:
    ids = next(iter(cut_passages(opened, texts, 12, 8).ids.values()))
    return Split(opened, 1).features(ids[None, :12])[0]


def check_slopes(text: UnbrokenText, moved: dict[str, torch.Tensor], gradient: dict[str, torch.Tensor]) -> None:
    """Assert that a gradient foretells how the divergence changes with a small step of each feature."""
    for name, slope in gradient.items():
        assert slope.shape == moved[name].shape and slope.dtype == torch.float32
        step = 0.02 * moved[name].std() * slope / slope.abs().max()
        rise = text.divergence({**moved, name: moved[name] + step}) - text.divergence(
            {**moved, name: moved[name] - step}
        )
        assert rise == pytest.approx(float(2 * (slope * step).sum()), rel=0.05), name


def test_errors_of_every_feature_are_felt(opened: LoadedModel, features: dict[str, torch.Tensor]) -> None:
    measure = TextReplay(Split(opened, 1), 8)("text", features)
    assert measure is not None and 0 <= measure(features) < 1e-5 and 0 <= measure({}) < 1e-5
    for name, value in features.items():
        small, large = (measure({name: value + size * value.std() * torch.randn(value.shape)}) for size in (0.1, 1.0))
        assert 0 < small < large, name
    again = TextReplay(Split(opened, 1), 8)("text", features)
    moved = {name: value * 1.1 for name, value in features.items()}
    assert again is not None and again(moved) == measure(moved)


def test_a_continuation_has_tokens(opened: LoadedModel) -> None:
    with pytest.raises(BadArgument, match="a continuation of 0 tokens"):
        TextReplay(Split(opened, 1), 0)


def test_samples_that_cannot_be_read_have_no_measure(opened: LoadedModel, features: dict[str, torch.Tensor]) -> None:
    replay, output = TextReplay(Split(opened, 1), 8), Split(opened, 1).output
    cache = next(name for name in features if name != output)
    for name, value in (
        (output, features[output] * torch.nan),
        (output, features[output][:, :0]),
        (output, features[output].expand(2, -1, -1)),
        (cache, features[cache][:, :, 1:]),
    ):
        assert replay("text", {**features, name: value}) is None
    for left_out in (output, cache):
        assert replay("text", {name: value for name, value in features.items() if name != left_out}) is None
    assert replay("text", {output: features[output], "other": torch.ones(3)}) is not None  # the hidden state alone


def test_a_gradient_is_that_of_the_divergence(
    opened: LoadedModel, texts: list[ModelInput], features: dict[str, torch.Tensor]
) -> None:
    ids = next(iter(cut_passages(opened, texts, 12, 8).ids.values()))
    text = UnbrokenText.of(Split(opened, 1), features, ids[None])
    generator = torch.Generator().manual_seed(2)
    moved = {
        name: value + 0.3 * value.std() * torch.randn(value.shape, generator=generator)
        for name, value in features.items()
    }
    with torch.no_grad():
        gradient = text.gradient(moved)
    assert text.gradient({"other": torch.ones(3)}) == {}
    assert list(gradient) == list(moved)
    check_slopes(text, moved, gradient)


def test_draws_foretell_the_divergence_of_small_errors(
    opened: LoadedModel, texts: list[ModelInput], features: dict[str, torch.Tensor]
) -> None:
    ids = next(iter(cut_passages(opened, texts, 12, 8).ids.values()))
    text, generator = UnbrokenText.of(Split(opened, 1), features, ids[None]), torch.Generator().manual_seed(2)
    errors = {
        name: 0.02 * value.std() * torch.randn(value.shape, generator=generator) for name, value in features.items()
    }
    found = text.divergence({name: value + errors[name] for name, value in features.items()})
    draws = [text.draw(generator) for _ in range(150)]
    along = [sum(float((slope * errors[name]).sum()) for name, slope in draw.items()) for draw in draws]
    assert sum(one**2 for one in along) / len(along) / 2 == pytest.approx(found, rel=0.4)


def test_draws_are_other_ones_each_time(opened: LoadedModel, features: dict[str, torch.Tensor]) -> None:
    replays = [TextReplay(Split(opened, 1), 8) for _ in range(2)]
    (draw, again), shared = (replay.draws("text", features) for replay in replays), SharedReplay([replays[0]] * 2)
    both = shared.draws("text", features)
    assert draw is not None and again is not None and both is not None
    first, second = draw(), draw()
    assert set(first) == set(features)
    for name, value in again().items():
        assert torch.equal(first[name], value) and not torch.equal(first[name], second[name])
        assert value.shape == features[name].shape and torch.isfinite(value).all()
    twice = both(), both(), both()
    assert all(torch.equal(one, other) for one, other in zip(twice[0].values(), twice[1].values(), strict=True))
    assert all(torch.equal(twice[2][name], second[name]) for name in second)
    assert replays[0].draws("text", {"other": torch.ones(3)}) is None


def test_likely_tokens_are_enough_to_guide(
    opened: LoadedModel, texts: list[ModelInput], features: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = next(iter(cut_passages(opened, texts, 12, 8).ids.values()))
    moved = {name: value + 0.3 * value.std() * torch.ones(value.shape) for name, value in features.items()}
    text = UnbrokenText.of(Split(opened, 1), features, ids[None])
    monkeypatch.setattr("lamofc_tools.consumer.replay._LIKELIEST", 12)
    tokens = text.likeliest_tokens()
    assert 12 <= len(tokens) < opened.config.vocab_size
    whole, some = text.gradient(moved), text.gradient(moved, tokens=tokens)
    for name, slope in whole.items():
        assert not torch.equal(some[name], slope)
        assert torch.cosine_similarity(some[name].flatten(), slope.flatten(), 0) > 0.9, name


def test_a_gradient_looks_at_other_answers_each_time(opened: LoadedModel, features: dict[str, torch.Tensor]) -> None:
    replay = TextReplay(Split(opened, 1), 8)
    gradient, again = (replay.gradient("text", features) for _ in range(2))
    assert gradient is not None and again is not None
    moved = {name: value * 1.1 for name, value in features.items()}
    first, second = gradient(moved), gradient(moved)
    assert all(torch.equal(first[name], value) for name, value in again(moved).items())
    assert not any(torch.equal(first[name], second[name]) for name in moved)
    assert replay.gradient("text", {"other": torch.ones(3)}) is None


def test_a_sample_goes_to_the_device_once_for_its_measure_and_its_gradient(
    opened: LoadedModel, features: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    prefix_of = Split.prefix_of

    def counted(split: Split, sample: dict[str, torch.Tensor], tokens: int) -> dict[str, torch.Tensor]:
        moved.extend(sample)
        return prefix_of(split, sample, tokens)

    monkeypatch.setattr(Split, "prefix_of", counted)
    replay = TextReplay(Split(opened, 1), 8)
    assert replay("text", features) is not None and replay.gradient("text", features) is not None
    assert sorted(moved) == sorted(features)
    for sample, known in (("other", features), ("other", dict(features))):
        moved.clear()
        assert replay.gradient(sample, known) is not None and replay(sample, known) is not None
        assert sorted(moved) == sorted(features)


def test_states_are_felt_by_the_continuation(texts: list[ModelInput], tmp_path: Path) -> None:
    loaded = open_model(tiny_models.language(tmp_path / "mamba", "falconmamba"), dtype="float32")
    stir(loaded.model)
    split, ids = StateSpaceSplit(loaded, 1), next(iter(cut_passages(loaded, texts, 12, 8).ids.values()))
    features, replay = split.features(ids[None, :12])[0], TextReplay(split, 6)
    measure = replay("text", features)
    assert measure is not None and 0 <= measure(features) < 1e-5
    assert set(features) == {
        "layer.1.output",
        *(f"layer.{block}.{kind}_state" for block in (0, 1) for kind in ("ssm", "conv")),
    }
    for name, value in features.items():
        small, large = (measure({name: value + size * value.std() * torch.randn(value.shape)}) for size in (0.1, 1.0))
        assert 0 < small < large, name
    moved = {name: value + 0.3 * value.std() * torch.ones(value.shape) for name, value in features.items()}
    slopes, draws = replay.gradient("text", features), replay.draws("text", features)
    assert slopes is not None and draws is not None
    for found in (slopes(moved), draws()):
        assert set(found) == set(features)
        assert all(bool(torch.isfinite(value).all()) and float(value.abs().max()) > 0 for value in found.values())
    text = UnbrokenText.of(split, features, ids[None])
    check_slopes(text, moved, text.gradient(moved))
    assert replay("text", {name: value for name, value in features.items() if "conv" not in name}) is None
    assert replay("text", {**features, "layer.0.ssm_state": features["layer.0.ssm_state"][:, 1:]}) is None


@pytest.mark.parametrize("tokens", [1, 2, 3, 5])
def test_texts_of_few_tokens_are_felt_at_every_step(
    opened: LoadedModel, features: dict[str, torch.Tensor], tokens: int
) -> None:
    few = Split(opened, 1).prefix_of(features, tokens)
    replay = TextReplay(Split(opened, 1), 4)
    gradient, draw = replay.gradient("text", few), replay.draws("text", few)
    assert gradient is not None and draw is not None
    for _ in range(5):
        for found in (gradient({name: value * 1.1 for name, value in few.items()}), draw()):
            assert all(bool(torch.isfinite(value).all()) for value in found.values())
            assert any(float(value.abs().max()) > 0 for value in found.values())


def test_a_text_is_measured_by_another_continuation_than_it_is_guided_by(
    opened: LoadedModel, features: dict[str, torch.Tensor]
) -> None:
    text = TextReplay(Split(opened, 1), 8).open("text", features)
    assert text is not None
    measured, guiding = text._measured.ids, [guide.ids for guide in text._guiding]
    assert len(guiding) == 12 and not any(torch.equal(measured, ids) for ids in guiding)


def test_values_beyond_the_models_dtype_are_not_read(tmp_path: Path) -> None:
    loaded = open_model(tiny_models.language(tmp_path / "llama", "llama"), dtype="float16")
    found = Split(loaded, 1).features(torch.ones(1, 6, dtype=torch.int64))[0]
    known = {name: value.float() for name, value in found.items()}
    assert TextReplay(Split(loaded, 1), 4).open("text", known) is not None
    known["layer.1.output"][0, 0, 0] = 1e5
    assert TextReplay(Split(loaded, 1), 4).open("text", known) is None


def test_several_models_count_alike(opened: LoadedModel, features: dict[str, torch.Tensor]) -> None:
    known = {**features, "layer.2.output": features["layer.1.output"]}
    known |= {name.replace("1", "2"): value for name, value in features.items() if name.startswith("layer.1.")}
    replays = [TextReplay(Split(opened, block), 8) for block in (1, 2)]
    decoded = {name: value + 0.3 * torch.randn(value.shape) for name, value in known.items()}
    one, other, both = (replay("text", known) for replay in (*replays, SharedReplay(replays)))
    assert one is not None and other is not None and both is not None
    assert both(decoded) == pytest.approx((one(decoded) + other(decoded)) / 2)
    assert SharedReplay(replays)("text", features) is None  # the second lacks its own
    one_slope, other_slope, slope = (replay.gradient("text", known) for replay in (*replays, SharedReplay(replays)))
    assert one_slope is not None and other_slope is not None and slope is not None
    first, second, mean = one_slope(decoded), other_slope(decoded), slope(decoded)
    assert set(mean) == set(known) and set(first) == set(features)
    for name, value in mean.items():
        zero = torch.zeros_like(value)
        torch.testing.assert_close(value, (first.get(name, zero) + second.get(name, zero)) / 2)
    assert SharedReplay(replays).gradient("text", features) is None


def test_answers_that_cannot_be_replayed_are_named(opened: LoadedModel, texts: list[ModelInput]) -> None:
    metric = ModelMetric("llama@1", {"a": torch.eye(2)}, 8, 16)
    with pytest.raises(BadArgument, match="llama@1 cannot be replayed: a metric in a file has no model"):
        Consumer.of_metric(metric).replayed()
    with pytest.raises(BadArgument, match="llama@1 cannot be replayed: they have no likelihood"):
        Consumer.of_metric(replace(metric, positions=0)).replayed()
