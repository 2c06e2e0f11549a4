"""The metric of Stable Diffusion 3: prompts and hidden states as the denoiser feels them, latents as pictures show."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor

from lamofc_store.errors import BadArgument
from lamofc_store.sample import layout
from lamofc_tools.consumer import ModelMetric, measure_consumer
from lamofc_tools.models import DiffusionSource, find_inputs, open_pipeline
from tests.tools.consumer.noise import errors, stir
from tests.tools.models import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that are under test here


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DiffusionSource:
    """A pipeline of one step, whose answer follows from the features that are put back."""
    folder = tmp_path_factory.mktemp("sd3")
    name = tiny_models.painter(folder / "stable")
    pipeline = open_pipeline(name, dtype="float32")
    stir(pipeline.transformer)
    stir(pipeline.vae.decoder)
    return DiffusionSource(find_inputs(str(tiny_models.texts(folder / "texts", 2)), "texts"), name, pipeline, steps=1)


def answer(
    source: DiffusionSource, features: Mapping[str, Tensor], added: Mapping[str, Tensor] | None = None
) -> Tensor:
    """The answer by classifier-free guidance to stored prompts, after errors of the states that block 0 leaves."""
    found: list[Tensor] = []

    def add(module: object, arguments: object, states: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        names = ("layer.0.encoder_hidden_states", "layer.0.hidden_states")
        return tuple(state + (added or {}).get(name, 0) for name, state in zip(names, states, strict=True))

    transformer = source.pipeline.transformer
    with ExitStack() as stack:
        stack.enter_context(source.substitute_conditioning(features))
        hooks = [
            transformer.transformer_blocks[0].register_forward_hook(add),
            transformer.register_forward_hook(lambda module, arguments, output: found.append(output[0])),
        ]
        source.run(source.items[0])
    for hook in hooks:
        hook.remove()
    negative, positive = found[0].chunk(2)
    return negative + source.pipeline.guidance_scale * (positive - negative)


def change(values: Tensor, unbroken: Tensor) -> float:
    deviations = unbroken.movedim(-3, 0).flatten(1).std(1)
    return float(((values - unbroken).movedim(-3, 0).flatten(1) / deviations[:, None]).square().mean())


def assert_foretold(metric: ModelMetric, name: str, rows: Tensor, changed: Callable[[Tensor], float]) -> None:
    """Compare means over a few errors of rows: at small ones a few directions of a few tokens decide."""
    moved, foretold = torch.zeros(2), torch.zeros(2)
    for seed in range(4):
        for number, error in enumerate(errors(rows, metric.matrices[name], 0.01, seed)):
            moved[number] += changed(error.float())
            foretold[number] += metric.relative_change({name: error})
    assert (moved / foretold).log2().abs().max() < 1, name
    assert moved[1] < 0.8 * moved[0], name


@torch.no_grad()
def test_prompts_and_latents_are_felt_as_foretold(source: DiffusionSource) -> None:
    metric = measure_consumer(source, source.items[:1], draws=48)
    (sample,) = source.extract(source.items[:1])
    features = sample.features
    assert set(metric.matrices) == set(features) and metric.nats is None and metric.consumer == "stable"
    decoder, unbroken = source.pipeline.vae.decoder, answer(source, features)
    prompt, latents = "text_encoder_3-item2.t5_prompt_embeds", features["vae.decoder"]

    def seen(error: Tensor) -> float:
        noisy = latents + layout.from_tokens(error, "c h w -> (h w) c", latents.shape)
        return change(decoder(noisy[None]), decoder(latents[None]))

    def denoised(error: Tensor) -> float:
        return change(answer(source, {**features, prompt: features[prompt] + error}), unbroken)

    assert_foretold(metric, "vae.decoder", layout.to_tokens(latents, "c h w -> (h w) c"), seen)
    assert_foretold(metric, prompt, features[prompt], denoised)


@torch.no_grad()
def test_hidden_states_are_felt_as_foretold(source: DiffusionSource) -> None:
    metric = measure_consumer(source, source.items[:1], 0, draws=32)
    assert metric.consumer == "stable@0"
    (sample,) = source.extract(source.items[:1])
    unbroken = answer(source, sample.features)
    for state, tokens in (("hidden_states", 16), ("encoder_hidden_states", 77 + 256)):
        name = f"layer.0.{state}"

        def denoised(error: Tensor, name: str = name, tokens: int = tokens) -> float:
            return change(answer(source, sample.features, {name: error.view(2, tokens, 32)}), unbroken)

        assert_foretold(metric, name, torch.randn(2 * tokens, 32), denoised)


def test_the_last_block_leaves_no_states_of_the_prompt(source: DiffusionSource) -> None:
    assert set(measure_consumer(source, source.items, 1).matrices) == {"layer.1.hidden_states"}
    with pytest.raises(BadArgument, match="block 2 of a denoiser that has 2"):
        measure_consumer(source, source.items, 2)
    assert not any(block._forward_hooks for block in source.pipeline.transformer.transformer_blocks)
