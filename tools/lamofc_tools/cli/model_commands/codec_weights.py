"""`lamofc codec train`: weights of the learned codecs."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import (
    AsPublished,
    Bar,
    Device,
    FeatureGlobs,
    Output,
    OutputFile,
    RunStore,
    Where,
    flatten_options,
    half_warnings,
    parse_pairs,
    resolve_device,
)
from lamofc_tools.cli.render import codec_text

if TYPE_CHECKING:
    from lamofc_codecs import PublishedTraining, Sizes
    from lamofc_store import Profile, Store
    from lamofc_tools.codec_training import CodecTraining, CodecTrainingConfig, PlaneChoice, Planes

Stores = Annotated[
    list[str],
    typer.Argument(metavar="STORE...", help="Stores to train on; weights of several stores serve all of them."),
]
_CROP = re.compile(r"(\d{1,5})x(\d{1,5})")
_CROP_MULTIPLE = 64
"""The networks halve a plane six times."""
_MIN_LATENT = {"hyperprior": 16, "elic": 20}
"""Fewest channels of the latent; a twentieth of them is ELIC's smallest group."""
_USUAL_LAMBDA, _USUAL_BATCH = 0.004, 8
_LAMBDA = "{lambda}"
"""Stands in names of files for the lambda of a training."""


def _sides(text: str, option: str, example: str, multiple: int) -> tuple[int, int]:
    """Parse rows and columns, `256x256`, each a multiple of a number."""
    sides = _CROP.fullmatch(text)
    if sides is None or any(int(side) % multiple or not int(side) for side in sides.groups()):
        raise BadArgument(f"{option} {text} is not two multiples of {multiple}", f"{option} {example}")
    return int(sides[1]), int(sides[2])


@dataclass(frozen=True)
class NetworkOptions:
    """The network that is trained, and its data."""

    arch: Annotated[str, typer.Option("--arch", help="Train this architecture: hyperprior or elic.")] = "hyperprior"
    lmbda: Annotated[
        float | None,
        typer.Option(
            "--lambda",
            help="Weigh distortion against rate by this factor. Default: 0.004, or each in turn that the paper of "
            "--as-published prints.",
        ),
    ] = None
    inner: Annotated[
        int | None,
        typer.Option("--inner", metavar="N", help="Give inner layers so many channels; by default as in the papers."),
    ] = None
    latent: Annotated[
        int | None,
        typer.Option("--latent", metavar="M", help="Give the latent so many channels; by default as in the papers."),
    ] = None
    crop: Annotated[
        str | None,
        typer.Option("--crop", metavar="RxC", help="Train on crops of so many rows and columns. Default: 256x256."),
    ] = None
    restack: Annotated[
        list[str] | None,
        typer.Option(
            "--restack",
            metavar="GLOB=RxC",
            help="Cut so many rows and columns of matching features, and stack their blocks to a crop. Repeatable.",
        ),
    ] = None
    feature: FeatureGlobs = None
    where: Where = None
    as_published: AsPublished = None

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

    def choice(self) -> "PlaneChoice":
        """Return the choice of planes to train on."""
        from lamofc_tools.codec_training import PlaneChoice

        restack = {
            glob: _sides(text, "--restack", "csr=64x1024", 1)
            for glob, text in parse_pairs(self.restack, "--restack", "csr=64x1024").items()
        }
        return PlaneChoice(
            features=self.feature or [], where=self.where, as_published=self.as_published, restack=restack
        )

    def printed(self, stores: "list[Store]") -> "PublishedTraining":
        """Return the training that a paper prints, or the usual one."""
        from lamofc_codecs import CodecError, PublishedTraining

        features = {feature for store in stores for feature in store.features}
        try:
            printed = self.choice().printed(self.arch, features)
        except CodecError as error:
            raise BadArgument(error.message, error.cure) from error
        return printed or PublishedTraining((_USUAL_LAMBDA,), batch=_USUAL_BATCH)

    def sides(self, printed: "PublishedTraining | None" = None) -> tuple[int, int]:
        """Return the rows and columns of a crop."""
        if self.crop is None and printed is not None:
            return printed.crop
        return _sides(self.crop or "256x256", "--crop", "256x256", _CROP_MULTIPLE)

    def planes(self, stores: "list[Store]", printed: "PublishedTraining", seed: int) -> "Planes":
        """Return the planes to train on."""
        from lamofc_tools.codec_training import Planes

        choice = self.choice()
        return Planes.from_stores(stores, replace(choice, restack=choice.restack or printed.restack), seed)


@dataclass(frozen=True)
class CodecTrainingOptions:
    """The schedule of the training, and the store that records it."""

    steps: Annotated[
        int, typer.Option("--steps", metavar="N", help="Take at most so many steps; fewer when nothing improves.")
    ] = 100_000
    batch: Annotated[
        int | None, typer.Option("--batch", metavar="N", help="Train on so many crops a step. Default: 8.")
    ] = None
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

    def config(self, network: NetworkOptions, printed: "PublishedTraining", lmbda: float) -> "CodecTrainingConfig":
        """Return the configuration of the training."""
        from lamofc_tools.codec_training import CodecTrainingConfig

        return CodecTrainingConfig(
            sizes=network.sizes(),
            lmbda=lmbda,
            crop=network.sides(printed),
            batch=self.batch or printed.batch,
            steps=self.steps,
            every=self.every,
            lr=self.lr,
            seed=self.seed,
            device=resolve_device(self.device),
            half=self.half,
        )

    def trainings(
        self, network: NetworkOptions, stores: "list[Store]", output: str, bar: Bar
    ) -> "Iterator[tuple[CodecTraining, str]]":
        """Train a network for each lambda, and yield each training with the file of its weights."""
        printed = network.printed(stores)
        lambdas = printed.lambdas if network.lmbda is None else (network.lmbda,)
        files = require_names(output, self.checkpoint, lambdas)
        planes = network.planes(stores, printed, self.seed)
        for lmbda, file in zip(lambdas, files, strict=True):
            yield self.train(self.config(network, printed, lmbda), planes, bar), file

    def train(self, config: "CodecTrainingConfig", planes: "Planes", bar: Bar) -> "CodecTraining":
        """Train until the last step, or until nothing improves."""
        from lamofc_tools.codec_training import train

        return train(
            config,
            planes,
            start=Path(self.start) if self.start else None,
            checkpoint=Path(named(self.checkpoint, config.lmbda)) if self.checkpoint else None,
            progress=lambda now: bar.update(now.step, config.steps, f"{now.loss:.4f}, {now.bpp:.3f} bits"),
        )


@flatten_options
def train(
    stores: Stores, output: OutputFile, network: NetworkOptions, options: CodecTrainingOptions, out: Output
) -> None:
    """Train the networks of a learned codec on features of stores.

    -o names the file of the weights, with {lambda} in its name where there are several lambdas; `--option weights=FILE`
    gives them to an ingest or a fit with that codec.
    """
    network.sides()
    out.warn(half_warnings(resolve_device(options.device), half=options.half))
    done: list[dict[str, Any]] = []
    with ExitStack() as stack, out.bar("train") as bar:
        run_store = stack.enter_context(lamofc.open(options.run_in, "r+")) if options.run_in else None
        sources = [stack.enter_context(lamofc.open(store)) for store in stores]
        for training, file in options.trainings(network, sources, output, bar):
            profile = training.weights()
            save(profile, Path(file))
            run = log_run(run_store, training, stores, profile) if run_store is not None else None
            done.append({**describe_training(training), "weights": profile.id, "file": file, "run": run})
    out.show(done[0] if len(done) == 1 else {"trainings": done}, codec_text.trainings)


def named(file: str, lmbda: float) -> str:
    """Return the name of a file with `{lambda}` replaced by a lambda."""
    return file.replace(_LAMBDA, f"{lmbda:g}")


def require_names(output: str, checkpoint: str | None, lambdas: Sequence[float]) -> list[str]:
    """Return the file of the weights of each lambda; several need names of their own."""
    for name in (output, checkpoint):
        if len(lambdas) > 1 and name is not None and _LAMBDA not in name:
            raise BadArgument(
                f"one file {name} for the lambdas {', '.join(f'{lmbda:g}' for lmbda in lambdas)}",
                f"put {_LAMBDA} into its name, or give one --lambda",
            )
    return [named(output, lmbda) for lmbda in lambdas]


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
