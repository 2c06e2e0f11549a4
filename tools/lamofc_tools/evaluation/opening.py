"""Open the rest of any kind of model, with the inputs whose features a store has."""

from __future__ import annotations

from dataclasses import dataclass

from lamofc_store import Store
from lamofc_store.errors import BadArgument, Hint
from lamofc_tools.consumer import CONTINUATION, split_decoder
from lamofc_tools.consumer.media import EncoderSplit
from lamofc_tools.evaluation.contract import RestOfModel, find_stored_inputs
from lamofc_tools.evaluation.language_model import LanguageModel, TextOptions
from lamofc_tools.evaluation.media import DiffusionModel, EncoderModel, PictureJudge, SpeechModel
from lamofc_tools.models import BlockSource, DiffusionSource, LoadedModel, is_pipeline, open_model, open_pipeline


@dataclass(frozen=True, kw_only=True)
class RestOptions:
    """The split of a model, the inputs that it reads, and how it runs."""

    block: int | None = None
    """Block after which features are put back, counted from zero; a pipeline of diffusers goes without."""
    data: str | None = None
    """Folder or file of the inputs; None for the one from which the features were extracted."""
    where: str | None = None
    """Condition on samples in the language of the store's queries."""
    tokens: int | None = None
    """Tokens of a text's prefix; None for all that the store has."""
    continued: int | None = None
    """Most tokens after a prefix, or of a transcript; None for 48, or for all that the model takes."""
    steps: int | None = None
    """Steps of denoising; None for those of the extraction."""
    judge: str | None = None
    """Model of images by whose features pictures of a pipeline are compared as well."""
    batch: int = 4
    device: str = "cpu"
    dtype: str | None = None
    """Dtype of the model; None for that of its weights."""


def open_rest(model: str, store: Store, options: RestOptions) -> RestOfModel:
    """Load a model with its head, if it has one, and find the inputs whose features a store has."""
    if is_pipeline(model):
        return _open_pipeline(model, store, options)
    loaded = open_model(model, options.device, options.dtype, head=True)
    if options.block is None:
        raise BadArgument(f"{model} without a block", Hint(f"give [block] 0 to {loaded.last_split}"))
    for name in ("steps", "judge"):
        if (given := getattr(options, name)) is not None:
            raise BadArgument(f"{name} {given} for {model}, which paints no pictures", Hint(f"leave [{name}] out"))
    if loaded.kind.cache is None:
        return _open_encoder(loaded, options.block, store, options)
    texts = TextOptions(options.tokens, CONTINUATION if options.continued is None else options.continued)
    split = split_decoder(loaded, options.block)
    return LanguageModel.of(split, store, texts, location=options.data, where=options.where, batch=options.batch)


def _open_encoder(loaded: LoadedModel, block: int, store: Store, options: RestOptions) -> EncoderModel:
    _refuse_tokens(loaded.name, options)
    split, source = EncoderSplit(loaded, block), BlockSource([], loaded, (block,))
    items = find_stored_inputs(store, source, loaded.kind.inputs, options.data, options.where)
    if loaded.has_head and loaded.config.is_encoder_decoder:
        return SpeechModel(split, items, options.batch, options.continued)
    return EncoderModel(split, items, options.batch)


def _open_pipeline(model: str, store: Store, options: RestOptions) -> DiffusionModel:
    _refuse_tokens(model, options)
    if options.block is not None:
        raise BadArgument(
            f"block {options.block} of {model}: stores have prompts and latents of a pipeline",
            Hint("leave [block] out"),
        )
    source = DiffusionSource([], model, open_pipeline(model, options.device, options.dtype))
    judge = None if options.judge is None else PictureJudge(open_model(options.judge, options.device))
    found = {"location": options.data, "where": options.where}
    return DiffusionModel.of(source, store, steps=options.steps, judge=judge, **found)


def _refuse_tokens(model: str, options: RestOptions) -> None:
    if options.tokens is not None:
        raise BadArgument(
            f"a prefix of {options.tokens} tokens of {model}, which continues no texts", Hint("leave [tokens] out")
        )
