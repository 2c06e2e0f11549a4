"""Answers of the rest of a model to coded features, against answers computed in one pass."""

from pathlib import Path

import pytest
import torch

from lamofc_store.errors import BadArgument, NotFound
from lamofc_tools.consumer import FidelityMeter, Split, cut_passages, measure_metric
from lamofc_tools.consumer.answers import AnswerSums
from lamofc_tools.models import Features, LoadedModel, ModelInput, open_model
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


def test_unchanged_features_lose_nothing(opened: LoadedModel, texts: list[ModelInput]) -> None:
    passages = cut_passages(opened, texts, 16, 6)
    assert list(passages.ids) == [f"text {number}" for number in range(2, 7)]
    meter = FidelityMeter(Split(opened, 1), passages, batch=2)
    fidelity = meter.measure(lambda name, features: features)
    for part, positions in ((fidelity.prefix, 16), (fidelity.continuation, 6)):
        assert part.top1 == 1 and abs(part.kl) < 1e-6 and part.positions == 5 * positions
        assert part.perplexity == pytest.approx(part.unbroken_perplexity, rel=1e-5)
    ids = torch.stack(list(passages.ids.values()))
    with torch.no_grad():
        logs = opened.model(input_ids=ids).logits.log_softmax(-1)
    losses = -logs[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    assert fidelity.prefix.unbroken_perplexity == pytest.approx(losses[:, :16].mean().exp().item(), rel=1e-4)
    assert fidelity.continuation.unbroken_perplexity == pytest.approx(losses[:, 16:].mean().exp().item(), rel=1e-4)


def test_fewer_positions_and_answers_computed_twice_give_the_same(
    opened: LoadedModel, texts: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    passages, split = cut_passages(opened, texts, 16, 6), Split(opened, 1)
    noise = torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(0))

    def noisy(name: str, features: Features) -> Features:
        return {"layer.1.output": features["layer.1.output"] + noise}

    whole = FidelityMeter(split, passages).measure(noisy)
    assert whole.prefix.kl > 0.01 and whole.prefix.top1 < 1
    some = FidelityMeter(split, passages, every=5).measure(noisy)
    assert some.prefix.positions == 5 * 3 and some.continuation == whole.continuation
    one = FidelityMeter(split, passages, every=100).measure(noisy)
    assert one.prefix.positions == 5 and one.continuation == whole.continuation
    monkeypatch.setattr("lamofc_tools.consumer.answers.fidelity._MOST_BYTES_OF_ANSWERS", 0)
    monkeypatch.setattr("lamofc_tools.consumer.decoder.split._LOGITS_AT_ONCE", 64)
    again = FidelityMeter(split, passages).measure(noisy)
    assert again.prefix.kl == pytest.approx(whole.prefix.kl, rel=1e-5)
    assert again.prefix.perplexity == pytest.approx(whole.prefix.perplexity, rel=1e-5)


def test_texts_of_several_lengths_are_compared_as_each_length_alone(
    opened: LoadedModel, texts: list[ModelInput]
) -> None:
    split, noise = Split(opened, 1), torch.randn(1, 20, 32, generator=torch.Generator().manual_seed(0))
    groups = [cut_passages(opened, texts[:3], 12, 8), cut_passages(opened, texts[3:], 16, 6)]
    seen: list[int] = []

    def noisy(name: str, features: Features) -> Features:
        return {"layer.1.output": features["layer.1.output"] + noise[:, : features["layer.1.output"].shape[1]]}

    both = FidelityMeter(split, groups, batch=2, progress=seen.append).measure(noisy)
    assert seen == [2, 1, 2, 2]
    alone = [FidelityMeter(split, group).measure(noisy) for group in groups]
    for part in ("prefix", "continuation"):
        whole, parts = getattr(both, part), [getattr(fidelity, part) for fidelity in alone]
        assert whole.positions == sum(found.positions for found in parts)
        for name in ("kl", "top1"):
            mean = sum(getattr(found, name) * found.positions for found in parts) / whole.positions
            assert getattr(whole, name) == pytest.approx(mean, rel=1e-5)


def test_the_likeliest_tokens_follow_one_another(opened: LoadedModel, texts: list[ModelInput]) -> None:
    split, ids = Split(opened, 1), cut_passages(opened, texts, 14, 6).batch(["text 0", "text 3"])
    with torch.no_grad():
        hidden, cache = split.begin(ids)
        found = split.likeliest(hidden[:, -1], cache, 5)
        whole = torch.cat([ids, found], 1)
        assert torch.equal(opened.model(input_ids=whole).logits.argmax(-1)[:, 19:-1], found)


def test_caches_are_felt_by_the_continuation_alone(opened: LoadedModel, texts: list[ModelInput]) -> None:
    meter = FidelityMeter(Split(opened, 1), cut_passages(opened, texts, 16, 6))
    noisy = {
        name: {feature: x + 0.5 * torch.randn_like(x) for feature, x in features.items() if "cache" in feature}
        for name, features in meter.features.items()
    }
    fidelity = meter.measure(noisy)
    assert fidelity.prefix.kl == pytest.approx(0, abs=1e-6)
    assert fidelity.continuation.kl > 1e-4
    with pytest.raises(NotFound, match="of 'text 2' among 0 texts"):
        meter.measure({})


def test_splits_that_answer_nothing_are_refused(opened: LoadedModel, texts: list[ModelInput], tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="whose last one is 3"):
        Split(opened, 3)
    with pytest.raises(BadArgument, match="2 ids are those of several texts, such as 'text 0'"):
        cut_passages(opened, [*texts, *texts[:2]], 12, 8)
    with pytest.raises(BadArgument, match="0 labels of 1 texts at once"):
        measure_metric(opened, cut_passages(opened, texts, 12, 8), 1, draws=0)
    with pytest.raises(BadArgument, match="no text of 46 tokens: the longest of 7 has 26"):
        cut_passages(opened, texts, 40, 6)
    mamba = open_model(tiny_models.language(tmp_path / "mamba", "falconmamba"))
    with pytest.raises(BadArgument, match="falcon_mamba, which keeps no keys"):
        Split(mamba, 1)


def test_a_prefix_longer_than_the_window_is_refused(texts: list[ModelInput], tmp_path: Path) -> None:
    opened = open_model(tiny_models.language(tmp_path / "gemma3", "gemma3"))
    long = ModelInput("long", Path(), " ".join([texts[0].text] * 5))
    meter = FidelityMeter(Split(opened, 1), cut_passages(opened, [long], 80, 6))
    with pytest.raises(BadArgument, match="keeps keys of 63 tokens, and the prefix has 80"):
        meter.measure({})


def test_answers_of_some_tokens_are_those_among_all(opened: LoadedModel) -> None:
    split = Split(opened, 1)
    hidden = torch.randn(3, opened.config.hidden_size, generator=torch.Generator().manual_seed(0))
    some = torch.tensor([7, 2, 11])
    with torch.no_grad():
        torch.testing.assert_close(split.logits(hidden, some), split.logits(hidden)[:, some])


def test_classes_that_a_model_leaves_out_do_not_count() -> None:
    sums = AnswerSums()
    wanted, found = (torch.tensor([[one, 1.0, -torch.inf]]).log_softmax(-1) for one in (0.0, 0.1))
    sums.compare(wanted, found)
    kept = (answers[:, :2] for answers in (wanted, found))
    assert sums.kl == pytest.approx(
        float(torch.nn.functional.kl_div(*reversed([*kept]), log_target=True, reduction="sum"))
    )
