"""`lamofc codec train|import|export`: weights and levels of codecs, trained here or published elsewhere."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import (
    Bar,
    Device,
    FeatureGlobs,
    Output,
    OutputFile,
    RunStore,
    Where,
    file_name,
    flatten_options,
    resolve_device,
)
from lamofc_tools.cli.render import codec_text, store_text

if TYPE_CHECKING:
    from lamofc_codecs import Sizes
    from lamofc_store import Profile, Store
    from lamofc_tools.codec_training import CodecTraining, CodecTrainingConfig, Planes

Stores = Annotated[
    list[str],
    typer.Argument(metavar="STORE...", help="Stores to train on; weights of several stores serve all of them."),
]
PublishedFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A .pth.tar checkpoint of CompressAI's layout, or a mapping.json.")
]
LearnedProfile = Annotated[
    str, typer.Argument(metavar="PROFILE", help="The profile file of a learned codec, with or without levels.")
]
LAMBDA_IN_NAME = re.compile(r"lambda([0-9]+(?:\.[0-9]+)?)")
_CROP = re.compile(r"(\d{1,5})x(\d{1,5})")
_CROP_MULTIPLE = 64
"""The networks halve a plane six times."""
_MIN_LATENT = {"hyperprior": 16, "elic": 20}
"""Fewest channels of the latent; a twentieth of them is ELIC's smallest group."""


@dataclass(frozen=True)
class NetworkOptions:
    """The network that is trained, and its data."""

    arch: Annotated[str, typer.Option("--arch", help="Train this architecture: hyperprior or elic.")] = "hyperprior"
    lmbda: Annotated[float, typer.Option("--lambda", help="Weigh distortion against rate by this factor.")] = 0.004
    inner: Annotated[
        int | None,
        typer.Option("--inner", metavar="N", help="Give inner layers so many channels; by default as in the papers."),
    ] = None
    latent: Annotated[
        int | None,
        typer.Option("--latent", metavar="M", help="Give the latent so many channels; by default as in the papers."),
    ] = None
    crop: Annotated[str, typer.Option("--crop", metavar="RxC", help="Train on crops of so many rows and columns.")] = (
        "256x256"
    )
    feature: FeatureGlobs = None
    where: Where = None

    def sizes(self) -> "Sizes":
        """Return the sizes of the networks."""
        from lamofc_codecs import PAPERS, Sizes

        if self.arch not in PAPERS:
            raise BadArgument(f"--arch {self.arch} is none of {', '.join(PAPERS)}", "--arch hyperprior")
        default = PAPERS[self.arch]
        inner, latent = self.inner or default.inner, self.latent or default.latent
        least = _MIN_LATENT[self.arch]
        if inner % 2 or latent % 2 or inner < 2 or latent < least:
            raise BadArgument(
                f"--inner {inner} --latent {latent}", f"give even numbers, and a latent of {least} or more"
            )
        share = latent // 20
        first_groups = (share, share, 2 * share, 4 * share)
        groups = (*first_groups, latent - sum(first_groups)) if default.groups else ()
        return Sizes(self.arch, inner, latent, groups)

    def planes(self, stores: "list[Store]", seed: int) -> "Planes":
        """Return the planes to train on."""
        from lamofc_tools.codec_training import Planes

        return Planes.from_stores(stores, self.feature or [], where=self.where, seed=seed)


@dataclass(frozen=True)
class CodecTrainingOptions:
    """The schedule of the training, and the store that records it."""

    steps: Annotated[
        int, typer.Option("--steps", metavar="N", help="Take at most so many steps; fewer when nothing improves.")
    ] = 100_000
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Train on so many crops a step.")] = 8
    every: Annotated[
        int, typer.Option("--every", metavar="N", help="Evaluate held-out samples after every so many steps.")
    ] = 250
    lr: Annotated[float, typer.Option("--lr", help="Start at this learning rate; it halves when nothing improves.")] = (
        1e-4
    )
    half: Annotated[bool, typer.Option("--half", help="Run convolutions in bfloat16.")] = False
    seed: Annotated[int, typer.Option("--seed", help="Seed crops and initial weights.")] = 0
    device: Device = "auto"
    start: Annotated[
        str | None, typer.Option("--start", metavar="FILE", help="Start with the best weights of this checkpoint.")
    ] = None
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="Save a checkpoint at every evaluation, and continue from it if it exists.",
        ),
    ] = None
    run_in: RunStore = None

    def config(self, network: NetworkOptions) -> "CodecTrainingConfig":
        """Return the configuration of the training."""
        from lamofc_tools.codec_training import CodecTrainingConfig

        sides = _CROP.fullmatch(network.crop)
        if sides is None or any(int(side) % _CROP_MULTIPLE or not int(side) for side in sides.groups()):
            raise BadArgument(f"--crop {network.crop} is not two multiples of {_CROP_MULTIPLE}", "--crop 256x256")
        return CodecTrainingConfig(
            sizes=network.sizes(),
            lmbda=network.lmbda,
            crop=(int(sides[1]), int(sides[2])),
            batch=self.batch,
            steps=self.steps,
            every=self.every,
            lr=self.lr,
            seed=self.seed,
            device=resolve_device(self.device),
            half=self.half,
        )

    def train(self, config: "CodecTrainingConfig", planes: "Planes", bar: Bar) -> "CodecTraining":
        """Train until the last step, or until nothing improves."""
        from lamofc_tools.codec_training import train

        return train(
            config,
            planes,
            start=Path(self.start) if self.start else None,
            checkpoint=Path(self.checkpoint) if self.checkpoint else None,
            progress=lambda now: bar.update(now.step, config.steps, f"{now.loss:.4f}, {now.bpp:.3f} bits"),
        )


@flatten_options
def train(
    stores: Stores, output: OutputFile, network: NetworkOptions, options: CodecTrainingOptions, out: Output
) -> None:
    """Train the networks of a learned codec on features of stores.

    -o names the file of the weights; `--option weights=FILE` gives them to an ingest or a fit with that codec.
    """
    config = options.config(network)
    with ExitStack() as stack, out.bar("train") as bar:
        run_store = stack.enter_context(lamofc.open(options.run_in, "r+")) if options.run_in else None
        sources = [stack.enter_context(lamofc.open(store)) for store in stores]
        training = options.train(config, network.planes(sources, options.seed), bar)
        profile = training.weights()
        save(profile, Path(output))
        run = log_run(run_store, training, stores, profile) if run_store is not None else None
    out.show({**describe_training(training), "weights": profile.id, "file": output, "run": run}, codec_text.training)


def describe_training(training: "CodecTraining") -> dict[str, Any]:
    """Describe a training and its best evaluation."""
    best = min(training.history, key=lambda evaluation: evaluation.loss)
    return {
        "codec": training.config.sizes.arch,
        "lambda": training.config.lmbda,
        "planes": len(training.planes.train),
        "steps": training.step,
        "seconds": training.seconds,
        "loss": best.loss,
        "bpp": best.bpp,
        "mse_levels": best.mse,
        "history": training.curve,
    }


def log_run(store: "Store", training: "CodecTraining", stores: list[str], profile: "Profile") -> str:
    """Record the training as a run in a store's catalog."""
    metrics = [
        lamofc.Metric(name, value, step=evaluation.step)
        for evaluation in training.history
        for name, value in (
            ("loss", evaluation.loss),
            ("bpp", evaluation.bpp),
            ("mse_levels", evaluation.mse),
            ("lr", evaluation.lr),
        )
    ]
    config = {**training.config.to_json(), "stores": stores, "weights": profile.id}
    return lamofc.add_run(store, "codec train", profile.codec, config, metrics, seconds=training.seconds)


def save(profile: "Profile", file: Path) -> None:
    """Write the file of a profile, completely or not at all."""
    from lamofc_store.exporting import atomic_file

    with atomic_file(file) as out:
        out.write(profile.data)


@flatten_options
def import_file(
    published: PublishedFile,
    output: OutputFile,
    out: Output,
    lmbda: Annotated[
        float | None,
        typer.Option("--lambda", help="Record this lambda of the weights; by default the one in the file's name."),
    ] = None,
    family: Annotated[
        str | None, typer.Option("--family", help="Take the levels of this family of a mapping.json.")
    ] = None,
    assign: Annotated[
        str, typer.Option("--assign", help="Assign values to the nearest level, or by floor as published.")
    ] = "nearest",
) -> None:
    """Import published weights, or levels of a published mapping.

    For weights, -o names the file; for a mapping, a folder that gets a profile of lloydmax for each pattern.
    """
    if Path(published).suffix == ".json":
        rows = list(import_mapping(Path(published), Path(output), family, assign))
    else:
        rows = [import_weights(published, output, lmbda)]
    out.show({"profiles": rows}, store_text.profiles)


def import_weights(file: str, output: str, lmbda: float | None) -> dict[str, Any]:
    """Import the weights of a checkpoint."""
    from lamofc_codecs import import_checkpoint

    in_name = LAMBDA_IN_NAME.search(Path(file).name)
    profile = import_checkpoint(file, lmbda or (float(in_name[1]) if in_name else None))
    save(profile, Path(output))
    return describe_file("*", profile, Path(output))


def import_mapping(file: Path, folder: Path, family: str | None, assign: str) -> Iterator[dict[str, Any]]:
    """Write a profile for each pattern of a mapping."""
    from lamofc_codecs import fit, published_levels

    for pattern, levels in published_levels(file, family).items():
        profile = fit("lloydmax", [], levels=levels, assign=assign)
        target = folder / f"{file_name(pattern)}.safetensors"
        save(profile, target)
        yield describe_file(pattern, profile, target)


def describe_file(feature: str, profile: "Profile", file: Path) -> dict[str, Any]:
    """Describe a file that was written from a profile."""
    size = file.stat().st_size
    return {"feature": feature, "codec": profile.codec, "id": profile.id, "bytes": size, "file": str(file)}


@flatten_options
def export_file(file: LearnedProfile, output: OutputFile, out: Output) -> None:
    """Export weights of a learned codec as a checkpoint for the papers' code.

    -o names the checkpoint, a .pth.tar file. Levels of a feature and the lambda have no place in it.
    """
    import torch

    from lamofc_codecs import Profile, checkpoint_state
    from lamofc_store.exporting import atomic_file

    profile = Profile.load(file)
    state = checkpoint_state(profile)
    with atomic_file(Path(output)) as checkpoint:
        torch.save({"state_dict": state}, checkpoint)
    out.show({"profiles": [describe_file("*", profile, Path(output))]}, store_text.profiles)
