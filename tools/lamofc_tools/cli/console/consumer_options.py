"""Options of coding for a model: who reads the features, how its metric is measured, and where it is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store import DEFAULT_CODEC
from lamofc_store.errors import BadArgument
from lamofc_store.sources import CACHE
from lamofc_tools.cli.console.output import Output
from lamofc_tools.cli.console.rotary_values import parse_rotary, require_stated
from lamofc_tools.cli.console.values import require_folder

if TYPE_CHECKING:
    from lamofc_codecs import Rotary
    from lamofc_store.sources import Source
    from lamofc_tools.consumer import Consumer
    from lamofc_tools.models import LoadedModel

Options = dict[str, Any]
"""Keyword arguments of `Store.ingest` and `fit_profiles`."""
_CACHES, _CACHE_AXES = (".k_cache", ".v_cache"), 4
_FORM = "MODEL@BLOCK with the block counted from 0, such as gemma-3-270m@4, or a file that --metric wrote"


@dataclass(frozen=True)
class ConsumerOptions:
    """The models for which a fit weighs errors."""

    for_model: Annotated[
        list[str] | None,
        typer.Option(
            "--for-model",
            metavar="MODEL@BLOCK|FILE",
            help="Weigh errors by their effect on the rest of this model, after a block counted from 0; for klt. "
            "Repeatable.",
        ),
    ] = None
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", metavar="FILE", help="Keep in this file what was measured of the model; take it if it is there."
        ),
    ] = None
    metric_samples: Annotated[
        int, typer.Option("--metric-samples", metavar="N", min=16, max=64, help="Measure the model on so many samples.")
    ] = 32
    rotary: Annotated[
        list[str] | None,
        typer.Option(
            "--rotary",
            metavar="GLOB=THETA[,PAIRS]|find|none",
            help="Undo rotary positions of matching keys, whatever a model says of them: with frequencies from 1 to "
            "1/THETA and pairs of halves or neighbours, those that the fit finds, or none; for klt. Without it, those "
            "of the model, or those that the fit finds in features named as keys. Repeatable.",
        ),
    ] = None

    def consumer(
        self, loaded: "dict[str, LoadedModel]", origin: Any, out: Output, rotary: "Mapping[str, Rotary | None]"
    ) -> "Consumer":
        """Return who reads the features, with a metric to be measured on an origin: a source of features, or inputs.

        `loaded` holds models by name that need not be loaded again, `rotary` the rotations of keys that are known.
        """
        from lamofc_tools.consumer import Consumer

        consumers = [self._consumer(text, loaded, origin, rotary) for text in self.for_model or ()]
        return self.kept(Consumer.pooled(consumers), out)

    def kept(self, consumer: "Consumer", out: Output) -> "Consumer":
        """Return a consumer whose measurement is announced, and kept where --metric says."""
        announced = consumer.announced(out.note)
        if self.metric is None:
            return announced
        require_folder(Path(self.metric))
        return announced.kept_in(Path(self.metric))

    def measured(self, options: Options, consumer: "Consumer") -> Options:
        """Return options of features that are coded for a consumer."""
        return options

    def without_metric(self, options: Options) -> Options:
        """Return options of features that are coded for no model; refuse --metric there."""
        if self.metric is not None:
            raise BadArgument(
                f"--metric {self.metric} where nothing is coded for a model", f"give --for-model, too: {_FORM}"
            )
        return options

    def _consumer(
        self, text: str, loaded: "dict[str, LoadedModel]", origin: Any, rotary: "Mapping[str, Rotary | None]"
    ) -> "Consumer":
        from lamofc_tools.consumer import Consumer, ModelMetric, is_same_rotation

        if Path(text).is_file():
            known = Consumer.of_metric(ModelMetric.load(Path(text)))
            of_metric = [name for name in rotary if name in known.channels]
            unlike = [name for name in of_metric if not is_same_rotation(known.rotary.get(name), rotary[name])]
            if self.rotary and unlike:
                raise BadArgument(
                    f"--for-model {text} was measured with other rotary positions of {unlike[0]!r} than --rotary gives",
                    "leave out --rotary, or give MODEL@BLOCK, so that the metric is measured anew",
                )
            return known
        model, at, block = text.rpartition("@")
        if not (model and at and block.isdecimal()):
            raise BadArgument(f"--for-model {text!r} is no MODEL@BLOCK, and no file", f"give {_FORM}")
        if model not in loaded:
            loaded[model] = _open_model(model)
        make = Consumer.of_inputs if isinstance(origin, list) else Consumer.of_features
        return make(loaded[model], int(block), origin, self.metric_samples, rotary)


def _open_model(name: str) -> "LoadedModel":
    """Load a model with its head: on a GPU, if there is one, in the dtype of its weights; on the CPU in float32."""
    import torch

    from lamofc_tools.models import open_model

    place = ("cuda", None) if torch.cuda.is_available() else ("cpu", "float32")
    return open_model(name, *place, head=True)


@dataclass(frozen=True)
class SourceConsumerOptions(ConsumerOptions):
    """The models that read the features of a source, and the rotary positions of its keys."""

    def applied(self, options: Options, source: "Source", whole: "Source", out: Output) -> Options:
        """Return options with all that coding for the models adds to them; `whole` has all features of the source."""
        if not self.for_model and not self.rotary:
            require_consumer(options, "--for-model MODEL@BLOCK")
            return self.without_metric(options)
        require_klt(options, "--for-model" if self.for_model else "--rotary")
        options = with_cache_patterns(options, source) if self.for_model else options
        planned = plan_floats(source, options)
        rotary = parse_rotary(self.rotary or (), planned)
        if not self.for_model:
            require_consumer(options, "--for-model MODEL@BLOCK")
            return with_rotations(self.without_metric(options), rotary)
        stated = require_stated(rotary)
        consumer = self.consumer({}, whole, out, stated)
        coded = self.measured(for_consumer(options, consumer, {row.feature: row.channels for row in planned}), consumer)
        return with_rotations(coded, {**consumer.rotary, **stated})


@dataclass(frozen=True)
class ReplayOptions(ConsumerOptions):
    """The same, where records are written, whose divergence can be measured."""

    replay: Annotated[
        bool,
        typer.Option(
            "--replay",
            help="Meet --kl by measurement: let the model answer to what is decoded of each sample, and code it again "
            "where the divergence is far from --kl. Takes several times as long.",
        ),
    ] = False
    guided: Annotated[
        bool,
        typer.Option(
            "--guided",
            help="As --replay, give each token a step by how much the model's answers feel its errors, and round by "
            "their gradient: fewer bits at the same divergence, larger errors for other readers. Takes 36 to "
            "108 passes of the model over each sample, forward and backward, besides those that measure.",
        ),
    ] = False

    def measured(self, options: Options, consumer: "Consumer") -> Options:
        """Add the measure of divergences that --replay asks for, and the gradients that --guided follows."""
        if not self.replays:
            return options
        if not consumer.has_likelihood:
            raise BadArgument(
                f"{self._replaying} for {consumer.name}, whose answers have no likelihood to measure by",
                f"leave out {self._replaying}: --snr or --mse then count errors by how far they move its answers",
            )
        quality = options["quality"]
        if quality is None or quality.kind != "kl":
            raise BadArgument(f"{self._replaying} beside {quality}", f"give --kl, or leave out {self._replaying}")
        replay = consumer.replayed()
        by_gradients = {"draw": replay.draws, "guide": replay.gradient} if self.guided else {}
        return {**options, "measure": replay, **by_gradients}

    @property
    def replays(self) -> bool:
        """Whether the model answers to each sample."""
        return self.replay or self.guided

    @property
    def _replaying(self) -> str:
        """The option by which the model answers."""
        return "--guided" if self.guided else "--replay"

    def without_metric(self, options: Options) -> Options:
        """Refuse --replay and --guided as well."""
        if self.replays:
            raise BadArgument(
                f"{self._replaying} where nothing is coded for a model", f"give --kl, and --for-model {_FORM}"
            )
        return super().without_metric(options)


def plan_floats(source: "Source", options: Options) -> list[Any]:
    """Return the features of floats that an ingest would store, which is the same at each quality."""
    return [row for row in lamofc.plan(source, **{**options, "quality": None}) if "float" in row.dtype]


def with_cache_patterns(options: Options, source: "Source") -> Options:
    """Add the pattern of keys and values that bear a model's names, and whose axes nobody has named."""
    from lamofc_store.sample import layout

    caches = {
        escape(row.feature): CACHE
        for row in plan_floats(source, options)
        if row.feature.endswith(_CACHES) and len(row.shape) == _CACHE_AXES
        if row.pattern == layout.default_pattern(row.shape)
        if not any(fnmatchcase(row.feature, glob) for glob in options["patterns"])
    }
    return {**options, "patterns": {**options["patterns"], **caches}}


def for_consumer(options: Options, consumer: "Consumer", channels: Mapping[str, int]) -> Options:
    """Add what coding some features for a consumer takes: weights, and where none is named one group and a quality."""
    from lamofc_tools.consumer import USUAL_KL

    if "weight" in options["codec_options"]:
        raise BadArgument(f"--for-model {consumer.name} beside other weights of errors", "give one of them")
    names = consumer.reads(channels)
    quality = options["quality"] or (USUAL_KL if consumer.has_likelihood else None)
    if quality is not None and quality.kind == "kl" and not consumer.has_likelihood:
        raise BadArgument(f"{quality} for {consumer.name}, whose answers have no likelihood", "give --snr")
    unread = sorted(set(channels) - set(names))
    if quality is not None and quality.kind == "kl" and unread:
        raise BadArgument(
            f"{quality} of {unread[0]!r}, which {consumer.name} does not read",
            "leave it out, or give --snr",
        )
    coded = {**options, "quality": quality, "groups": options["groups"] or (one_group(names),)}
    return with_codec_options(coded, consumer.codec_options())


def one_group(names: Iterable[str]) -> str:
    """Return the glob of a group of these features."""
    return f"{{{','.join(map(escape, names))}}}"


def with_codec_options(options: Options, more: Mapping[str, Any]) -> Options:
    """Add options of the codec."""
    return {**options, "codec_options": {**options["codec_options"], **more}}


def with_rotations(options: Options, rotary: Mapping[str, Any]) -> Options:
    """Add the rotations of some features, if there are any; where all are None, as if no feature had one."""
    turned = dict(rotary) if any(rotary.values()) else None
    return with_codec_options(options, {"rotary": turned}) if rotary else options


def require_klt(options: Options, option: str) -> None:
    """Refuse a codec that weighs and turns nothing, and a profile that is fitted already."""
    if options["codec"] != DEFAULT_CODEC:
        raise BadArgument(
            f"{option} with codec {options['codec']!r}, which knows no consumer",
            f"leave out {option}, or code with {DEFAULT_CODEC}",
        )
    if options.get("profile") is not None:
        raise BadArgument(
            f"{option} beside a profile of {options['codec']}, which is fitted already", "give one of them"
        )


def require_consumer(options: Options, cure: str) -> None:
    """Refuse a divergence that nobody has measured."""
    quality = options["quality"]
    known = options.get("profile") is not None or "weight_nats" in options["codec_options"]
    if quality is not None and quality.kind == "kl" and not known:
        raise BadArgument(f"--kl {quality.value:g} without a model that reads the features", f"name it: {cure}")
