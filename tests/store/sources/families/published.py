"""Objects as published feature sets hold them, with every hazard, and files as other programs write them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Payload = dict[Any, Any]


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape).to(dtype)


def kept(path: Path, payload: object) -> Path:
    """What the benchmark's own scripts write: `torch.save` in a zstd frame, by a program that is not ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(payload, path.with_suffix(".pt"))
    zstandard = pytest.importorskip("zstandard")
    path.write_bytes(zstandard.ZstdCompressor(level=3).compress(path.with_suffix(".pt").read_bytes()))
    path.with_suffix(".pt").unlink()
    return path


def unpacked(path: Path) -> Any:
    """And what they read."""
    plain = pytest.importorskip("zstandard").ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    path.with_suffix(".plain").write_bytes(plain)
    return torch.load(path.with_suffix(".plain"), weights_only=True)


def caches(layers: int, tokens: int, heads: int) -> list[torch.Tensor]:
    return [normal(1, heads, tokens, 16, dtype=torch.bfloat16) for _ in range(layers)]


def dinov3(keys: str, crops: int = 2) -> Payload:
    return {keys.format(block): normal(crops, 5 + 16, 24) for block in (9, 19, 29, 39)}


def qwen(tokens: int) -> Payload:
    output = normal(1, tokens, 64, dtype=torch.bfloat16)
    return {"output": output, "key": caches(5, tokens, 8), "value": caches(5, tokens, 8)}


def falcon() -> Payload:
    states = {"ssm_state": normal(1, 32, 16, dtype=torch.float16), "conv_state": normal(1, 32, 4, dtype=torch.float16)}
    return {"output": normal(1, 7, 24), **{name: tuple(one.clone() for _ in range(5)) for name, one in states.items()}}


def kimi() -> Payload:
    layers: list[tuple[str, Any]] = [(f"model.layers.{number}", tuple(caches(2, 9, 4))) for number in range(4)]
    layers.append(("model.layers.4", (normal(1, 9, 56, dtype=torch.bfloat16), tuple(caches(2, 9, 4)))))
    random.Random(1).shuffle(layers)
    return dict(layers)


def stable_diffusion() -> Payload:
    half = torch.float16
    prompts = {
        f"{name}-item{item}": {"clip_pooled_prompt_embeds": normal(24, dtype=half), "clip_prompt_embeds": normal(7, 24)}
        for item, name in ((0, "text_encoder"), (3, "text_encoder"), (1, "text_encoder_2"), (4, "text_encoder_2"))
    }
    t5 = {f"text_encoder_3-item{item}": {"t5_prompt_embeds": normal(7, 48, dtype=half)} for item in (2, 5)}
    image = normal(32, 16, 16, dtype=half)
    encoded = {"vae.encoder": {"vae.encoder_f0": image, "vae.encoder_f1": image.clone()}}
    return {**prompts, **t5, **encoded, "vae.decoder": normal(16, 8, 8, dtype=half)}


def measured(payload: Payload) -> Payload:
    """After a codec: with what was measured, for the whole and for each tensor."""
    told = {"ori_shape": torch.Size([1, 9, 56]), "ori_dtype": torch.bfloat16, "ori_device": torch.device("cpu")}
    return {"features": payload, "metadata": {"arch": "elic", "bpfp": 1.25, "lambda": None, "layer.4.output": told}}


FAMILIES: dict[str, tuple[str, Callable[[], Payload], set[str]]] = {
    "classification": ("dinov3", lambda: {f"backbone.blocks.{n}": [normal(1, 21, 24)] for n in (9, 39)}, {"layer.39"}),
    "depth": ("dinov3", lambda: dinov3("encoder.backbone.blocks.{}"), {"layer.9", "layer.39"}),
    "wide": ("dinov3", lambda: dinov3("segmentation_model.0.backbone.blocks.{}", crops=5), {"layer.19"}),
    "layers": ("dinov3", lambda: dinov3("layer.{}"), {"layer.9"}),
    "crops in a list": ("dinov3", lambda: {"layer.9": [normal(21, 24), normal(21, 24)]}, {"layer.9.0", "layer.9.1"}),
    "qwen3": ("qwen3", lambda: qwen(11), {"layer.4.output", "layer.0.k_cache", "layer.4.v_cache"}),
    "one token": ("qwen3", lambda: qwen(1), {"layer.4.output"}),
    "falconmamba": ("falconmamba", falcon, {"layer.4.output", "layer.3.ssm_state", "layer.0.conv_state"}),
    "kimiaudio": ("kimiaudio", kimi, {"layer.4.output", "layer.4.k_cache", "layer.0.v_cache"}),
    "kimiaudio after": ("kimiaudio", lambda: measured(kimi()), {"layer.4.output", "layer.2.k_cache"}),
    "sd35": ("sd35", stable_diffusion, {"text_encoder-item0.clip_prompt_embeds", "vae.encoder_f1", "vae.decoder"}),
    "unknown keys": (
        "qwen3",
        lambda: {**qwen(3), "logits": normal(3, 5), "note": "kept"},
        {"logits", "layer.4.output"},
    ),
}
