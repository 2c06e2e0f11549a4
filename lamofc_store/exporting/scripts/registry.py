"""The scripts by name, in one table."""

from __future__ import annotations

from lamofc_store.errors import BadArgument
from lamofc_store.exporting.scripts import file_stems, list_forms
from lamofc_store.exporting.scripts.script import Reading, Script
from lamofc_store.sample import Keys

_CLASSIFIED_BLOCKS = (9, 39)
_DENSE_BLOCKS = (9, 19, 29, 39)
_LAST = 4
"""Last block whose features the scripts of language and audio models read, counted from zero."""


def _vision_readings(
    blocks: tuple[int, ...], raw: str, measured: str, axes: str, *, listed: bool
) -> tuple[Reading, ...]:
    """Return the tensors of a vision script; with `listed`, each is alone in a list, or after a codec bare as well."""
    readings = []
    for block in blocks:
        keys: Keys = (raw.format(block),)
        coded: Keys = (measured.format(block),)
        inside = ("0",) if listed else ()
        both = ((*coded, *inside), coded) if listed else (coded,)
        readings.append(Reading(f"layer.{block}", ((*keys, *inside),), both, axes))
    return tuple(readings)


def _each_alone(blocks: tuple[int, ...]) -> tuple[frozenset[str], ...]:
    """Return the blocks one by one, for a script that can be told to replace a single one."""
    return tuple(frozenset({f"layer.{block}"}) for block in blocks)


def _state_readings(states: dict[str, tuple[str, str]]) -> tuple[Reading, ...]:
    """Return the output of the last block and the states of all blocks; `states` has feature and axes by key."""
    found = [_same(f"layer.{_LAST}.output", ("output",), axes="1 t *")]
    for key, (state, axes) in states.items():
        found += [_same(f"layer.{block}.{state}", (key, str(block)), axes=axes) for block in range(_LAST + 1)]
    return tuple(found)


def _audio_readings() -> tuple[Reading, ...]:
    """Return keys and values of each block, and the output of the last beside its own."""
    found = [_same(f"layer.{_LAST}.output", (f"model.layers.{_LAST}", "0"), axes="1 t *")]
    for block in range(_LAST + 1):
        keys: Keys = (f"model.layers.{block}", "1") if block == _LAST else (f"model.layers.{block}",)
        for place, state in enumerate(("k_cache", "v_cache")):
            found.append(_same(f"layer.{block}.{state}", (*keys, str(place)), axes="1 * t *"))
    return tuple(found)


def _diffusion_readings() -> tuple[Reading, ...]:
    """Return the embeddings of prompt and negative prompt, the control image and the latents."""
    clip, t5 = {"clip_pooled_prompt_embeds": "*", "clip_prompt_embeds": "* *"}, {"t5_prompt_embeds": "* *"}
    encoders = (("text_encoder", clip), ("text_encoder_2", clip), ("text_encoder_3", t5))
    found = []
    for item, (encoder, outputs) in enumerate(encoders * 2):
        call = f"{encoder}-item{item}"
        found += [_same(f"{call}.{output}", (call, output), axes=axes) for output, axes in outputs.items()]
    for output in ("vae.encoder_f0", "vae.encoder_f1"):
        found.append(_same(output, ("vae.encoder", output), ("vae.encoder-item6", output), axes="c h w"))
    return (*found, _same("vae.decoder", ("vae.decoder",), axes="* * *"))


def _same(feature: str, *paths: Keys, axes: str) -> Reading:
    """Return a reading whose paths are the same with figures beside the features and without."""
    return Reading(feature, paths, paths, axes)


def _all(readings: tuple[Reading, ...]) -> frozenset[str]:
    return frozenset(reading.feature for reading in readings)


def _script_of_prompts(name: str, readings: tuple[Reading, ...]) -> Script:
    return Script(
        name,
        readings,
        file_stems.prompt,
        needs=(_all(readings),),
        blocks=(_LAST,),
        listed=list_forms.prompts,
        list_form='{"fc_gsm8k": [12, 40]}',
    )


_CLASSES = _vision_readings(
    _CLASSIFIED_BLOCKS, "backbone.blocks.{}", "segmentation_model.0.backbone.blocks.{}", "1 t *", listed=True
)
_DEPTHS = _vision_readings(_DENSE_BLOCKS, "encoder.backbone.blocks.{}", "layer.{}", "2 t *", listed=False)
_SEGMENTS = _vision_readings(
    _DENSE_BLOCKS, "segmentation_model.0.backbone.blocks.{}", "layer.{}", "n t *", listed=False
)
_ATTENTION = _state_readings({"key": ("k_cache", "1 * t *"), "value": ("v_cache", "1 * t *")})
_RECURRENT = _state_readings({"ssm_state": ("ssm_state", "1 * *"), "conv_state": ("conv_state", "1 * *")})
_AUDIO = _audio_readings()
_DIFFUSION = _diffusion_readings()
_LATENTS = frozenset({"vae.decoder"})

SCRIPTS: dict[str, Script] = {
    script.name: script
    for script in (
        Script(
            "dinov3cls",
            _CLASSES,
            file_stems.class_and_image,
            needs=_each_alone(_CLASSIFIED_BLOCKS),
            measured_needs=(_all(_CLASSES),),
            blocks=_CLASSIFIED_BLOCKS,
            listed=list_forms.images_by_class,
            list_form='{"n01440764": [{"file_name": "ILSVRC2012_val_00000293.JPEG"}]}',
        ),
        Script(
            "dinov3dep",
            _DEPTHS,
            file_stems.flipped_image,
            needs=_each_alone(_DENSE_BLOCKS),
            measured_needs=(_all(_DEPTHS),),
            blocks=_DENSE_BLOCKS,
        ),
        Script("dinov3seg", _SEGMENTS, file_stems.cut_image, needs=(_all(_SEGMENTS),), blocks=_DENSE_BLOCKS),
        _script_of_prompts("qwen3", _ATTENTION),
        _script_of_prompts("falconmamba", _RECURRENT),
        Script(
            "kimiaudio",
            _AUDIO,
            file_stems.sound,
            needs=(_all(_AUDIO),),
            blocks=(_LAST,),
            sequence="tuple",
            listed=list_forms.sounds_by_set,
            list_form='{"OpenBookQA": [{"index": 7, "subset": "OpenBookQA"}]}',
        ),
        Script(
            "sd35cond",
            _DIFFUSION,
            file_stems.picture,
            needs=(_all(_DIFFUSION) - _LATENTS, _LATENTS),
            dtype="float16",
            listed=list_forms.pictures,
            list_form='[{"image_name": "000000000139.jpg"}]',
        ),
    )
}
"""Scripts by the name of their file in LaMoFCBench."""


def script_named(name: str) -> Script:
    """Return a script by its name."""
    if name not in SCRIPTS:
        raise BadArgument(f"{name!r} is no evaluation script of LaMoFCBench", f"choose one of {', '.join(SCRIPTS)}")
    return SCRIPTS[name]
