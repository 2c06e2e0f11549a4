"""`--replay` and `--guided` of `extract` and `ingest` for every kind of model whose answers are probabilities."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import lamofc_store
from lamofc_tools.consumer import SharedReplay, Split, StateSpaceSplit, TextReplay
from lamofc_tools.consumer.media import EncoderReplay, EncoderSplit
from lamofc_tools.models import InputKind, SourceOptions, find_inputs, open_model, open_source
from tests.tools.models import tiny_models
from tests.tools.models.test_coding_for_models import fine_tuned, long_texts

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here
Lamofc: TypeAlias = Callable[..., Any]
KL = 0.0005


def measured(place: Path) -> dict[str, tuple[float, int]]:
    """The measured divergence of each sample, and the number of its records."""
    rows = "SELECT sample, sum(measured_kl), count(DISTINCT record) FROM records GROUP BY sample"
    with lamofc_store.open(str(place)) as store:
        return {sample: (kl, records) for sample, kl, records in store.sql(rows).fetchall()}


def check(place: Path, source: Any, replay: Any, records: int) -> None:
    """Assert that rows tell what is measured of the decoded features, and that this is near what was asked for.

    Nearly all samples are felt by less than twice that. A guided one may be felt by far less, as processors round the
    answers of a small model differently; the mean is bounded on both sides.
    """
    found, below = measured(place), 0
    with lamofc_store.open(str(place)) as store:
        for sample in source:
            kl, count = found[sample.id]
            measure = replay(sample.id, sample.features)
            assert measure is not None
            assert count == records and measure(store.tensors(sample.id)) == pytest.approx(kl, rel=0.02, abs=1e-7)
            below += kl < 2 * KL
    assert below > 0.7 * len(found)
    assert 0.5 * KL < sum(kl for kl, _ in found.values()) / len(found) < 1.5 * KL


@pytest.mark.parametrize(
    ("kind", "inputs", "option"),
    [
        ("vit", "images", "--replay"),
        ("vit", "images", "--guided"),
        ("whisper", "sounds", "--replay"),
    ],
)
def test_an_encoder_meets_a_divergence(
    lamofc: Lamofc, kind: str, inputs: InputKind, option: str, tmp_path: Path
) -> None:
    model = tiny_models.answering(tmp_path / kind, kind)
    data, place = getattr(tiny_models, inputs)(tmp_path / "data", 9), tmp_path / "store"
    command = ("extract", model, data, place, "--block", 1, "--kl", KL, option, "--dtype", "float32")
    ran = lamofc(*command, "--for-model", f"{model}@1", "--metric", tmp_path / "metric", "--json")
    assert ran.code == 0, ran.err
    assert f"measuring what {kind}@1 feels: 9 {inputs}" in ran.err
    assert f"coding for {kind}@1: features in one group, errors weighed" in ran.err
    items = {item.id: item for item in find_inputs(str(data), inputs)}
    split = EncoderSplit(open_model(model, dtype="float32", head=True), 1)
    source = open_source(model, str(data), SourceOptions(blocks=[1], dtype="float32"))
    check(place, source, EncoderReplay(split, items), 1)


@pytest.mark.slow
def test_the_records_of_states_meet_a_divergence_together(lamofc: Lamofc, tmp_path: Path) -> None:
    model, texts = tiny_models.language(tmp_path / "mamba", "falconmamba"), long_texts(tmp_path / "a.jsonl", 8, 38)
    command = ("extract", model, texts, tmp_path / "store", "--block", 1, "--kl", KL, "--replay", "--dtype", "float32")
    ran = lamofc(*command, "--for-model", f"{model}@1", "--metric", tmp_path / "metric", "--json")
    assert ran.code == 0, ran.err
    source = open_source(model, str(texts), SourceOptions(blocks=[1], dtype="float32"))
    replay = TextReplay(StateSpaceSplit(open_model(model, dtype="float32"), 1))
    check(tmp_path / "store", source, replay, 2)  # the hidden state, and the states of both blocks
    assert lamofc("export", tmp_path / "store", tmp_path / "files").code == 0
    ingest = ("ingest", tmp_path / "files", tmp_path / "again", "--for-model", f"{model}@1", "--kl", KL, "--replay")
    ran = lamofc(*ingest)
    assert ran.code == 2 and "falcon_mamba, feels is not measured from features alone" in ran.err
    assert lamofc(*ingest, "--metric", tmp_path / "metric").code == 0
    assert all(kl is not None for kl, _ in measured(tmp_path / "again").values())


@pytest.mark.parametrize("option", ["--replay", pytest.param("--guided", marks=pytest.mark.slow)])
def test_several_models_meet_a_divergence_together(lamofc: Lamofc, option: str, tmp_path: Path) -> None:
    model, texts = tiny_models.language(tmp_path / "llama", "llama"), long_texts(tmp_path / "a.jsonl", 9, 40)
    tuned = fine_tuned(model, tmp_path / "tuned")
    command = ("extract", model, texts, tmp_path / "store", "--block", 1, "--kl", KL, option, "--dtype", "float32")
    ran = lamofc(*command, "--for-model", f"{model}@1", "--for-model", f"{tuned}@1")
    assert ran.code == 0, ran.err
    splits = [Split(open_model(name, dtype="float32"), 1) for name in (model, tuned)]
    source = open_source(model, str(texts), SourceOptions(blocks=[1], dtype="float32"))
    check(tmp_path / "store", source, SharedReplay([TextReplay(split) for split in splits]), 1)


def test_what_cannot_be_replayed_is_said(lamofc: Lamofc, tmp_path: Path) -> None:
    silent, data = tiny_models.vision(tmp_path / "dinov3", "dinov3"), tiny_models.images(tmp_path / "data", 9)
    command = ("extract", silent, data, tmp_path / "store", "--block", 1, "--for-model", f"{silent}@1", "--replay")
    ran = lamofc(*command, "--kl", KL)
    assert ran.code == 2 and "dinov3@1, whose answers have no likelihood" in ran.err
    for option in ("--replay", "--guided"):
        for quality in (("--snr", 15), ("--mse", 0.1)):
            ran = lamofc(*command[:-1], option, *quality)
            assert ran.code == 2 and f"{option} for dinov3@1, whose answers have no likelihood" in ran.err
            assert f"leave out {option}: --snr or --mse" in ran.err
    assert lamofc(*command[:-1], "--snr", 15).code == 0
    files = tmp_path / "files"
    assert lamofc("export", tmp_path / "store", files).code == 0
    ran = lamofc("ingest", files, tmp_path / "again", "--for-model", f"{silent}@1", "--snr", 15)
    assert ran.code == 2 and "dinov3_vit, feels is not measured from features alone" in ran.err
