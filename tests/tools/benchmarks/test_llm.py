"""Coders of the features of a tiny language model: bytes decode to what was coded, and rows say what it cost."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from lamofc_codecs import Rotary, Sizes, UnsupportedInput
from lamofc_tools.benchmarks.learning import llm
from lamofc_tools.benchmarks.learning.peers import coders
from lamofc_tools.benchmarks.learning.peers.ablations import ablations
from lamofc_tools.benchmarks.learning.peers.feature_coder import (
    FeatureCoder,
    ModelFacts,
    pack_levels,
    unpack_levels,
)
from lamofc_tools.benchmarks.learning.peers.hyperprior import Hyperprior, Trainings
from lamofc_tools.benchmarks.learning.peers.kvtc_budget import allot_bits
from lamofc_tools.benchmarks.learning.peers.scaled_tokens import Int8
from lamofc_tools.benchmarks.learning.peers.turboquant import gaussian_levels
from lamofc_tools.benchmarks.learning.replayed import swept_model
from lamofc_tools.consumer import ModelMetric, Passages
from tests.tools.benchmarks.felt_errors import SPREADS, TOKENS, Felt
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here

ROTARY = Rotary((1.0, 0.1, 0.01, 0.001), "halves", 2)
WORST_SHARE = {
    "kivi 2 bits": 0.25,
    "kvtc 4 bits, 4+0 raw": 0.2,
    "kvtc 2 bits, 4+0 raw": 0.8,
    "turboquant 2 bits": 0.2,
    "kvtc 1 bits, 4+0 raw": 0.9,
    **{f"klt for model kl={kl:g}": 0.9 for kl in (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)},
    **{f"klt by replay kl={kl:g}": 0.9 for kl in (0.1, 0.05, 0.02, 0.01, 0.005)},
    **{f"klt {how} kl={kl:g}": 0.9 for how in ("with gains", "guided") for kl in (0.06, 0.03, 0.01)},
    **{f"ablation: weights snr_db={ratio}": 2.0 for ratio in (15, 20, 25, 30)},
}
"""Largest share of the features' energy that may be lost, where it is above a tenth."""


def sample(seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {name: spread * torch.randn(TOKENS, 32, generator=draw) for name, spread in SPREADS.items()}


KEYS = {name: ROTARY for name in SPREADS if "k_cache" in name}
MATRICES = {name: torch.eye(32) / spread**2 for name, spread in SPREADS.items()}


FACTS = ModelFacts(KEYS, lambda calibrated: ModelMetric("tiny@1", MATRICES, 1, 1, KEYS), Felt)
UNTRAINED = [*coders.usual_coders(), *coders.guided_coders(), *ablations()]


@pytest.mark.parametrize("coder", UNTRAINED, ids=lambda coder: f"{coder.codec} {coder.setting}")
def test_bytes_decode_to_what_was_coded(coder: FeatureCoder) -> None:
    coder.fit([sample(seed) for seed in range(1, 9)], FACTS)
    given = sample(0)
    record = coder.encode(given)
    assert all(isinstance(data, bytes) for data in record.values())
    decoded = coder.decode(record, TOKENS)
    assert set(decoded) == {name for name in given if "cache" in name or "all" in coder.scopes}
    for name in decoded:
        value = given[name]
        lost = (decoded[name] - value).square().mean() / value.square().mean()
        assert decoded[name].dtype == torch.float32
        usual = 0.9 if coder.codec.startswith("ablation") else 0.12
        assert lost < WORST_SHARE.get(f"{coder.codec} {coder.setting}", usual), name


def test_each_ablation_leaves_out_its_step() -> None:
    first = {name: torch.ones(1, 32) for name in SPREADS}
    samples = [{name: torch.cat([first[name], value]) for name, value in sample(seed).items()} for seed in range(12)]
    asked: list[bool] = []

    def measure(calibrated: bool) -> ModelMetric:
        asked.append(calibrated)
        return FACTS.metric()

    profiles: dict[str, Any] = {}
    for coder in [*coders.usual_coders()[:1], *ablations()]:
        coder.fit(samples, ModelFacts(KEYS, measure))
        if coder.codec == "ablation: calibration":
            assert not asked[-1]
        profiles[coder.codec] = getattr(coder, "profile", None)
    whole = profiles.pop("klt for model")
    assert {"rotary", "nats"} <= set(whole.config) and len(whole.tensors["first_tokens"]) == 1
    assert "rotary" not in profiles["ablation: rotation"].config
    assert all("usual_energy" in profiles[f"ablation: {step}"].config for step in ("rotation", "weights"))
    plain = profiles["ablation: weights"]
    assert (plain.tensors["weight"] == 1).all() and "rotary" in plain.config
    assert len(profiles["ablation: first tokens"].tensors.get("first_tokens", ())) == 0
    assert "usual_energy" in whole.config and "usual_energy" not in profiles["ablation: sinks"].config
    assert profiles["ablation: codebook"].config["means"] == 0 and whole.config["means"] is None
    assert profiles["ablation: group"] is None  # each feature has a profile of its own


def test_hyperprior_is_trained_on_the_features_for_each_lambda() -> None:
    pytest.importorskip("compressai")
    trainings = Trainings(6, Sizes("hyperprior", 8, 12))
    samples = [{name: sample(seed)[name] for name in list(SPREADS)[:2]} for seed in range(3)]
    for lmbda in (0.01, 0.1):
        coder = Hyperprior(lmbda, trainings)
        coder.fit(samples, FACTS)
        assert coder.figures["training"][-1][0] == 6 and coder.profile_bytes > 4 * 2 * 256
        record = coder.encode(samples[0])
        decoded = coder.decode(record, TOKENS)
        assert {name: value.shape for name, value in decoded.items()} == dict.fromkeys(samples[0], (TOKENS, 32))
        assert coder.encode(samples[0]) == record and not coder.lack()
    assert coder.setting == "lambda=0.1"


def test_a_coder_that_cannot_run_here_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Hyperprior, "lack", lambda coder: "nothing trains here")
    assert llm.BENCHMARK.main([*arguments(tmp_path), "--codecs", "int8,hyperprior"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "hyperprior is left out: nothing trains here" in lines
    assert {row["codec"] for row in json.loads(lines[-1])["rows"]} == {"int8"}


def test_a_quality_beyond_a_profile_leaves_out_its_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Int8, "encode", Mock(side_effect=UnsupportedInput("no record reaches it", "ask for less")))
    assert llm.BENCHMARK.main([*arguments(tmp_path), "--codecs", "fp8,int8", "--scopes", "all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "int8 by token is left out: no record reaches it" in lines
    assert [row["codec"] for row in json.loads(lines[-1])["rows"]] == ["fp8"]


def test_a_split_that_is_none_fails_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert llm.BENCHMARK.main([*arguments(tmp_path), "--codecs", "int8", "--blocks", "1,3"]) != 0
    said = capsys.readouterr()
    assert "a split after block 3" in said.err and "int8" not in said.out


def test_ablations_are_measured_if_they_are_named() -> None:
    usual = {coder.codec for coder in coders.choose_coders(None, 1)}
    assert "hyperprior" in usual and not any("ablation" in codec or "guided" in codec for codec in usual)
    assert {coder.codec for coder in coders.choose_coders(["klt *"], 1)} >= {
        "klt by replay",
        "klt with gains",
        "klt guided",
    }
    assert {coder.codec for coder in coders.choose_coders(["ablation*"], 1)} == {coder.codec for coder in ablations()}


@pytest.mark.parametrize("codec", ["kivi", "turboquant", "kvtc", "cachegen"])
def test_values_beyond_float16_are_coded_in_larger_units(codec: str) -> None:
    coder, same = (next(one for one in coders.usual_coders() if one.codec == codec) for _ in range(2))
    samples = [sample(seed) for seed in range(4)]
    large = [{name: value * 2.0**15 for name, value in one.items()} for one in samples]
    coder.fit(samples, FACTS)
    same.fit(large, FACTS)
    wanted = coder.decode(coder.encode(samples[0]), TOKENS)
    found = same.decode(same.encode(large[0]), TOKENS)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name] / 2.0**15, value, rtol=0.05, atol=0.1 * SPREADS[name])


def test_levels_of_a_few_bits_are_packed() -> None:
    levels = torch.arange(7, dtype=torch.uint8).numpy()
    assert len(pack_levels(levels, 3)) == 3
    assert (unpack_levels(pack_levels(levels, 3), 7, 3) == levels).all()
    assert gaussian_levels(1) == pytest.approx([-0.798, 0.798], abs=1e-3)


def test_bits_go_to_components_of_much_energy() -> None:
    values = torch.randn(200, 64, generator=torch.Generator().manual_seed(0)) * torch.logspace(1, -3, 64)
    groups = allot_bits(values.numpy(), 4.5)
    assert groups[0].start == 0 and groups[0].bits >= groups[-1].bits
    assert sum(group.size * group.bits + 32 for group in groups) <= 4.5 * 64
    assert allot_bits(values.numpy(), 0.1) == ()


def texts(folder: Path, count: int, seed: int) -> str:
    draw = torch.Generator().manual_seed(seed)
    rows = [torch.randint(len(tiny_models.WORDS), (22,), generator=draw).tolist() for _ in range(count)]
    lines = [{"id": str(n), "text": " ".join(tiny_models.WORDS[word] for word in row)} for n, row in enumerate(rows)]
    path = folder / f"{seed}.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def arguments(folder: Path, blocks: str = "1", tokens: str = "16") -> list[str]:
    model = tiny_models.language(folder / "gemma3", "gemma3")
    words = ["--model", model, "--fit-texts", texts(folder, 8, 1), "--texts", texts(folder, 2, 2)]
    return [*words, "--blocks", blocks, "--tokens", tokens, "--continued", "6"]


def test_a_model_answers_to_what_is_decoded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*arguments(tmp_path), "--codecs", "fp8,klt for model", "--png", str(tmp_path / "a.png")]
    words += ["--metric", str(tmp_path / "metric.safetensors")]
    assert llm.BENCHMARK.main(words) == 0
    assert ModelMetric.load(tmp_path / "metric.safetensors").consumer == "gemma3@1"
    lines = capsys.readouterr().out.splitlines()
    document = json.loads(lines[-1])
    rows = document["rows"]
    assert [(one["codec"], one["scope"]) for one in document["bits_at"]] == [
        ("klt for model", "all"),
        ("klt for model", "caches"),
        ("fp8", "all"),
        ("fp8", "caches"),
    ]
    assert len(document["bits_at"]) == 4 and "KL <=" in lines[-6] and "block" not in lines[1]
    assert [(row["codec"], row["scope"]) for row in rows[-2:]] == [("fp8", "all"), ("fp8", "caches")]
    assert len(rows) == 13 and (tmp_path / "a.png").stat().st_size > 1000
    fp8 = rows[-2]
    assert fp8["bits"] == pytest.approx(8 + 32 / 32) and fp8["bits_hidden"] == fp8["bits_caches"] == fp8["bits"]
    assert rows[0]["bits_caches"] is None and rows[0]["profile_bits"] > 0
    assert abs(rows[-1]["kl_prefix"]) < 1e-6 and rows[-1]["top1_prefix"] == 1 and 0 < fp8["kl_prefix"] < 0.01


def test_packed_sequences_hold_the_beginning_of_a_second_text() -> None:
    rows = {"a": torch.arange(10), "b": 100 + torch.arange(10)}
    packed = swept_model.packed_in_pairs(Passages(rows, 8))
    assert packed.ids["a"].tolist() == [0, 1, 2, 3, 100, 101, 102, 103, 104, 105] and packed.prefix == 8
    assert packed.ids["b"].tolist() == [100, 101, 102, 103, 0, 1, 2, 3, 4, 5]


def test_rows_of_an_earlier_run_are_summed_up_beside(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*arguments(tmp_path), "--scopes", "all", "--codecs"]
    assert llm.BENCHMARK.main([*words, "fp8", "--output", str(tmp_path / "fp8.json")]) == 0
    assert llm.BENCHMARK.main([*words, "int8", *2 * ["--beside", str(tmp_path / "fp8.json")]]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["codec"] for row in document["rows"]] == ["int8"]
    assert [one["codec"] for one in document["bits_at"]] == ["int8", "fp8"]
    (tmp_path / "other.json").write_text('{"bench": "cpu", "rows": []}')
    assert llm.BENCHMARK.main([*words, "int8", "--beside", str(tmp_path / "other.json")]) == 2
    assert "other.json is no document of this benchmark" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--codecs", "nothing"], "'nothing' matches no coder"),
        (["--codecs", "int8", "--scopes", "none"], "scopes none"),
        (["--codecs", "ablation*", "--scopes", "caches"], "coders is left, with scopes caches"),
        (["--output", "."], ". is a folder"),
        (["--tokens", "1"], "1 tokens, "),
        (["--codecs", "int8", "--fit-count", "0"], "0 texts to learn from"),
        (["--codecs", "int8", "--beside", __file__], "is no document of this benchmark"),
    ],
)
def test_wrong_arguments_are_refused_at_once(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert llm.BENCHMARK.main([*arguments(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err
    for counted in ("--count", "--every", "--continued"):
        with pytest.raises(SystemExit):
            llm.BENCHMARK.main([*arguments(tmp_path), counted, "0"])
        assert "'0' is no whole number of 1 or more" in capsys.readouterr().err
