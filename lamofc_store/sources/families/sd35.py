"""Stable Diffusion 3.5 with a ControlNet: prompts from three text encoders, the control image, the decoder's input.

`item0` to `item2` are the encoders of the prompt in the order in which they are called, `item3` to `item5` those of the
negative prompt. These names stay as they are; the outputs of the VAE encoder are named by their inner keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lamofc_store.sample import Keys
from lamofc_store.sources.families.family import IMAGE, Family

_TEXT = re.compile(r"text_encoder(?:_\d)?-item\d{1,3}")
_ENCODER = re.compile(r"vae\.encoder(?:-item\d{1,3})?")
_DECODER = "vae.decoder"


def names(payload: Mapping[Any, Any]) -> dict[Keys, str] | None:
    """Name the features of a payload: `text_encoder-item0.clip_prompt_embeds`, `vae.encoder_f0`, `vae.decoder`."""
    by_path: dict[Keys, str] = {}
    for key, value in payload.items():
        inner = value if isinstance(value, Mapping) else {}
        if _TEXT.fullmatch(str(key)):
            by_path |= {(str(key), str(feature)): f"{key}.{feature}" for feature in inner}
        elif _ENCODER.fullmatch(str(key)):
            by_path |= {(str(key), str(feature)): str(feature) for feature in inner}
        elif key == _DECODER:
            by_path[_DECODER,] = _DECODER
    return by_path or None


FAMILY = Family(
    "sd35",
    "prompt embeddings, encoded control images and denoised latents of Stable Diffusion 3.5",
    names,
    {"vae.*": IMAGE},
)
