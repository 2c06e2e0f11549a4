"""Closed forms of a whole decoder against its measured metric, where later blocks let errors pass as they are."""

from pathlib import Path

import pytest
import torch

from lamofc_store.errors import BadArgument
from lamofc_tools.consumer import closed_form_metric, cut_passages, measure_metric
from lamofc_tools.models import ModelInput, open_model
from tests.tools.consumer.noise import stir
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_closed_forms_are_near_what_gradients_measure(texts: list[ModelInput], tmp_path: Path, kind: str) -> None:
    loaded = open_model(tiny_models.language(tmp_path / kind, kind), dtype="float32")
    stir(loaded.model, 0.3)
    for number, block in enumerate(loaded.blocks):
        block.mlp.down_proj.weight.data.zero_()
        block.self_attn.o_proj.weight.data *= (1, 0.2, 0, 0)[number]
    passages = cut_passages(loaded, texts, 12, 8)
    measured = measure_metric(loaded, passages, 1, batch=7, draws=24)
    closed = closed_form_metric(loaded, passages, 1, batch=3, draws=24)
    assert (closed.tokens, closed.positions, closed.consumer) == (
        measured.tokens,
        measured.positions,
        measured.consumer,
    )
    assert set(closed.matrices) == set(measured.matrices)
    for name, matrix in closed.matrices.items():
        count = 1 if "output" in name else 2
        heads = torch.eye(count).repeat_interleave(len(matrix) // count, 0)
        wanted = measured.matrices[name] * (heads @ heads.T)
        assert matrix.trace() == pytest.approx(wanted.trace(), rel=0.25), name
        assert torch.nn.functional.cosine_similarity(matrix.flatten(), wanted.flatten(), 0) > 0.9, name


def test_other_decoders_are_refused(texts: list[ModelInput], tmp_path: Path) -> None:
    loaded = open_model(tiny_models.language(tmp_path / "gemma3", "gemma3"))
    with pytest.raises(BadArgument, match="is a gemma3_text: closed forms are of llama"):
        closed_form_metric(loaded, cut_passages(loaded, texts, 12, 8), 1)
