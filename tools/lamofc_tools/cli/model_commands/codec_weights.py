"""`lamofc codec train|import`: weights and levels for codecs, made here or by others."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_store.errors import BadArgument
from lamofc_tools.cli.console import Bar, FeatureGlobs, Output, OutputFile, Where, device_of, flat
from lamofc_tools.cli.render import codec_text, store_text

if TYPE_CHECKING:
    from lamofc_store import Profile, Store
    from lamofc_tools.codec_training import CodecTraining, CodecTrainingConfig, Planes

Stores = Annotated[
    list[str], typer.Argument(metavar="STORE...", help="Stores to train on; several make hybrid weights.")
]
Published = Annotated[str, typer.Argument(metavar="FILE", help="A .pth.tar of CompressAI's shape, or a mapping.json.")]
LAMBDA_IN_NAME = re.compile(r"lambda([0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True)
class Network:
    """What is trained, and on what."""

    arch: Annotated[str, typer.Option("--arch", help="hyperprior or elic.")] = "hyperprior"
    lmbda: Annotated[float, typer.Option("--lambda", help="Weight of distortion against rate.")] = 0.004
    inner: Annotated[
        int | None, typer.Option("--inner", metavar="N", help="Channels inside; the papers' if not told.")
    ] = None
    latent: Annotated[
        int | None, typer.Option("--latent", metavar="M", help="Channels of the latent; the papers' if not told.")
    ] = None
    crop: Annotated[str, typer.Option("--crop", metavar="RxC", help="Rows and columns of a crop.")] = "256x256"
    feature: FeatureGlobs = None
    where: Where = None

    def sizes(self) -> Any:
        """Sizes of the networks."""
        from lamofc_codecs import PAPERS, Sizes

        if self.arch not in PAPERS:
            raise BadArgument(f"--arch {self.arch} is none of {', '.join(PAPERS)}", "--arch hyperprior")
        usual = PAPERS[self.arch]
        inner, latent = self.inner or usual.inner, self.latent or usual.latent
        if inner % 2 or latent % 2 or inner < 2 or latent < 16:
            raise BadArgument(f"--inner {inner} --latent {latent}", "give even numbers, and a latent of 16 or more")
        share = latent // 20
        first = (share, share, 2 * share, 4 * share)
        return Sizes(self.arch, inner, latent, (*first, latent - sum(first)) if usual.groups else ())

    def planes(self, stores: "list[Store]", seed: int) -> "Planes":
        """What is trained on."""
        from lamofc_tools.codec_training import Planes

        return Planes.from_stores(stores, self.feature or [], where=self.where, seed=seed)


@dataclass(frozen=True)
class Course:
    """How it is trained, and where it is told of."""

    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Most steps; fewer where nothing improves.")] = (
        100_000
    )
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Crops of a step.")] = 8
    every: Annotated[int, typer.Option("--every", metavar="N", help="Steps between looks at what is held out.")] = 250
    lr: Annotated[float, typer.Option("--lr", help="Rate of learning; halves where nothing improves.")] = 1e-4
    half: Annotated[bool, typer.Option("--half", help="Convolutions in bfloat16.")] = False
    seed: Annotated[int, typer.Option("--seed", help="For crops and first weights.")] = 0
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda.")] = "auto"
    start: Annotated[
        str | None, typer.Option("--start", metavar="FILE", help="A checkpoint whose best weights are begun with.")
    ] = None
    checkpoint: Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FILE", help="Kept at every look; gone on from if it is there."),
    ] = None
    run_in: Annotated[
        str | None, typer.Option("--run-in", metavar="STORE", help="Tell of the training in this store, as a run.")
    ] = None

    def config(self, network: Network) -> "CodecTrainingConfig":
        """As the loop takes it."""
        from lamofc_tools.codec_training import CodecTrainingConfig

        sides = re.fullmatch(r"(\d{1,5})x(\d{1,5})", network.crop)
        if sides is None or any(int(side) % 64 or not int(side) for side in sides.groups()):
            raise BadArgument(f"--crop {network.crop} is not two multiples of 64", "--crop 256x256")
        return CodecTrainingConfig(
            sizes=network.sizes(),
            lmbda=network.lmbda,
            crop=(int(sides[1]), int(sides[2])),
            batch=self.batch,
            steps=self.steps,
            every=self.every,
            lr=self.lr,
            seed=self.seed,
            device=device_of(self.device),
            half=self.half,
        )

    def train(self, config: "CodecTrainingConfig", planes: "Planes", bar: Bar) -> "CodecTraining":
        """To the end."""
        from lamofc_tools.codec_training import train as run

        return run(
            config,
            planes,
            start=Path(self.start) if self.start else None,
            checkpoint=Path(self.checkpoint) if self.checkpoint else None,
            progress=lambda at: bar.tell(at.step, config.steps, f"{at.loss:.4f}, {at.bpp:.3f} bits"),
        )


@flat
def train(stores: Stores, output: OutputFile, network: Network, course: Course, out: Output) -> None:
    """Train the networks of a learned codec on features of stores.

    What -o names is weights: --option weights=FILE gives them to an ingest or a fit with that codec.
    """
    config = course.config(network)
    with ExitStack() as opened, out.bar("train") as bar:
        target = opened.enter_context(lamofc.open(course.run_in, "r+")) if course.run_in else None
        sources = [opened.enter_context(lamofc.open(store)) for store in stores]
        training = course.train(config, network.planes(sources, course.seed), bar)
        profile = training.weights()
        save(profile, Path(output))
        run = told(target, training, stores, profile) if target is not None else None
    out.show({**documented(training), "weights": profile.id, "file": output, "run": run}, codec_text.training)


def documented(training: "CodecTraining") -> dict[str, Any]:
    """What a training came to."""
    best = min(training.history, key=lambda past: past.loss)
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


def told(store: "Store", training: "CodecTraining", stores: list[str], profile: "Profile") -> str:
    """The training as a run of a store's catalog."""
    metrics = [
        lamofc.Metric(name, value, step=past.step)
        for past in training.history
        for name, value in (("loss", past.loss), ("bpp", past.bpp), ("mse_levels", past.mse), ("lr", past.lr))
    ]
    config = {**training.config.to_json(), "stores": stores, "weights": profile.id}
    return lamofc.add_run(store, "codec train", profile.codec, config, metrics, seconds=training.seconds)


def save(profile: "Profile", file: Path) -> None:
    """Write a profile's file, whole or not at all."""
    from lamofc_store.exporting import whole

    with whole(file) as out:
        out.write(profile.data)


@flat
def import_file(
    published: Published,
    output: OutputFile,
    out: Output,
    lmbda: Annotated[
        float | None, typer.Option("--lambda", help="What the weights were trained for; else as the file's name says.")
    ] = None,
    family: Annotated[str | None, typer.Option("--family", help="Whose levels of a mapping.json.")] = None,
    assign: Annotated[str, typer.Option("--assign", help="Of levels: nearest, or floor as published.")] = "nearest",
) -> None:
    """Import published weights, or levels of a published mapping.

    Of weights -o names the file; of a mapping it names a folder, and each pattern gives a profile of lloydmax.
    """
    if Path(published).suffix == ".json":
        rows = list(mapped(Path(published), Path(output), family, assign))
    else:
        from lamofc_codecs import import_checkpoint

        named = LAMBDA_IN_NAME.search(Path(published).name)
        profile = import_checkpoint(published, lmbda or (float(named[1]) if named else None))
        save(profile, Path(output))
        rows = [{"feature": "*", "codec": profile.codec, "id": profile.id, "bytes": len(profile.data), "file": output}]
    out.show({"profiles": rows}, store_text.profiles)


def mapped(file: Path, folder: Path, family: str | None, assign: str) -> Iterator[dict[str, Any]]:
    """A profile for each pattern of a mapping."""
    from lamofc_codecs import fit, published_levels
    from lamofc_tools.cli.console import file_name

    for pattern, levels in published_levels(file, family).items():
        profile = fit("lloydmax", [], levels=levels, assign=assign)
        target = folder / f"{file_name(pattern)}.safetensors"
        save(profile, target)
        yield {
            "feature": pattern,
            "codec": profile.codec,
            "id": profile.id,
            "bytes": len(profile.data),
            "file": str(target),
        }
