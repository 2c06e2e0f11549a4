"""`lamofc train`: a head from a store."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import Bar, Output, OutputFile, RatedReading, StorePlace, flat
from lamofc_tools.cli.model_commands.head_options import TrainOptions
from lamofc_tools.cli.render import heads

if TYPE_CHECKING:
    from lamofc_store import Store
    from lamofc_tools.heads import EpochLoss, Head, TrainingSet

Kind = Annotated[str, typer.Argument(metavar="HEAD", help="linear, knn, attentive, segmentation or dpt.")]


@flat
def train(
    kind: Kind, store: StorePlace, output: OutputFile, learning: TrainOptions, reading: RatedReading, out: Output
) -> None:
    """Train a head on what a store gives back.

    -o names its file, safetensors that also tells what it was trained on; `lamofc eval` judges it on any store.
    """
    with reading.open(store) as opened, out.bar("train") as bar:
        samples = learning.samples(opened, reading, learning.where)
        found = trained(kind, samples, learning, bar)
        told = described(samples, learning, store)
        values = judged(found["head"], opened, learning, reading, samples.names)
        document = documented(found, told, values)
    keep(found["head"], Path(output), told, document, learning.run_in)
    out.show({**document, "file": output}, heads.head)


def trained(kind: str, samples: "TrainingSet", learning: TrainOptions, bar: Bar) -> dict[str, Any]:
    """A head, what its epochs came to, and how long it took."""
    import torch

    from lamofc_tools.heads import train as run

    config = learning.config()
    torch.manual_seed(config.seed)
    head, started = learning.head(kind, samples), time.perf_counter()

    def tell(at: "EpochLoss") -> None:
        bar.tell(at.epoch + 1, config.epochs, f"loss {at.loss:.4f}")

    history = run(head, samples, config, tell)
    return {"head": head, "history": history, "config": config, "seconds": time.perf_counter() - started}


def described(samples: "TrainingSet", learning: TrainOptions, store: str) -> dict[str, Any]:
    """What the head's file tells of its training."""
    return {
        "store": store,
        "commit": samples.dataset.commit,
        "inputs": list(samples.inputs),
        "target": samples.target,
        "names": list(samples.names),
        "where": learning.where,
        "samples": len(samples),
        "bpfp": samples.bpfp,
    }


def judged(
    head: "Head", store: "Store", learning: TrainOptions, reading: RatedReading, names: tuple[str, ...]
) -> dict[str, float]:
    """Its metrics on the samples for that, if any are named."""
    from lamofc_tools.heads import evaluate

    if learning.test is None:
        return {}
    return evaluate(head, learning.samples(store, reading, learning.test, names), learning.config())


def documented(found: dict[str, Any], told: dict[str, Any], values: dict[str, float]) -> dict[str, Any]:
    """What --json prints."""
    head = found["head"]
    return {
        "head": head.kind,
        "task": head.task.kind,
        "parameters": sum(parameter.numel() for parameter in head.parameters()),
        "options": head.options,
        **told,
        "seconds": found["seconds"],
        "course": found["config"].to_json(),
        "history": [{"epoch": past.epoch, "loss": past.loss} for past in found["history"]],
        "values": values,
    }


def keep(head: "Head", file: Path, told: dict[str, Any], document: dict[str, Any], run_in: str | None) -> None:
    """Write the head, and a run if a store is named for that."""
    from lamofc_tools.heads import save

    save(head, file, {**told, "course": document["course"]})
    if run_in is None:
        return
    metrics = [lamofc.Metric("loss", past["loss"], step=past["epoch"]) for past in document["history"]]
    metrics += [lamofc.Metric(name, value) for name, value in document["values"].items()]
    config = {key: document[key] for key in ("task", "options", "course", *told)}
    with lamofc.open(run_in, "r+") as target:
        lamofc.add_run(target, "train", document["head"], config, metrics, seconds=document["seconds"])
