"""`lamofc train`: train a head on a store."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import (
    Bar,
    Output,
    OutputFile,
    RatedReadOptions,
    StoreUrl,
    flatten_options,
    half_warnings,
)
from lamofc_tools.cli.model_commands.head_options import TrainOptions
from lamofc_tools.cli.render import heads

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.heads import EpochLoss, Head, TrainingSet

HeadKind = Annotated[
    str,
    typer.Argument(metavar="HEAD", help="An architecture: linear, knn, attentive, segmentation, dpt or mask2former."),
]


@flatten_options
def train(
    kind: HeadKind,
    store: StoreUrl,
    output: OutputFile,
    training: TrainOptions,
    read_options: RatedReadOptions,
    out: Output,
) -> None:
    """Train a head on the decoded features of a store.

    -o names its file, a safetensors file that also describes the training; `lamofc eval head` evaluates it on any
    store. Without --test only the training loss is printed.
    """
    with read_options.open(store) as opened, out.bar("train") as bar:
        samples = training.training_set(opened, read_options, training.where)
        out.warn(half_warnings(training.config().device, half=training.half))
        result = train_head(kind, samples, training, bar)
        origin = describe_training(samples, training, store)
        values = evaluate_head(result["head"], opened, training, read_options, samples.names)
        document = describe_result(result, origin, values)
    save_head(result["head"], Path(output), origin, document, training.run_in)
    out.show({**document, "file": output}, heads.head)


def train_head(kind: str, samples: "TrainingSet", training: TrainOptions, bar: Bar) -> dict[str, Any]:
    """Train a head; return it with the history of its epochs and the seconds."""
    import torch

    from lamofc_tools.heads import train

    config = training.config()
    torch.manual_seed(config.seed)
    head, started = training.head(kind, samples), time.perf_counter()

    def show_progress(now: "EpochLoss") -> None:
        bar.update(now.epoch + 1, config.epochs, f"loss {now.loss:.4f}")

    history = train(head, samples, config, show_progress)
    return {"head": head, "history": history, "config": config, "seconds": time.perf_counter() - started}


def describe_training(samples: "TrainingSet", training: TrainOptions, store: str) -> dict[str, Any]:
    """Describe the training data, as the head's file records it."""
    return {
        "store": store,
        "commit": samples.dataset.commit,
        "inputs": list(samples.inputs),
        "target": samples.target,
        "names": list(samples.names),
        "where": training.where,
        "samples": len(samples),
        "bpfp": samples.bpfp,
    }


def evaluate_head(
    head: "Head", store: "Store", training: TrainOptions, read_options: RatedReadOptions, names: tuple[str, ...]
) -> dict[str, float]:
    """Evaluate the head on the test samples, if --test names any."""
    from lamofc_tools.heads import evaluate

    if training.test is None:
        return {}
    return evaluate(head, training.training_set(store, read_options, training.test, names), training.config())


def describe_result(result: dict[str, Any], origin: dict[str, Any], values: dict[str, float]) -> dict[str, Any]:
    """Make the document of a training."""
    head = result["head"]
    return {
        "head": head.kind,
        "task": head.task.kind,
        "parameters": sum(parameter.numel() for parameter in head.parameters()),
        "options": head.options,
        **origin,
        "seconds": result["seconds"],
        "course": result["config"].to_json(),
        "history": [{"epoch": epoch.epoch, "loss": epoch.loss} for epoch in result["history"]],
        "values": values,
    }


def save_head(head: "Head", file: Path, origin: dict[str, Any], document: dict[str, Any], run_in: str | None) -> None:
    """Write the head, and record a run if a store is named for it."""
    from lamofc_tools.heads import save

    save(head, file, {**origin, "course": document["course"]})
    if run_in is None:
        return
    metrics = [lamofc.Metric("loss", epoch["loss"], step=epoch["epoch"]) for epoch in document["history"]]
    metrics += [lamofc.Metric(name, value) for name, value in document["values"].items()]
    config = {key: document[key] for key in ("task", "options", "course", *origin)}
    with lamofc.open(run_in, "r+") as target:
        lamofc.add_run(target, "train", document["head"], config, metrics, seconds=document["seconds"])
