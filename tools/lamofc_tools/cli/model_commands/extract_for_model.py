"""Coding of extracted features for the models that read on: what `lamofc extract` adds to the options of an ingest."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_store import DEFAULT_CODEC
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import (
    Output,
    ReplayOptions,
    for_consumer,
    parse_rotary,
    plan_floats,
    require_consumer,
    require_klt,
    require_stated,
    with_rotations,
)

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.consumer import Consumer, Rotations
    from lamofc_tools.models import BlockSource, ModelSource


@dataclass(frozen=True)
class ExtractConsumerOptions(ReplayOptions):
    """The models that read extracted features; by default the rest of the language model that they are of."""

    plain: Annotated[
        bool,
        typer.Option("--plain", help="Code the features of a language model without regard to what reads them."),
    ] = False

    def applied(self, options: dict[str, Any], source: "ModelSource", store: "Store", out: Output) -> dict[str, Any]:
        """Return options with all that coding for the model adds to them."""
        decoder = _decoder_source(source)
        read = self._readable(options, source) if self.for_model else None
        if self.rotary:
            require_klt(options, "--rotary")
        named = parse_rotary(self.rotary, plan_floats(source, options)) if self.rotary else {}
        if read is not None:
            return self._for_models(options, require_stated(named), read, store, out)
        if self.plain or decoder is None or options["codec"] != DEFAULT_CODEC:
            require_consumer(options, "extract a language model, without --plain")
            return with_rotations(self.without_metric(options), named)
        rotary = _rotations(require_stated(named), decoder, out)
        turned = with_rotations(options, {name: turn for name, turn in rotary.items() if name in decoder.features})
        left_open = _is_left_open(options, decoder)
        begun = _as_begun(turned if self.rotary else options, turned, store, decoder)
        if begun is not None:
            if left_open or begun is not turned:
                out.note(f"coding without regard to what reads the features, as {store.url} has them already")
            return self.without_metric(begun)
        if not left_open:
            require_consumer(options, "extract one block that is not the last, without --group, or give --for-model")
            return self.without_metric(turned)
        return self._for_the_rest(turned, rotary, decoder, store, out)

    def _for_models(
        self, options: dict[str, Any], named: "Rotations", source: "BlockSource", store: "Store", out: Output
    ) -> dict[str, Any]:
        """Add what coding for the models of --for-model takes."""
        rotary = named if _decoder_source(source) is None else _rotations(named, source, out)
        answers = source.loaded.kind.cache is not None  # an encoder is loaded again, with its head
        loaded = {source.loaded.name: source.loaded} if answers else {}
        consumer = self.consumer(loaded, list(source.spread().items), out, rotary)
        _require_known(consumer, _configs(store, source))
        turned = with_rotations(options, {name: turn for name, turn in rotary.items() if name in source.features})
        return self.measured(_coded_for(turned, consumer, source, out), consumer)

    def _for_the_rest(
        self, options: dict[str, Any], rotary: "Rotations", decoder: "BlockSource", store: "Store", out: Output
    ) -> dict[str, Any]:
        """Add what coding for the rest of the model takes; a note says why, where it cannot be measured.

        A store that codes features for a consumer gets none that are coded without regard to it.
        """
        from lamofc_tools.consumer import Consumer

        texts, configs = list(decoder.spread().items), _configs(store, decoder)
        try:
            measured = Consumer.of_texts(decoder.loaded, decoder.blocks[0], texts, self.metric_samples, rotary)
            consumer = self.kept(measured, out)
            _require_known(consumer, configs)
        except BadArgument as error:
            asked = options["quality"] is not None or self.metric is not None or self.replays
            if asked or any("consumer" in config for config in configs):
                raise
            out.note(f"coding without regard to what reads the features: {error}")
            return options
        return self.measured(
            _coded_for(options, consumer, decoder, out, "; --plain codes without regard to it"), consumer
        )

    def _readable(self, options: dict[str, Any], source: "ModelSource") -> "BlockSource":
        """Return the source if --for-model can have an effect on its features."""
        from lamofc_tools.models import BlockSource

        require_klt(options, "--for-model")
        if self.plain:
            raise BadArgument(f"--for-model {(self.for_model or [''])[0]} with --plain", "give one of them")
        if not isinstance(source, BlockSource):
            raise BadArgument(
                f"--for-model for {source.describe()}", "leave it out: it is for blocks of models of transformers"
            )
        return source


def _require_known(consumer: "Consumer", configs: list[dict[str, Any]]) -> None:
    """Refuse a consumer whose metric cannot be measured, unless a profile with one of these configurations has it."""
    digests = (None, consumer.digest)
    known = any(c.get("consumer") == consumer.name and c.get("consumer_digest") in digests for c in configs)
    if consumer.lack is not None and not known:
        raise consumer.lack


def _decoder_source(source: "ModelSource") -> "BlockSource | None":
    """Return the source if its model is a causal language model with attention."""
    from lamofc_tools.models import ATTENTION, BlockSource

    return source if isinstance(source, BlockSource) and source.loaded.kind.cache is ATTENTION else None


def _as_begun(
    options: dict[str, Any], turned: dict[str, Any], store: "Store", decoder: "BlockSource"
) -> dict[str, Any] | None:
    """Return the options, with the model's rotary positions or without, by which a store codes features already.

    None where it codes none of them, or for a consumer, or where a divergence is asked for.
    """
    quality = options["quality"]
    configs = [] if quality is not None and quality.kind == "kl" else _configs(store, decoder)
    if not configs or any("consumer" in config for config in configs):
        return None
    rotations = (turned["codec_options"].get("rotary") or {}).values()
    told = [rotary.to_json() for rotary in rotations if rotary is not None]
    begun = [rotary for config in configs for rotary in config.get("rotary", ()) if rotary is not None]
    return turned if bool(begun) == bool(told) and all(rotary in told for rotary in begun) else options


def _configs(store: "Store", decoder: "BlockSource") -> list[dict[str, Any]]:
    """Return the configurations of the profiles by which a store codes any of the features, alone or in groups."""
    rows = store.sql(
        "SELECT features, config FROM profiles WHERE codec = ? AND config IS NOT NULL", [DEFAULT_CODEC]
    ).fetchall()
    named = [({name for joined in features for name in joined.split("+")}, config) for features, config in rows]
    return [json.loads(config) for names, config in named if names & set(decoder.features)]


def _is_left_open(options: dict[str, Any], decoder: "BlockSource") -> bool:
    """Whether the user leaves open how to code the features of one block that other blocks read."""
    quality = options["quality"]
    named = options["groups"] or (quality is not None and quality.kind != "kl")
    return not named and len(decoder.blocks) == 1 and decoder.blocks[0] <= decoder.loaded.last_split


def _rotations(named: "Rotations", decoder: "BlockSource", out: Output) -> "Rotations":
    """Return the rotations of keys up to the last block that is extracted: those that are named, and the model's."""
    from lamofc_tools.consumer import key_rotations

    try:
        return key_rotations(decoder.loaded, max(decoder.blocks) + 1, named)
    except BadArgument as error:
        out.note(f"coding keys without regard to the model's rotary positions: {error}")
        return named


def _coded_for(
    options: dict[str, Any], consumer: "Consumer", source: "BlockSource", out: Output, more: str = ""
) -> dict[str, Any]:
    """Add what coding for the consumer takes, and say so."""
    coded = for_consumer(options, consumer, {row.feature: row.channels for row in plan_floats(source, options)})
    groups = "features in one group" if not options["groups"] else "features in groups"
    keys = ", keys without their positions" if consumer.rotary else ""
    out.note(
        f"coding for {consumer.name}: {groups}{keys}, errors weighed by what they do there, {coded['quality']}{more}"
    )
    return coded
