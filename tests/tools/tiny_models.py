"""Models of the real libraries, made small from a config and kept in a folder as a hub would give them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

WORDS = tuple("abcdefghijklmnopqrst")
UNKNOWN = "?"


def vision(folder: Path, kind: str) -> str:
    """A vision transformer, or a ResNet, with its image processor."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind == "resnet":
        sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
        model = transformers.ResNetModel(transformers.ResNetConfig(layer_type="basic", **sizes))
    else:
        sizes = {
            "hidden_size": 32,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "patch_size": 8,
            "image_size": 32,
        }
        name = {"dinov3": "DINOv3ViT", "dinov2": "Dinov2"}[kind]
        more = {"num_register_tokens": 4} if kind == "dinov3" else {}
        config = getattr(transformers, f"{name}Config")(num_hidden_layers=4, **sizes, **more)
        model = getattr(transformers, f"{name}Model")(config)
    model.save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 32, "width": 32},
        "do_resize": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.2, 0.2, 0.2],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return str(folder)


def language(folder: Path, kind: str) -> str:
    """A decoder with its tokenizer: a token a word."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": len(WORDS) + 1, "hidden_size": 32, "num_hidden_layers": 4}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    if kind == "falconmamba":
        config = transformers.FalconMambaConfig(**shape, state_size=8, intermediate_size=64, time_step_rank=4)
        model = transformers.FalconMambaForCausalLM(config)
    elif kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape, **heads))
    else:
        model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**shape, **heads, head_dim=16))
    model.to(torch.bfloat16).save_pretrained(folder)
    words = {word: number for number, word in enumerate([UNKNOWN, *WORDS])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=UNKNOWN)
    fast.save_pretrained(folder)
    return str(folder)


def images(folder: Path, count: int) -> Path:
    """Pictures of several sizes."""
    pictures = pytest.importorskip("PIL.Image")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = torch.Generator().manual_seed(number)
        pixels = torch.randint(256, (20 + number % 7, 30, 3), generator=draw, dtype=torch.uint8)
        pictures.fromarray(pixels.numpy()).save(folder / f"{number:03d}.png")
    return folder


def texts(folder: Path, count: int) -> Path:
    """Texts of several lengths, one of a single token."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = torch.Generator().manual_seed(number)
        chosen = torch.randint(len(WORDS), (1 + number % 6,), generator=draw)
        (folder / f"{number:03d}.txt").write_text(" ".join(WORDS[place] for place in chosen.tolist()))
    return folder
