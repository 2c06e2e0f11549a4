"""The metric of the rest of a model: it foretells divergences, adds up, and survives a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lamofc_codecs import Rotary
from lamofc_store.errors import BadArgument, NotFound, SourceError
from lamofc_tools.consumer import (
    Consumer,
    FidelityMeter,
    ModelMetric,
    Split,
    cut_passages,
    find_rotary,
    measure_metric,
    measure_metric_of_features,
    usual_passages,
)
from lamofc_tools.models import LoadedModel, ModelInput

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


def test_the_metric_foretells_the_divergence_of_small_errors(opened: LoadedModel, texts: list[ModelInput]) -> None:
    """Errors of one feature that are as large in every token but the first."""
    passages = cut_passages(opened, texts, 12, 8)
    many = measure_metric(opened, passages, 1, draws=8) + measure_metric(opened, passages, 1, seed=1, batch=4, draws=8)
    split = Split(opened, 1)
    assert many.consumer == split.consumer and many.tokens == 2 * 7 * 11 and many.positions == 2 * 7 * 24
    meter, rotary = FidelityMeter(split, passages), find_rotary(opened)
    draw = torch.Generator().manual_seed(0)
    for feature in ("layer.1.output", "layer.0.k_cache", "layer.1.v_cache"):
        foretold, decoded = [], {}
        for name, original in meter.features.items():
            noise = torch.randn(original[feature].shape, generator=draw) * 0.1
            noise[..., 0, :] = 0
            decoded[name] = {feature: original[feature] + noise}
            rows = noise[0] if noise.dim() == 3 else noise[0].transpose(0, 1).flatten(1)
            plain = rotary[feature].turned(rows, back=True) if feature in rotary else rows
            foretold.append(many.divergence({feature: plain[1:]}))
        fidelity = meter.measure(decoded)
        measured = (fidelity.prefix.kl + fidelity.continuation.kl) / 2
        assert measured == pytest.approx(sum(foretold) / len(foretold), rel=0.5), feature


def test_a_metric_is_the_same_however_it_is_measured(opened: LoadedModel, texts: list[ModelInput]) -> None:
    passages = cut_passages(opened, texts, 12, 8)
    one, other = (measure_metric(opened, passages, 1, seed=5, batch=batch) for batch in (1, 3))
    for name, matrix in one.matrices.items():
        torch.testing.assert_close(matrix, other.matrices[name], rtol=1e-3, atol=1e-4 * float(matrix.abs().max()))
        assert matrix.trace() > 0
    with torch.no_grad():
        again = measure_metric(opened, passages, 1, seed=5)
    assert again.digest == one.digest != measure_metric(opened, passages, 1, seed=6).digest
    assert set(one.matrices) == {"layer.1.output", *(f"layer.{block}.{kv}_cache" for block in (0, 1) for kv in "kv")}
    assert measure_metric(opened, passages, 1, sink_ratio=1.0).tokens < one.tokens
    with pytest.raises(BadArgument, match=r"sink_ratio=0\.0 leaves no token"):
        measure_metric(opened, passages, 1, sink_ratio=0.0)


def made(consumer: str, features: dict[str, float], tokens: int) -> ModelMetric:
    return ModelMetric(consumer, {name: size * torch.eye(2) for name, size in features.items()}, tokens, 2 * tokens)


def test_metrics_are_pooled_by_tokens() -> None:
    both = made("m@1", {"a": 1.0, "b": 4.0}, 30) + made("n@1", {"a": 5.0}, 10) + made("m@1", {"a": 2.0, "b": 3.0}, 40)
    assert both.consumer == "m@1 + n@1" and (both.tokens, both.positions) == (80, 160)
    torch.testing.assert_close(both.matrices["a"], 2.0 * torch.eye(2))
    torch.testing.assert_close(both.matrices["b"], 3.0 * torch.eye(2))
    assert both.divergence({"a": torch.ones(5, 2)}) == pytest.approx(2 * 2 / 2 * 80 / 160)
    root = both.weights(floor=0.125)["a"]
    torch.testing.assert_close(root @ root.T, 2.25 * torch.eye(2, dtype=torch.float64))
    wider = ModelMetric("w@1", {"a": torch.eye(3)}, 1, 1)
    with pytest.raises(BadArgument, match="'a' has 2 channels for m@1, and 3 for w@1"):
        made("m@1", {"a": 1.0}, 1) + wider


def test_consumers_of_one_key_rotate_it_alike_but_for_rounding() -> None:
    def rotated(frequency: float) -> ModelMetric:
        return ModelMetric("m@1", {"k": torch.eye(2)}, 1, 2, {"k": Rotary((frequency,), "halves")})

    rounded = float(torch.tensor(0.1, dtype=torch.float32))
    assert (rotated(0.1) + rotated(rounded)).rotary == rotated(0.1).rotary
    with pytest.raises(BadArgument, match="'k' is rotated otherwise for m@1 than for m@1"):
        rotated(0.1) + rotated(0.2)
    measured: list[str] = []
    unlike = [replace(Consumer.of_metric(rotated(one)), measure=lambda: measured.append("")) for one in (0.1, 0.2)]
    with pytest.raises(BadArgument, match="'k' is rotated otherwise"):
        Consumer.pooled(unlike)
    assert not measured


def test_a_metric_survives_a_file(tmp_path: Path) -> None:
    metric = made("m@1", {"a": 1.0, "b": 4.0}, 30)
    metric.save(tmp_path / "metric.safetensors")
    loaded = ModelMetric.load(tmp_path / "metric.safetensors")
    assert loaded.digest == metric.digest and loaded.consumer == "m@1" and loaded.positions == 60
    (tmp_path / "no").write_text("no")
    with pytest.raises(SourceError, match="holds no metric"):
        ModelMetric.load(tmp_path / "no")


def test_answers_without_likelihood_have_no_nats(tmp_path: Path) -> None:
    moved = ModelMetric("v@1", {"a": torch.eye(2)}, 30, 0)
    moved.save(tmp_path / "metric.safetensors")
    loaded = ModelMetric.load(tmp_path / "metric.safetensors")
    assert loaded.nats is None and (loaded + moved).nats is None
    assert loaded.relative_change({"a": torch.ones(5, 2)}) == 2
    likely = made("m@1", {"a": 1.0}, 30)
    with pytest.raises(BadArgument, match="v@1 have no likelihood"):
        moved.divergence({"a": torch.ones(5, 2)})
    with pytest.raises(BadArgument, match="m@1 are probabilities"):
        likely.relative_change({"a": torch.ones(5, 2)})
    with pytest.raises(BadArgument, match="m@1 and v@1: the answers of one have a likelihood"):
        likely + moved


def test_features_without_their_texts_tell_the_same(opened: LoadedModel, texts: list[ModelInput]) -> None:
    """The model's own continuations stand for those of the texts; samples have lengths of their own."""
    split = Split(opened, 1)
    samples = [(text.id, split.features(opened.inputs([text])["input_ids"])[0]) for text in texts]
    metric = measure_metric_of_features(opened, samples, 1, prefix=24, continuation=8, draws=8)
    tokens = sum(min(24, 20 + number) for number in range(7))
    assert (metric.tokens, metric.positions) == (tokens - 7, 2 * tokens)
    assert metric.rotary == {name: found for name, found in find_rotary(opened).items() if name in metric.matrices}
    wanted = measure_metric(opened, cut_passages(opened, texts, 12, 8), 1, draws=8)
    for name, matrix in wanted.matrices.items():
        assert float(metric.matrices[name].trace()) == pytest.approx(float(matrix.trace()), rel=0.5), name
    hidden = [(name, {"layer.1.output": features["layer.1.output"].bfloat16()}) for name, features in samples]
    alone = measure_metric_of_features(opened, hidden, 1)
    assert list(alone.matrices) == ["layer.1.output"] and alone.positions == sum(20 + number for number in range(7))


def test_features_that_the_model_cannot_read_are_named(opened: LoadedModel, texts: list[ModelInput]) -> None:
    split = Split(opened, 1)
    (features,) = split.features(opened.inputs(texts[:1])["input_ids"])
    lacking = {name: value for name, value in features.items() if name != "layer.0.v_cache"}
    with pytest.raises(NotFound, match=r"no 'layer\.0\.v_cache' to put back"):
        split.prefix_of(lacking, 9)
    with pytest.raises(BadArgument, match=r"'layer\.1\.output' is 1 x 20 x 31; .* has 1 x tokens x 32 there"):
        split.prefix_of({**features, "layer.1.output": features["layer.1.output"][..., 1:]}, 9)
    late = {**features, "layer.0.k_cache": features["layer.0.k_cache"][:, :, 1:]}
    assert split.is_whole({**features, "other": torch.ones(3, 3)}) and not split.is_whole(late)
    with pytest.raises(BadArgument, match="features of 19 and of 20 tokens"):
        split.prefix_of(late, 9)
    with pytest.raises(BadArgument, match="no text from which to learn"):
        measure_metric_of_features(opened, [], 1)


def test_texts_of_several_lengths_are_cut_to_one_that_most_have(
    opened: LoadedModel, texts: list[ModelInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadArgument, match=r"0 texts of 32 tokens or more \(of 7, the longest of 26\) tell too little"):
        usual_passages(opened, texts)
    monkeypatch.setattr("lamofc_tools.consumer.decoder.passages._FEWEST_TEXTS", 2)
    monkeypatch.setattr("lamofc_tools.consumer.decoder.passages._FEWEST_TOKENS", 21)
    passages = usual_passages(opened, texts)
    assert list(passages.ids) == [f"text {number}" for number in range(3, 7)]
    assert (passages.prefix, passages.length) == (18, 23)
    assert list(usual_passages(opened, texts, 3).ids) == ["text 2", "text 3"]
    monkeypatch.setattr("lamofc_tools.consumer.decoder.passages._FEWEST_TOKENS", 25)
    assert list(usual_passages(opened, texts).ids) == ["text 5", "text 6"]  # the others are short, which is no matter
    long = [ModelInput(text.id, text.path, " ".join([text.text] * 5)) for text in texts]
    assert usual_passages(opened, long).prefix == (63 if opened.config.model_type == "gemma3_text" else 88)


@pytest.mark.parametrize(
    ("changed", "matrix", "said"),
    [
        ([], torch.eye(3), "lacks one of consumer, tokens, positions"),
        ({"rotary": []}, torch.eye(3), "its rotary is"),
        ({"tokens": "8"}, torch.eye(3), "lacks one of"),
        ({"tokens": 0}, torch.eye(3), "0 tokens"),
        ({"consumer": 3}, torch.eye(3), "lacks one of"),
        ({}, torch.ones(3, 5), r"not a square matrix"),
        ({}, torch.ones(3), r"not a square matrix"),
        ({}, torch.eye(3, dtype=torch.int32), r"not a square matrix"),
        ({}, torch.eye(3) * torch.nan, "not finite"),
        ({}, -torch.eye(3), "negative squares"),
        ({}, torch.eye(3) + torch.triu(torch.ones(3, 3), 1), "not symmetric"),
    ],
)
def test_files_of_anything_else_are_refused(changed: Any, matrix: torch.Tensor, said: str, tmp_path: Path) -> None:
    about = {"consumer": "a@1", "tokens": 8, "positions": 16, "rotary": {}}
    header = {**about, **changed} if isinstance(changed, dict) else changed
    save_file({"x": matrix}, tmp_path / "metric", {"model_metric": json.dumps(header)})
    with pytest.raises(SourceError, match=said):
        ModelMetric.load(tmp_path / "metric")


def test_a_file_of_an_earlier_version_has_no_rotations(tmp_path: Path) -> None:
    about = {"consumer": "a@1", "tokens": 8, "positions": 16}
    save_file({"x": torch.eye(3)}, tmp_path / "metric", {"model_metric": json.dumps(about)})
    loaded = ModelMetric.load(tmp_path / "metric")
    assert loaded.rotary == {} and loaded.consumer_digest is None and loaded.tokens == 8
