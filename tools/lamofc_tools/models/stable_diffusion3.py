"""Features of Stable Diffusion 3: outputs of the text encoders, a ControlNet's image, and latents before the decoder.

Forward hooks record all of them, and stored ones can be substituted. The calls of the encoders are numbered in a
pipeline's order: those of the prompt, then those of the negative prompt. An encoder may be of any class, because only
the parts of its output that pipelines of diffusers read are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lamofc_codecs import MissingExtra
from lamofc_store import Sample
from lamofc_store.sources import of_family
from lamofc_tools.deprecated_names import former_method
from lamofc_tools.models.inputs import ModelInput
from lamofc_tools.models.loaded_model import parse_dtype
from lamofc_tools.models.model_source import ModelSource, weights_digest
from lamofc_tools.models.substitution import Features, replaced_forward, require_feature

ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
FAMILY = "sd35"
_CLIP_OUTPUTS, _T5_OUTPUTS = ("clip_pooled_prompt_embeds", "clip_prompt_embeds"), ("t5_prompt_embeds",)
_CONTROL = "vae.encoder"
"""Prefix of the features of a ControlNet's image, one for each row of the batch; with guidance there are two rows."""
_LATENTS = "vae.decoder"
_CLIP_HIDDEN_STATE = -2
"""Index of the hidden state of a CLIP encoder that is the prompt's embedding."""


@dataclass(frozen=True)
class DiffusionSource(ModelSource):
    """A source that runs a pipeline of diffusers on each prompt."""

    name: str
    pipeline: Any
    steps: int = 28
    seed: int = 0

    def extract(self, batch: Sequence[ModelInput]) -> Sequence[Sample]:
        """Run the pipeline on each prompt and return the recorded features."""
        return [self._sample(item) for item in batch]

    def describe(self) -> str:
        """Describe the inputs and the pipeline in one line."""
        return f"{len(self)} prompts through {self.name}, {self.steps} steps"

    @property
    def features(self) -> list[str]:
        """Names of features that every sample has; with guidance, samples also have those of a negative prompt."""
        control = [f"{_CONTROL}_f0"] if self.controlled else []
        return ["text_encoder-item0.clip_prompt_embeds", *control, _LATENTS]

    @property
    def controlled(self) -> bool:
        """Whether a ControlNet needs an image beside each prompt."""
        return getattr(self.pipeline, "controlnet", None) is not None

    def run_config(self) -> dict[str, Any]:
        """Return the configuration of a run."""
        return {
            "model": self.name,
            "model_type": type(self.pipeline).__name__,
            "features": self.features,
            "weights": weights_digest(self._modules),
            "steps": self.steps,
            "seed": self.seed,
        }

    @property
    def digest(self) -> str:
        """Digest of the weights of all parts, the same in each dtype that holds them."""
        return weights_digest(self._modules, torch.bfloat16)

    @property
    def _modules(self) -> list[nn.Module]:
        return [part for part in self.pipeline.components.values() if isinstance(part, nn.Module)]

    def run(self, item: ModelInput) -> Any:
        """Generate the image of a prompt as an array. A seed gives the same image on the same kind of machine."""
        generator = torch.Generator().manual_seed(self.seed)
        options: dict[str, Any] = {"control_image": item.image()} if self.controlled else {}
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)  # the VAE samples the latents of control images without the generator
            output = self.pipeline(
                item.text, num_inference_steps=self.steps, generator=generator, output_type="np", **options
            )
        return output.images[0]

    def _sample(self, item: ModelInput) -> Sample:
        payload: dict[str, Any] = {}
        with self._recorded_activations(payload):
            self.run(item)
        return replace(of_family(payload, item.id, FAMILY), attributes=self.attributes(item))

    def attributes(self, item: ModelInput) -> dict[str, Any]:
        """Return the columns of an input's sample, the prompt among them."""
        return {**item.attributes, "prompt": item.text}

    def decode_latents(self, features: Features) -> Any:
        """Decode stored latents to an image, without running any other part of the pipeline."""
        latents = require_feature(features, _LATENTS)[None].to(self.pipeline.vae.device)
        with torch.no_grad():
            image = self.pipeline.vae.decode(latents, return_dict=False)[0]
        return self.pipeline.image_processor.postprocess(image, output_type="np")[0]

    @contextmanager
    def substitute_conditioning(self, features: Features) -> Iterator[None]:
        """Make the next run within the context use the stored outputs of all encoders, so that no encoder is run."""
        calls = iter(range(2 * len(ENCODERS)))
        with ExitStack() as stack:
            for name in ENCODERS:
                encoder = getattr(self.pipeline, name)
                stack.enter_context(replaced_forward(encoder, _stored_prompt(features, name, calls)))
            if self.controlled:
                stack.enter_context(replaced_forward(self.pipeline.vae.encoder, _stored_control(features)))
            yield

    paint = former_method("DiffusionSource.paint", decode_latents)
    conditioned = former_method("DiffusionSource.conditioned", substitute_conditioning)

    @contextmanager
    def _recorded_activations(self, payload: dict[str, Any]) -> Iterator[None]:
        """Record a run within the context in the payload, with the nesting of the published files."""

        def prompt_hook(name: str) -> Callable[..., None]:
            def hook(module: Any, arguments: Any, output: Any) -> None:
                tensors = (output[0], output.hidden_states[_CLIP_HIDDEN_STATE]) if _is_clip(name) else (output[0],)
                calls = sum(key.startswith("text_encoder") for key in payload)
                payload[f"{name}-item{calls}"] = {
                    key: tensor[0].detach().cpu().clone()
                    for key, tensor in zip(_CLIP_OUTPUTS if _is_clip(name) else _T5_OUTPUTS, tensors, strict=True)
                }

            return hook

        def latents_hook(module: Any, arguments: Any) -> None:
            payload[_LATENTS] = arguments[0][0].detach().cpu().clone()

        def control_hook(module: Any, arguments: Any, output: Any) -> None:
            rows = {f"{_CONTROL}_f{number}": row.detach().cpu().clone() for number, row in enumerate(output)}
            payload[_CONTROL] = rows

        with ExitStack() as stack:
            for name in ENCODERS:
                stack.enter_context(getattr(self.pipeline, name).register_forward_hook(prompt_hook(name)))
            stack.enter_context(self.pipeline.vae.encoder.register_forward_hook(control_hook))
            stack.enter_context(self.pipeline.vae.decoder.register_forward_pre_hook(latents_hook))
            yield


def _is_clip(name: str) -> bool:
    return name != ENCODERS[-1]


@dataclass(frozen=True)
class _EncoderOutput:
    """The parts of an encoder's output that a pipeline reads."""

    first: Tensor
    hidden_states: tuple[Tensor | None, ...] = ()

    def __getitem__(self, place: int) -> Tensor:
        return (self.first,)[place]


def _stored_prompt(features: Features, name: str, calls: Iterator[int]) -> Callable[..., _EncoderOutput]:
    """Return a forward for an encoder that returns the stored outputs of its next call."""

    def forward(tokens: Tensor, *arguments: Any, **options: Any) -> _EncoderOutput:
        call = f"{name}-item{next(calls)}"
        outputs = _CLIP_OUTPUTS if _is_clip(name) else _T5_OUTPUTS
        tensors = [require_feature(features, f"{call}.{output}")[None].to(tokens.device) for output in outputs]
        return _EncoderOutput(tensors[0], (*tensors[1:], None))  # the embedding is the last state but one

    return forward


def _stored_control(features: Features) -> Callable[..., Tensor]:
    """Return a forward for the VAE's encoder that returns the stored features of the image."""
    rows = [require_feature(features, f"{_CONTROL}_f{number}") for number in range(1 + (f"{_CONTROL}_f1" in features))]
    return lambda image: torch.stack(rows).to(image.device)


def is_pipeline(name: str) -> bool:
    """Return whether a folder holds a pipeline of diffusers; for an id on a hub, whether it names Stable Diffusion."""
    return (Path(name) / "model_index.json").is_file() or "stable-diffusion" in Path(name).name.lower()


def open_pipeline(name: str, device: str = "cpu", dtype: str | None = None) -> Any:
    """Load a pipeline of diffusers; without `dtype` it gets the dtype of its first text encoder."""
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtra(
            f"{name} is a pipeline of diffusers: {error}", "pip install 'lamofc-store[models]'"
        ) from error
    pipeline = diffusers.DiffusionPipeline.from_pretrained(name)  # type: ignore[no-untyped-call]
    # diffusers loads all other parts in float32, whatever the dtype of their weights
    pipeline = pipeline.to(device, pipeline.text_encoder.dtype if dtype is None else parse_dtype(dtype))
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            part.requires_grad_(False)
    return pipeline
