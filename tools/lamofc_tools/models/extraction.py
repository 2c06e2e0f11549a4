"""Extract the features of a model into a store or into files. Samples that exist already are skipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lamofc_store import DEFAULT_CODEC, Report, Store, add_run, usual_quality
from lamofc_store.errors import BadArgument, Conflict, Hint
from lamofc_store.exporting import (
    Script,
    atomic_file,
    claim,
    export_files,
    format_named,
    read_sample_list,
    script_files,
    script_named,
    select_listed,
    write_index,
)
from lamofc_store.sources import SCRIPT_KEY, UnreadableSample
from lamofc_tools.models.block_source import BlockSource
from lamofc_tools.models.inputs import ModelInput, find_inputs, image_views
from lamofc_tools.models.loaded_model import open_model
from lamofc_tools.models.model_source import ModelSource, short_name
from lamofc_tools.models.stable_diffusion3 import DiffusionSource, is_pipeline, open_pipeline

RUN_KIND = "extract"
"""Kind of the runs that record extractions in a catalog."""
_COMPARED_KEYS = ("weights", "processor", "dtype", "steps", "seed")
"""Keys of a run's configuration that must be equal for features of the same names."""


@dataclass(frozen=True)
class ExtractionReport:
    """Counts of an extraction."""

    samples: int
    """Samples that were written."""
    already: int
    """Samples that existed before."""
    skipped: int
    """Inputs that the model could not take."""
    raw_bytes: int
    stored_bytes: int
    warnings: Sequence[str] = ()
    """Findings about the stored features that deserve a look."""


Progress = Callable[[int, int], None]
"""A callback that receives the number of samples done and the total."""


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Options of a source: the blocks after which a model is split, and the settings with which it runs."""

    blocks: Sequence[int] = ()
    """Blocks after which features are taken, counted from zero; the last block if none is named."""
    caches: bool = True
    """Whether samples have the tensors that blocks keep for later tokens, if the model has any."""
    batch: int = 8
    steps: int = 28
    """Steps of denoising in a pipeline of diffusers, to which blocks, caches and batches do not apply."""
    device: str = "cpu"
    dtype: str | None = None
    """Dtype of the model; that of its weights if none is named."""
    script: str | None = None
    """Evaluation script of LaMoFCBench as which images are cut into views, samples named and blocks chosen."""
    samples_from: str | None = None
    """File that lists the inputs to take, by id, or as the script lists them."""


def open_source(model: str, location: str, options: SourceOptions | None = None) -> ModelSource:
    """Load a model, find its inputs, and return the source of its features."""
    settings = options or SourceOptions()
    script = None if settings.script is None else script_named(settings.script)
    if script is not None:
        image_views(script.name)
    if is_pipeline(model):
        if script is not None:
            raise BadArgument(f"views for {script.name} of a pipeline", Hint("leave out [script]: it takes DINOv3"))
        items = _chosen(find_inputs(location, "texts"), settings, None)
        pipeline = open_pipeline(model, settings.device, settings.dtype)
        return DiffusionSource(items, model, pipeline, settings.steps, location=location)
    loaded = open_model(model, settings.device, settings.dtype)
    if script is not None and not loaded.kind.patches:
        raise BadArgument(
            f"views for {script.name} of {loaded.config.model_type}", Hint("leave out [script]: it takes DINOv3")
        )
    caches = settings.caches and loaded.kind.cache is not None
    usual = [len(loaded.blocks) - 1] if script is None else script.blocks
    numbers = tuple(sorted({loaded.require_block(number) for number in settings.blocks or usual}))
    if len(numbers) > 1 and caches:
        raise BadArgument(
            f"blocks {', '.join(map(str, numbers))} with caches", Hint("give one [block], or turn [caches] off")
        )
    items = _chosen(find_inputs(location, loaded.kind.inputs), settings, script)
    return BlockSource(items, loaded, numbers, caches, settings.batch, script, location=location)


def _chosen(items: Sequence[ModelInput], settings: SourceOptions, script: Script | None) -> list[ModelInput]:
    """Return the inputs that the list names, under the names of the script's files."""
    chosen = {item.id: item for item in items}
    if settings.samples_from is not None:
        listed = read_sample_list(Path(settings.samples_from), script)
        chosen = {sample: chosen[sample] for sample in select_listed(chosen, listed, "the inputs", script)}
    if script is None:
        return list(chosen.values())
    return [replace(chosen[sample], id=name) for sample, name in script_files(script, chosen, "")]


def extract_to_store(
    source: ModelSource, store: Store, *, progress: Progress | None = None, **options: Any
) -> ExtractionReport:
    """Ingest the samples that the store does not have yet; `options` are those of `Store.ingest`.

    The extraction is recorded as a run. Conflict if the store has features of these names from another model.
    """
    record_run(store, source)
    codec_options = options.get("codec_options")
    quality = options.get("quality") or usual_quality(options.get("codec", DEFAULT_CODEC), None, codec_options)
    missing = source.without(complete_samples(store, source.features, "" if quality is None else str(quality)))
    report = Report()
    if len(missing):
        options["progress"] = None if progress is None else lambda at: progress(at.samples, len(missing))
        report = store.ingest(missing, **options)
    return _report(source, missing, report)


def extract_to_files(
    source: ModelSource, folder: Path, file_format: str, *, skip: bool = False, progress: Progress | None = None
) -> ExtractionReport:
    """Write a file for each sample that has none yet, in a folder with the marker and the index of an export.

    Each file is written completely or not at all. With `skip`, an input that the model cannot take is left out.
    """
    form = format_named(file_format)
    script = source.script if isinstance(source, BlockSource) else None
    ids = [item.id for item in source.items]
    files = dict(export_files(ids, form.suffix) if script is None else script_files(script, ids, form.suffix))
    named = {} if script is None else {SCRIPT_KEY: script.name}
    claim(folder, {"format": file_format, **named, RUN_KIND: source.run_config()})
    missing = source.without({sample for sample, file in files.items() if (folder / file).is_file()})
    report = Report()
    for number, sample in enumerate(missing.attempts() if skip else missing, 1):
        if isinstance(sample, UnreadableSample):
            report.skipped += 1
            del files[sample.id]
            continue
        with atomic_file(folder / files[sample.id]) as file:
            form.write(file, sample.features, sample.structure)
        report.samples += 1
        report.stored_bytes += (folder / files[sample.id]).stat().st_size
        report.raw_bytes += sum(tensor.nbytes for tensor in sample.features.values())
        if progress is not None:
            progress(number, len(missing))
    write_index(folder, files, {item.id: source.attributes(item) for item in source.items})
    return _report(source, missing, report)


def _report(source: ModelSource, missing: ModelSource, report: Report) -> ExtractionReport:
    already = len(source) - len(missing)
    return ExtractionReport(
        report.samples, already, report.skipped, report.raw_bytes, report.stored_bytes, report.warnings
    )


def complete_samples(store: Store, features: Sequence[str], quality: str) -> set[str]:
    """Return the samples that have all of some features at a quality."""
    query = (
        "SELECT sample FROM records WHERE feature IN (SELECT unnest(?)) AND (quality = ? OR elements = 0)"
        " GROUP BY 1 HAVING count(*) = ?"
    )
    return {sample for (sample,) in store.sql(query, [list(features), quality, len(features)]).fetchall()}


def record_run(store: Store, source: ModelSource) -> None:
    """Record the extraction in the catalog once.

    Raise Conflict if the store has features of the same names from another model, or from no extraction.
    """
    config = json.loads(json.dumps(source.run_config()))
    if source.location is not None:
        config["inputs"] = str(Path(source.location).resolve())
    runs = [json.loads(text) for (text,) in store.sql("SELECT config FROM runs WHERE kind = ?", [RUN_KIND]).fetchall()]
    earlier = [run for run in runs if isinstance(run.get("features"), list)]
    for run in earlier:
        shared = sorted(set(run["features"]) & set(config["features"]))
        different = [key for key in _COMPARED_KEYS if run.get(key) != config.get(key)]
        if shared and different:
            raise Conflict(
                f"{shared[0]!r} in {store.url} is of {run.get('model')}: its {different[0]} is"
                f" {run.get(different[0])}, here it is {config.get(different[0])}",
                f"choose another store, or the model and dtype of that run: lamofc sql {store.url} 'FROM runs'",
            )
    recorded = {name for run in earlier for name in run["features"]}
    unrecorded = sorted(set(config["features"]) & set(store.features) - recorded)
    if unrecorded:
        raise Conflict(f"{unrecorded[0]!r} is in {store.url} already, and of no extraction", "choose another store")
    if config not in earlier:
        add_run(store, RUN_KIND, short_name(config["model"]), config, [])
