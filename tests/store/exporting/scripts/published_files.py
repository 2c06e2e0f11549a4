"""Files as each evaluation script finds them, and the tensors that it takes from the object in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Store
from lamofc_store.errors import BadArgument, StoreError
from lamofc_store.exporting import SCRIPTS
from tests.store.sources.families.published import Payload, dinov3, falcon, kept, kimi, normal, qwen, stable_diffusion

BLOCKS = "backbone.blocks.{}"


def classified() -> Payload:
    return {f"backbone.blocks.{block}": [normal(1, 21, 24)] for block in (39, 9)}


def half() -> Payload:
    return {
        key: {name: tensor.half() for name, tensor in value.items()} if isinstance(value, dict) else value.half()
        for key, value in stable_diffusion().items()
    }


FILES: dict[str, tuple[tuple[str, str], Callable[[], Payload]]] = {
    "dinov3cls": (("n01440764-ILSVRC2012_val_00000293", "n01443537-a"), classified),
    "dinov3dep": (("kitchen_0004-rgb_00045-wflip", "office_0001-rgb_9-wflip"), lambda: dinov3("encoder." + BLOCKS)),
    "dinov3seg": (
        ("ADE_val_00000001-stackedpatches", "ADE_val_00000002-stackedpatches"),
        lambda: dinov3("segmentation_model.0." + BLOCKS, 3),
    ),
    "qwen3": (("fc_gsm8k/sample12-layer4-item1", "fc_winogrande/sample12-layer4-item1"), lambda: qwen(11)),
    "falconmamba": (("fc_arc_challenge/sample7-layer4-item1", "fc_gsm8k/sample0-layer4-item1"), falcon),
    "kimiaudio": (("librispeech-test-clean/LibriSpeech-test-clean-3", "sd-qa/SD-QA-aus-7"), kimi),
    "sd35cond": (("sd35cond/000000000139", "sd35cond/000000000285"), half),
}
"""Names of two files of each script, as its data set names them, and an object as its model leaves it."""


def _by_block(keys: str, blocks: tuple[int, ...]) -> Callable[[Any], list[torch.Tensor]]:
    return lambda held: [held[keys.format(block)] for block in blocks]


def _of_language(first: str, second: str) -> Callable[[Any], list[torch.Tensor]]:
    return lambda held: [held["output"], *held[first][:5], *held[second][:5]]


def _of_audio(held: Any) -> list[torch.Tensor]:
    states = [held[f"model.layers.{block}"][place] for block in range(4) for place in (0, 1)]
    return [*states, held["model.layers.4"][1][0], held["model.layers.4"][1][1], held["model.layers.4"][0]]


def _of_diffusion(held: Any) -> list[torch.Tensor]:
    calls = ("text_encoder-item0", "text_encoder_2-item1", "text_encoder-item3", "text_encoder_2-item4")
    image = held["vae.encoder-item6" if "vae.encoder-item6" in held else "vae.encoder"]
    texts = [held[call][name] for call in calls for name in ("clip_pooled_prompt_embeds", "clip_prompt_embeds")]
    t5 = [held[f"text_encoder_3-item{item}"]["t5_prompt_embeds"] for item in (2, 5)]
    return [*texts, *t5, image["vae.encoder_f0"], image["vae.encoder_f1"], held["vae.decoder"]]


_ALL = (9, 19, 29, 39)
_BARE: dict[str, Callable[[Any], list[torch.Tensor]]] = {
    "dinov3cls": lambda held: [held[f"backbone.blocks.{block}"][0] for block in (9, 39)],
    "dinov3dep": _by_block("encoder.backbone.blocks.{}", _ALL),
    "dinov3seg": _by_block("segmentation_model.0.backbone.blocks.{}", _ALL),
    "qwen3": _of_language("key", "value"),
    "falconmamba": _of_language("ssm_state", "conv_state"),
    "kimiaudio": _of_audio,
    "sd35cond": _of_diffusion,
}
_MEASURED = {
    **_BARE,
    "dinov3cls": lambda held: [held[f"segmentation_model.0.backbone.blocks.{block}"][0] for block in (9, 39)],
    "dinov3dep": _by_block("layer.{}", _ALL),
    "dinov3seg": _by_block("layer.{}", _ALL),
}


def taken_by(script: str, saved: Any) -> tuple[list[torch.Tensor], dict[str, Any]]:
    """Return the tensors that a script takes from the object in a file, in its order, and the figures beside them."""
    if "metadata" in saved:
        return _MEASURED[script](saved["features"]), saved["metadata"]
    return _BARE[script](saved), {}


def folder_of(script: str, root: Path) -> dict[str, Payload]:
    """Write two files of a script below a folder; return their objects by name."""
    names, make = FILES[script]
    objects = {name: make() for name in names}
    for name, payload in objects.items():
        kept(root / f"{name}.zst", payload)
    return objects


def drawn(script: str) -> dict[str, torch.Tensor]:
    """Draw all features that a script reads, by name."""
    dtype = torch.float16 if script == "sd35cond" else torch.float32
    lengths = {
        reading.feature: [int(axis) if axis.isdecimal() else 4 for axis in reading.axes.split()]
        for reading in SCRIPTS[script].readings
    }
    return {feature: normal(*shape, dtype=dtype) for feature, shape in lengths.items()}


def stored(place: Path, samples: Any, codec: str = "raw", **options: Any) -> Store:
    store = lamofc.open(str(place), "w-")
    store.ingest(samples, codec, **options)
    return store


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.zst"))


def refused(call: Callable[[], object], *words: str, error: type[StoreError] = BadArgument) -> None:
    """Refusal in two lines, which together have all of these words."""
    with pytest.raises(error) as caught:
        call()
    told = f"{caught.value.message} | {caught.value.cure}"
    assert caught.value.cure and not [word for word in words if word not in told], told
