"""What Kimi-Audio leaves behind its first layers, on a small decoder whose layers answer as its own code's do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lamofc_store
from lamofc_store.errors import NotFound
from lamofc_store.sources import of_family
from lamofc_tools.models import record_kimiaudio, substitute_kimiaudio

WIDTH, HEADS, LAYERS, WORDS = 32, 4, 7, 40
Caches = tuple[Tensor, Tensor]


class Layer(nn.Module):
    """Attention over what was kept and what comes; hidden states first in its answer, keys and values last."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor, past_key_value: Caches | None = None) -> tuple[Tensor, Caches]:
        queries, keys, values = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.mix(hidden).chunk(3, -1)
        )
        if past_key_value is not None:
            keys, values = (torch.cat(pair, 2) for pair in zip(past_key_value, (keys, values), strict=True))
        found = nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=past_key_value is None)
        return hidden + self.out(found.transpose(1, 2).flatten(2)), (keys, values)


class Decoder(nn.Module):
    """Embedded sounds in, tokens out."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.head = nn.Linear(WIDTH, WORDS)

    @torch.no_grad()
    def speak(self, sound: Tensor, count: int) -> list[int]:
        """The likeliest tokens."""
        kept: list[Any] = [None] * LAYERS
        hidden, told = sound, []
        for _ in range(count):
            for number, layer in enumerate(self.model.layers):
                hidden, kept[number] = layer(hidden, past_key_value=kept[number])
            told.append(int(self.head(hidden[:, -1]).argmax()))
            hidden = self.embed(torch.tensor([told[-1:]]))
        return told


def kimi_model() -> SimpleNamespace:
    """A model whose decoder is where Kimi-Audio has it."""
    torch.manual_seed(0)
    return SimpleNamespace(alm=Decoder().to(torch.bfloat16))


@pytest.fixture
def kimi() -> SimpleNamespace:
    return kimi_model()


def test_what_was_heard_is_spoken_on_from_a_store(kimi: SimpleNamespace, tmp_path: Path) -> None:
    sound = torch.randn(1, 9, WIDTH, dtype=torch.bfloat16)
    whole = kimi.alm.speak(sound, 12)
    with record_kimiaudio(kimi.alm) as payload:
        assert kimi.alm.speak(sound, 12) == whole
    assert list(payload) == [f"model.layers.{number}" for number in range(5)]
    keys, _ = payload["model.layers.0"]
    output, (_, values) = payload["model.layers.4"]
    assert keys.shape == values.shape == (1, HEADS, 9, WIDTH // HEADS) and output.shape == (1, 9, WIDTH)
    with lamofc_store.open(str(tmp_path / "store"), "w-") as store:
        store.ingest([of_family(payload, "clip", "kimiaudio")], "raw")
        features = store.tensors("clip")
        assert len(features) == 11
        nested = store.get("clip")
        assert list(nested) == list(payload) and torch.equal(nested["model.layers.4"][0], output)
    silent = torch.zeros_like(sound)
    assert kimi.alm.speak(silent, 12) != whole
    with substitute_kimiaudio(kimi.alm, features):
        assert kimi.alm.speak(silent, 12) == whole
    assert kimi.alm.speak(sound, 12) == whole
    assert all("forward" not in vars(layer) for layer in kimi.alm.model.layers)
    first = features["layer.0.v_cache"]
    with substitute_kimiaudio(kimi.alm, features | {"layer.0.v_cache": first + 100}):
        assert kimi.alm.speak(silent, 12) != whole


def test_what_is_missing_is_said_before_anything_is_changed(kimi: SimpleNamespace) -> None:
    with pytest.raises(NotFound, match=r"no 'layer\.0\.k_cache' to put back"), substitute_kimiaudio(kimi.alm, {}):
        pass
    assert all("forward" not in vars(layer) for layer in kimi.alm.model.layers)
