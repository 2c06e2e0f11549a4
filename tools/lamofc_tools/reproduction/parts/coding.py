"""Parts that code a data set into a store of its own: rate, distortion, seconds, memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import lamofc_store as lamofc
from lamofc_codecs import describe, published_levels, register_vtm
from lamofc_store import Quality, Store
from lamofc_store.sample import Sample, layout
from lamofc_store.sources import ListedSource, Source
from lamofc_tools.comparison import b_max_mbps, coding_memory, gpu_memory, spread_profile
from lamofc_tools.reproduction.parts.inputs import FeatureSet, Inputs, Missing, digest, has_files, listing
from lamofc_tools.reproduction.parts.plan import Figures
from lamofc_tools.reproduction.parts.results import config_digest

Options = tuple[tuple[str, Any], ...]
"""Options of a fit as pairs, in place of a mapping, so that equal coders are equal keys."""
_TOTALS = """
SELECT
    totals.*,
    (SELECT sum(encode_seconds) FROM records) AS encode_seconds,
    (SELECT sum(bytes) FROM profiles WHERE profile IN (SELECT profile FROM records)) AS profile_bytes
FROM totals
"""
_BYTES_OF_32 = 4
"""Bytes of an element of 32 bits."""


@dataclass(frozen=True)
class Coder:
    """A codec with its options, and the settings at which a table has it."""

    row: str
    """Its name in the table."""
    codec: str
    settings: tuple[float, ...]
    target: str = "lmbda"
    """The quality that a setting is a value of; lmbda names the file of weights."""
    weights: str | None = None
    """Folder below that of weights, with a file `CODEC_lambdaLAMBDA.safetensors` for each setting."""
    as_published: str | None = None
    options: Options = ()

    @property
    def origin(self) -> str:
        """Weights, or the paper whose settings it has: coders of one name in several tables differ in these."""
        return self.weights or self.as_published or ""

    def weights_file(self, setting: float, inputs: Inputs) -> Path | None:
        """Return the file of the weights of a setting."""
        if self.weights is None:
            return None
        return inputs.weights / self.weights / f"{self.codec}_lambda{setting:g}.safetensors"

    def fit_options(self, features: FeatureSet, setting: float, inputs: Inputs) -> dict[str, Any]:
        """Return the options of the fit, with the paths of weights, levels and encoder that are there."""
        options, file = dict(self.options), self.weights_file(setting, inputs)
        if file is not None:
            options["weights"] = str(file)
        mapping = inputs.mapping()
        if mapping is not None and features.family is not None and "mapping" in describe(self.codec)["options"]:
            options |= {"mapping": str(mapping), "family": features.family}
        if inputs.vtm is not None and "vtm" in describe(self.codec)["options"]:
            options["vtm"] = inputs.vtm
        return options

    def quality(self, setting: float) -> Quality | None:
        """Return the quality of a setting; None where the weights fix it, or where nothing is lost."""
        if self.target in ("lmbda", "lossless"):
            return None
        return Quality(**{self.target: setting})  # type: ignore[arg-type]


@dataclass(frozen=True)
class CodedPart:
    """A data set, coded by one coder at one setting."""

    features: FeatureSet
    coder: Coder
    setting: float

    @property
    def name(self) -> str:
        """The data set, the codec and its setting."""
        return f"{self.features.path} {self.coder.row} {self.setting:g}"

    def missing(self, inputs: Inputs) -> list[Missing]:
        """List features, weights, and the samples that are fitted on where a fit is needed."""
        found = self.features.missing(inputs)
        file = self.coder.weights_file(self.setting, inputs)
        if file is not None and not file.is_file():
            found.append(Missing("weights", str(file), self._training(file)))
        if self._is_fitted(inputs):
            found += self.features.missing_calibration(inputs)
        return found

    def _is_fitted(self, inputs: Inputs) -> bool:
        """Whether samples decide more than statistics: levels without a mapping, a transform, a range."""
        options = self.coder.fit_options(self.features, self.setting, inputs)
        fixed = {"mapping", "range", "truncation"} & set(options)
        return self.coder.codec != "raw" and not fixed and self.coder.as_published != "lamofc"

    def _training(self, file: Path) -> str:
        paper = str(self.coder.weights).partition("/")[0]
        named = file.with_name(f"{self.coder.codec}_lambda{{lambda}}.safetensors")
        return f"lamofc codec train STORE... --arch {self.coder.codec} --as-published {paper} -o '{named}'"

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return features, codec, options and setting, files of weights by their content."""
        coder = self.coder
        options = coder.fit_options(self.features, self.setting, inputs)
        if "weights" in options:
            options["weights"] = digest(Path(options["weights"]))
        if "mapping" in options:
            options["mapping"] = config_digest(published_levels(Path(options["mapping"]), options["family"]))
        if "vtm" in options:
            options["vtm"] = register_vtm(options["vtm"])
        calibration = inputs.features / self.features.calibration
        return {
            **self.features.config(inputs),
            "codec": coder.codec,
            "options": {name: _plain(value) for name, value in sorted(options.items())},
            "as_published": coder.as_published,
            "setting": f"{coder.target}={self.setting:g}",
            "calibration": listing(calibration) if has_files(calibration) else None,
        }

    def store(self, inputs: Inputs) -> Store:
        """Open the store of the coded features, complete; a store that was begun is gone on with.

        Columns stay as they are once a sample is stored, so features with another table of labels have another store.
        """
        coder, features = self.coder, self.features
        content = {**self.config(inputs), "labels": features.labels_digest(inputs)}
        name = f"{coder.codec}-{self.setting:g}-{config_digest(content)}.lamofc"
        store = lamofc.open(str(inputs.results / "coded" / features.path / name), "a")
        source = features.source(inputs)
        ids = source.sample_ids() if isinstance(source, ListedSource) else None
        if ids is None or not set(ids) <= set(store):
            self._warm_up(source, inputs)
        self._ingest(store, source, inputs, fit_source=features.fit_source(inputs), table=features.table(inputs))
        return store

    def _warm_up(self, source: Source, inputs: Inputs) -> None:
        """Code the first sample into a store that is thrown away, so that a first call, which is slow, is not timed."""
        with tempfile.TemporaryDirectory() as folder, lamofc.open(f"{folder}/store", "a") as store:
            self._ingest(store, list(islice(source, 1)), inputs)

    def _ingest(self, store: Store, source: Iterable[Sample], inputs: Inputs, **options: Any) -> None:
        """Code samples into a store."""
        coder = self.coder
        codec_options = coder.fit_options(self.features, self.setting, inputs)
        options |= {"codec_options": codec_options, "as_published": coder.as_published, "block": 1}
        store.ingest(source, coder.codec, coder.quality(self.setting), **options)

    def measure(self, inputs: Inputs) -> Figures:
        """Code the features; rates are those of payloads, as the papers count, and `whole_ebpfp` counts everything."""
        with self.store(inputs) as store:
            relation = store.sql(_TOTALS)
            totals = {
                name: float(value or 0) for name, value in zip(relation.columns, relation.fetchall()[0], strict=True)
            }
            decode_seconds = decoding_seconds(store)
        samples, encode_seconds = totals["samples"], totals["encode_seconds"]
        elements_of_32 = totals["raw_bytes"] / _BYTES_OF_32 / samples
        saved_bits = 8 * totals["raw_bytes"] - totals["stored_bits"]
        return {
            "bpfp": totals["mean_payload_bpfp"],
            "ebpfp": totals["mean_payload_ebpfp"],
            "whole_ebpfp": totals["mean_ebpfp"] + spread_profile(totals["profile_bytes"], elements_of_32),
            "mse": totals["mean_mse"],
            "encode_seconds": encode_seconds / samples,
            "decode_seconds": decode_seconds / samples,
            "b_max": b_max_mbps(saved_bits, encode_seconds + decode_seconds),
            **{name: totals[name] for name in ("samples", "fallbacks", "expanded")},
        }


@dataclass(frozen=True)
class MemoryPart:
    """Peak memory of coding the largest plane of a data set, on the host and on a GPU if there is one.

    There are no figures where no record is the codec's.
    """

    coded: CodedPart

    @property
    def name(self) -> str:
        """The coding and the word memory."""
        return f"{self.coded.name} memory"

    def missing(self, inputs: Inputs) -> list[Missing]:
        """List all that the coding needs."""
        return self.coded.missing(inputs)

    def config(self, inputs: Inputs) -> dict[str, Any]:
        """Return the config of the coding and the word memory."""
        return {**self.coded.config(inputs), "measured": "memory"}

    def measure(self, inputs: Inputs) -> Figures:
        """Encode and decode in processes of their own."""
        with self.coded.store(inputs) as store:
            query = "SELECT sample, feature, pattern, profile FROM records WHERE codec = ? ORDER BY elements DESC"
            largest = store.sql(query, [self.coded.coder.codec]).fetchall()
            if not largest:
                return {}
            sample, feature, pattern, profile = largest[0]
            opened = store.profiles[profile]
        tensor = next(item for item in self.coded.features.source(inputs) if item.id == sample).features[feature]
        planes = layout.planes_of(tuple(tensor.shape), pattern)
        plane = layout.to_tokens(tensor, pattern).chunk(planes)[0]
        peaks = coding_memory(opened, plane)
        on_gpu = {name: float(peak) for name, peak in gpu_memory(opened, plane).items()}
        return {**{name: float(peaks[name]) for name in ("encode_bytes", "decode_bytes")}, **on_gpu}


def decoding_seconds(store: Store) -> float:
    """Read all samples one by one, and sum the seconds; a first call, which is slow, is not counted."""
    samples = list(store)
    for sample in samples[:1]:
        store.tensors(sample)
    started = time.perf_counter()
    for sample in samples:
        store.tensors(sample)
    return time.perf_counter() - started


def _plain(value: Any) -> Any:
    return list(map(_plain, value)) if isinstance(value, tuple) else value


ORIGINAL = Coder("Original", "raw", (0.0,), "lossless")
"""The features as they are."""
