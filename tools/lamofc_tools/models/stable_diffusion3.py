"""Stable Diffusion 3: prompts by its text encoders, a ControlNet's picture, and the latents that its decoder is given.

All are taken out, and put back. Encoders are counted in the order in which a pipeline calls them: those of the prompt,
then of the negative prompt. An encoder's classes are not looked at, only what pipelines of diffusers read of their
outputs.
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
from lamofc_tools.models.inputs import Given
from lamofc_tools.models.loaded_model import checked
from lamofc_tools.models.model_source import ModelSource, weights_of
from lamofc_tools.models.substitution import Features, replaced_forward, require_feature

ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
FAMILY = "sd35"
_CLIP, _T5 = ("clip_pooled_prompt_embeds", "clip_prompt_embeds"), ("t5_prompt_embeds",)
_CONTROL = "vae.encoder"
"""What the picture of a ControlNet goes through; of its rows there are two where pictures are guided."""
_READ = -2
"""Which of a CLIP encoder's hidden states is the prompt's embedding."""


@dataclass(frozen=True)
class DiffusionSource(ModelSource):
    """Prompts through a pipeline."""

    name: str
    pipeline: Any
    steps: int = 28
    seed: int = 0

    def samples(self, given: Sequence[Given]) -> Sequence[Sample]:
        """What each prompt's run leaves between its parts."""
        return [self._sample(one) for one in given]

    def describe(self) -> str:
        """What runs through what."""
        return f"{len(self)} prompts through {self.name}, {self.steps} steps"

    @property
    def features(self) -> list[str]:
        """Features that every sample has: with guidance there are those of a negative prompt, too."""
        controls = [f"{_CONTROL}_f0"] if self.controlled else []
        return ["text_encoder-item0.clip_prompt_embeds", *controls, "vae.decoder"]

    @property
    def controlled(self) -> bool:
        """Whether a ControlNet asks for a picture beside each prompt."""
        return getattr(self.pipeline, "controlnet", None) is not None

    def told(self) -> dict[str, Any]:
        """What a run's config says."""
        modules = [part for part in self.pipeline.components.values() if isinstance(part, nn.Module)]
        return {
            "model": self.name,
            "model_type": type(self.pipeline).__name__,
            "features": self.features,
            "weights": weights_of(modules),
            "steps": self.steps,
            "seed": self.seed,
        }

    def run(self, given: Given) -> Any:
        """The picture of a prompt, as an array: the same for the same seed, on the same kind of machine."""
        draw = torch.Generator().manual_seed(self.seed)
        options: dict[str, Any] = {"control_image": given.image()} if self.controlled else {}
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)  # encoded pictures are drawn from a distribution, and by no generator
            found = self.pipeline(
                given.text, num_inference_steps=self.steps, generator=draw, output_type="np", **options
            )
        return found.images[0]

    def _sample(self, given: Given) -> Sample:
        payload: dict[str, Any] = {}
        with self._listening(payload):
            self.run(given)
        found = of_family(payload, given.id, FAMILY)
        return replace(found, attributes=self.attributes(given))

    def attributes(self, given: Given) -> dict[str, Any]:
        """Its prompt as well."""
        return {**given.attributes, "prompt": given.text}

    def paint(self, features: Features) -> Any:
        """The picture of latents that were stored: the decoder alone is run."""
        latents = require_feature(features, "vae.decoder")[None].to(self.pipeline.vae.device)
        with torch.no_grad():
            image = self.pipeline.vae.decode(latents, return_dict=False)[0]
        return self.pipeline.image_processor.postprocess(image, output_type="np")[0]

    @contextmanager
    def conditioned(self, features: Features) -> Iterator[None]:
        """Within it, the next run takes its prompts from what was stored; no text encoder is run."""
        calls = iter(range(2 * len(ENCODERS)))
        with ExitStack() as stack:
            for name in ENCODERS:
                stack.enter_context(replaced_forward(getattr(self.pipeline, name), _told(features, name, calls)))
            if self.controlled:
                stack.enter_context(replaced_forward(self.pipeline.vae.encoder, _encoded(features)))
            yield

    @contextmanager
    def _listening(self, payload: dict[str, Any]) -> Iterator[None]:
        def heard(name: str) -> Callable[..., None]:
            def hook(module: Any, arguments: Any, output: Any) -> None:
                kept = (output[0], output.hidden_states[_READ]) if name != ENCODERS[-1] else (output[0],)
                names = _CLIP if name != ENCODERS[-1] else _T5
                calls = sum(key.startswith("text_encoder") for key in payload)
                payload[f"{name}-item{calls}"] = {
                    told: value[0].detach().cpu().clone() for told, value in zip(names, kept, strict=True)
                }

            return hook

        def decoded(module: Any, arguments: Any) -> None:
            payload["vae.decoder"] = arguments[0][0].detach().cpu().clone()

        def encoded(module: Any, arguments: Any, output: Any) -> None:
            rows = {f"{_CONTROL}_f{number}": row.detach().cpu().clone() for number, row in enumerate(output)}
            payload[_CONTROL] = rows

        with ExitStack() as stack:
            for name in ENCODERS:
                stack.enter_context(getattr(self.pipeline, name).register_forward_hook(heard(name)))
            stack.enter_context(self.pipeline.vae.encoder.register_forward_hook(encoded))
            stack.enter_context(self.pipeline.vae.decoder.register_forward_pre_hook(decoded))
            yield


@dataclass(frozen=True)
class _Output:
    """What a pipeline reads of an encoder."""

    first: Tensor
    hidden_states: tuple[Tensor | None, ...] = ()

    def __getitem__(self, place: int) -> Tensor:
        return (self.first,)[place]


def _told(features: Features, name: str, calls: Iterator[int]) -> Callable[..., _Output]:
    """The forward of an encoder that gives what was stored for its turn."""

    def forward(tokens: Tensor, *arguments: Any, **options: Any) -> _Output:
        item = f"{name}-item{next(calls)}"
        if name == ENCODERS[-1]:
            return _Output(require_feature(features, f"{item}.{_T5[0]}")[None].to(tokens.device))
        pooled, states = (require_feature(features, f"{item}.{told}")[None].to(tokens.device) for told in _CLIP)
        return _Output(pooled, (states, None))

    return forward


def _encoded(features: Features) -> Callable[..., Tensor]:
    """The forward of the VAE's encoder that gives what was stored."""
    rows = [require_feature(features, f"{_CONTROL}_f{number}") for number in range(1 + (f"{_CONTROL}_f1" in features))]
    return lambda image: torch.stack(rows).to(image.device)


def is_pipeline(name: str) -> bool:
    """Whether a folder holds a pipeline of diffusers; of a hub, whether its name says so."""
    return (Path(name) / "model_index.json").is_file() or "stable-diffusion" in Path(name).name.lower()


def open_pipeline(name: str, device: str = "cpu", dtype: str | None = None) -> Any:
    """Load a pipeline of diffusers; `dtype` as torch names it, or as the weights are."""
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtra(
            f"{name} is a pipeline of diffusers: {error}", "pip install 'lamofc-store[models]'"
        ) from error
    pipeline = diffusers.DiffusionPipeline.from_pretrained(name)  # type: ignore[no-untyped-call]
    # its text encoders are in the dtype of their weights, all else is not
    pipeline = pipeline.to(device, pipeline.text_encoder.dtype if dtype is None else checked(dtype))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
