"""The metric of FalconMamba: hidden states are felt by all tokens, states by those after the prefix."""

from pathlib import Path

import pytest
import torch

from lamofc_store.errors import BadArgument
from lamofc_store.sample import pattern_for, to_tokens
from lamofc_tools.consumer import FidelityMeter, StateSpaceSplit, cut_passages, measure_consumer, measure_state_space
from lamofc_tools.models import Features, LoadedModel, ModelInput, open_model
from tests.tools.consumer.noise import errors, stir
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here

LENGTHS = (8, 4)
STATES = {f"layer.{block}.{state}_state" for block in (0, 1) for state in ("ssm", "conv")}


@pytest.fixture(scope="module")
def mamba(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("models") / "mamba"
    loaded = open_model(tiny_models.language(folder, "falconmamba"), dtype="float32")
    stir(loaded.model)
    return loaded


def test_answers_to_original_states_are_those_of_one_pass(mamba: LoadedModel, texts: list[ModelInput]) -> None:
    split, passages = StateSpaceSplit(mamba, 1), cut_passages(mamba, texts, *LENGTHS)
    ids = passages.batch(list(passages.ids))
    with torch.no_grad():
        hidden = split.run(ids, passages.prefix, split.features(ids[:, : passages.prefix]))
        torch.testing.assert_close(split.logits(hidden[0]), mamba.model(input_ids=ids[:1]).logits[0])
    with pytest.raises(BadArgument, match=r"block 3 of .*mamba, whose last one is 3") as caught:
        StateSpaceSplit(mamba, 3)
    assert caught.value.cure == "give a block from 0 to 2, which a later one reads"
    with pytest.raises(BadArgument, match="after block -1"):
        StateSpaceSplit(mamba, -1)


def test_answers_diverge_as_foretold_and_less_by_shaped_noise(mamba: LoadedModel, texts: list[ModelInput]) -> None:
    passages = cut_passages(mamba, texts, *LENGTHS)
    metric = measure_state_space(mamba, passages, 1, batch=7, draws=8)
    assert set(metric.matrices) == {"layer.1.output", *STATES}
    assert metric.tokens == 7 * 8 and metric.nats == 0.25
    meter = FidelityMeter(StateSpaceSplit(mamba, 1), passages, batch=7)
    for name in ("layer.1.output", "layer.0.ssm_state", "layer.1.conv_state"):
        original = torch.cat([features[name] for features in meter.features.values()])
        rows = to_tokens(original, pattern_for(name, original.shape, {}))
        diverged = []
        for error in errors(rows, metric.matrices[name], 0.05):
            parts = dict(zip(meter.features, error.float().view_as(original).split(1), strict=True))
            fidelity = meter.measure(lambda text, features, parts=parts: _added(features, name, parts[text]))  # noqa: B023
            diverged.append((fidelity.prefix.kl + fidelity.continuation.kl) / 2)
            assert diverged[-1] == pytest.approx(metric.divergence({name: error}), rel=0.5), name
            assert "output" in name or fidelity.prefix.kl == pytest.approx(0, abs=1e-6)
        assert diverged[1] < 0.85 * diverged[0], name


def _added(features: Features, name: str, error: torch.Tensor) -> Features:
    return {name: features[name] + error}


def test_the_batch_changes_nothing(mamba: LoadedModel, texts: list[ModelInput]) -> None:
    passages = cut_passages(mamba, texts[:3], *LENGTHS)
    one, other = (measure_state_space(mamba, passages, 1, batch=batch, draws=1) for batch in (1, 3))
    for name, matrix in one.matrices.items():
        torch.testing.assert_close(matrix, other.matrices[name], rtol=1e-3, atol=1e-4 * float(matrix.abs().max()))


def test_models_of_other_kinds_are_refused(mamba: LoadedModel, opened: LoadedModel, texts: list[ModelInput]) -> None:
    with pytest.raises(BadArgument, match="keeps no recurrent states"):
        StateSpaceSplit(opened, 1)
    found = measure_consumer(mamba, texts[:1], 0, prefix=4, continuation=2)
    assert found.consumer == "mamba@0" and len(found.matrices) == 3


def test_bfloat16_is_measured_as_well(texts: list[ModelInput], tmp_path: Path) -> None:
    loaded = open_model(tiny_models.language(tmp_path / "mamba", "falconmamba"))
    assert loaded.model.dtype == torch.bfloat16
    metric = measure_consumer(loaded, texts[:1], 1, prefix=4, continuation=2)
    assert all(matrix.isfinite().all() and matrix.trace() > 0 for matrix in metric.matrices.values())
