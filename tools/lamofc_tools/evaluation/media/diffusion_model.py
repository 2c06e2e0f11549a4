"""A pipeline of Stable Diffusion 3 behind its text encoders, and its decoder of pictures behind the latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any

import torch
from torch import Tensor

from lamofc_store import Store
from lamofc_tools.consumer.media import measured_steps, scaled_answer
from lamofc_tools.evaluation.contract import Figure, FigureSet, find_stored_inputs, inputs_digest, recorded_extraction
from lamofc_tools.evaluation.media.error_sums import ErrorSums
from lamofc_tools.evaluation.media.picture_judge import JudgedPictures, PictureJudge
from lamofc_tools.models import DiffusionSource, Features, ModelInput, short_name, weights_digest

_FIGURES = FigureSet(
    "prompt",
    (
        Figure("answer_error", "error answers", ".3g", "relative squared error of the denoiser's answers"),
        Figure("prompt_error", "error prompts", ".3g", "relative squared error of pictures by prompts"),
        Figure("prompt_psnr", "PSNR prompts", ".1f"),
        Figure("latent_error", "error latents", ".3g", "relative squared error of pictures by latents"),
        Figure("latent_psnr", "PSNR latents", ".1f"),
        *(
            Figure(f"{part}_{name}", f"{heading} {part}s", form)
            for part in ("prompt", "latent")
            for name, heading, form in (("cosine", "cosine", ".4f"), ("fid", "FID", ".3g"))
        ),
    ),
)
_STEPS = 28
"""Steps of denoising of features whose extraction is not recorded, unless a number is given."""


@dataclass(frozen=True)
class _Run:
    """A run of the pipeline."""

    picture: Tensor
    answers: tuple[Tensor, ...]
    """The denoiser's answers at some steps, by classifier-free guidance."""
    judged: Tensor | None = None
    """The features that a vision model has of the picture."""


@dataclass
class DiffusionModel:
    """A pipeline that paints by stored prompts, and decodes stored latents, with the seed of their extraction."""

    source: DiffusionSource
    judge: PictureJudge | None = None
    """A vision model by whose features pictures are compared as well."""

    @classmethod
    def of(
        cls,
        source: DiffusionSource,
        store: Store,
        *,
        location: str | None = None,
        where: str | None = None,
        steps: int | None = None,
        judge: PictureJudge | None = None,
    ) -> DiffusionModel:
        """Find the prompts whose features a store has; by default those that were extracted into it.

        Seed and steps are those of the extraction; `steps` are for features whose extraction is not recorded.
        """
        extraction = recorded_extraction(store, source.features[0])
        seed, recorded = extraction.get("seed", source.seed), extraction.get("steps", _STEPS)
        items = find_stored_inputs(store, source, "texts", location, where)
        return cls(replace(source, items=items, seed=seed, steps=steps or recorded), judge)

    @property
    def name(self) -> str:
        """Name of the pipeline."""
        return short_name(self.source.name)

    @property
    def figure_set(self) -> FigureSet:
        """Errors of the denoiser's answers and of pictures."""
        return _FIGURES

    @property
    def settings(self) -> dict[str, Any]:
        """Steps and seed, and the model that compares pictures."""
        judge = None if self.judge is None else self.judge.loaded.name
        return {"steps": self.source.steps, "seed": self.source.seed, "judge": judge}

    @cached_property
    def samples(self) -> list[str]:
        """Ids of the prompts."""
        return list(self.by_id)

    @cached_property
    def by_id(self) -> dict[str, ModelInput]:
        """The prompts by their ids."""
        return {item.id: item for item in self.source.items}

    @cached_property
    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """The shape of each feature of each prompt; one of them goes through a single step."""
        with torch.no_grad():
            (sample,) = replace(self.source, steps=1).extract(self.source.items[:1])
        shapes = {name: tuple(value.shape) for name, value in sample.features.items()}
        return dict.fromkeys(self.samples, shapes)

    def config(self) -> dict[str, Any]:
        """Return the pipeline, its steps and seed, and the prompts by a digest."""
        run = self.source.run_config()
        return {
            **{key: run[key] for key in ("model", "weights", "steps", "seed")},
            "inputs": inputs_digest(self.source.items),
            "judge": None if self.judge is None else weights_digest([self.judge.loaded.model]),
        }

    def prepare(self, progress: Callable[[int], None]) -> None:
        """Run the whole pipeline on all prompts."""
        self.unbroken: dict[str, _Run] = {}
        for name in self.samples:
            run = self.run(name)
            self.unbroken[name] = run if self.judge is None else replace(run, judged=self.judge.features(run.picture))
            progress(1)

    def batches(self) -> Iterator[list[str]]:
        """Yield the id of each prompt alone."""
        return ([name] for name in self.samples)

    def tally(self) -> DiffusionTally:
        """Return an empty tally."""
        return DiffusionTally(self)

    def run(self, name: str) -> _Run:
        """Paint a picture by a prompt."""
        with self._recorded_answers() as answers:
            picture = self.source.run(self.by_id[name])
        return _Run(torch.as_tensor(picture), tuple(answers))

    @contextmanager
    def _recorded_answers(self) -> Iterator[list[Tensor]]:
        """Record the answers of the denoiser, by classifier-free guidance, within the context, at some of its steps."""
        chosen, numbers = measured_steps(self.source.steps), count()
        answers: list[Tensor] = []

        def record(module: Any, arguments: Any, output: Any) -> None:
            if next(numbers) in chosen:
                answers.append(scaled_answer(self.source, output[0]).cpu())

        hook = self.source.pipeline.transformer.register_forward_hook(record)
        try:
            yield answers
        finally:
            hook.remove()


@dataclass
class DiffusionTally:
    """Pictures by the decoded features of one store at one rate: by its prompts, and by its latents."""

    rest: DiffusionModel
    answers: ErrorSums = field(init=False, default_factory=ErrorSums)
    prompts: ErrorSums = field(init=False, default_factory=ErrorSums)
    latents: ErrorSums = field(init=False, default_factory=ErrorSums)
    judged: dict[str, JudgedPictures] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.rest.judge is not None:
            self.judged = {part: JudgedPictures(self.rest.judge) for part in ("prompt", "latent")}

    def add(self, names: Sequence[str], samples: Sequence[Features]) -> None:
        """Paint by decoded prompts, and decode decoded latents."""
        source = self.rest.source
        for name, features in zip(names, samples, strict=True):
            unbroken = self.rest.unbroken[name]
            with source.substitute_conditioning(features):
                run = self.rest.run(name)
            for wanted, found in zip(unbroken.answers, run.answers, strict=True):
                self.answers.compare(wanted, found)
            decoded = torch.as_tensor(source.decode_latents(features))
            self.prompts.compare(unbroken.picture, run.picture)
            self.latents.compare(unbroken.picture, decoded)
            for pictures, picture in zip(self.judged.values(), (run.picture, decoded), strict=False):
                pictures.add(picture)

    def values(self) -> dict[str, float]:
        """Return relative squared errors, signal-to-noise ratios in dB, and with a judge its distances of pictures."""
        wanted = [run.judged for run in self.rest.unbroken.values() if run.judged is not None]
        judged = {
            f"{part}_{name}": value
            for part, pictures in self.judged.items()
            for name, value in pictures.values(wanted).items()
        }
        return {
            "answer_error": self.answers.relative,
            "prompt_error": self.prompts.relative,
            "prompt_psnr": self.prompts.psnr,
            "latent_error": self.latents.relative,
            "latent_psnr": self.latents.psnr,
            **judged,
        }
