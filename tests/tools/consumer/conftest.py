"""Tiny language models and texts for them."""

from pathlib import Path

import pytest
import torch

from lamofc_tools.models import LoadedModel, ModelInput, open_model
from tests.tools.models import tiny_models

KINDS = ("gemma3", "qwen3", "llama")


@pytest.fixture(scope="session", params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A decoder with caches, in float32."""
    folder = tmp_path_factory.mktemp("models") / request.param
    loaded = open_model(tiny_models.language(folder, request.param), dtype="float32")
    draw = torch.Generator().manual_seed(0)
    for weights in loaded.model.parameters():  # initial weights give answers that hardly differ
        weights.data += 0.1 * torch.randn(weights.shape, generator=draw)
    return loaded


@pytest.fixture
def texts() -> list[ModelInput]:
    """Seven texts, of 20 to 26 tokens."""
    draw = torch.Generator().manual_seed(1)
    rows = [torch.randint(len(tiny_models.WORDS), (20 + number,), generator=draw).tolist() for number in range(7)]
    return [
        ModelInput(f"text {number}", Path(), " ".join(tiny_models.WORDS[place] for place in row))
        for number, row in enumerate(rows)
    ]
