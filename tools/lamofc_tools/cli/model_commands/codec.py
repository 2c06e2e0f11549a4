"""`lamofc codec`: list and describe codecs, import and export weights and levels; `codec_weights` trains."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import Output, OutputFile, file_name, flatten_options
from lamofc_tools.cli.model_commands import codec_weights
from lamofc_tools.cli.render import codec_text, store_text

if TYPE_CHECKING:
    from lamofc_store import Profile

app = typer.Typer(
    help="List codecs, describe a codec or a profile, train, import or export weights.", no_args_is_help=False
)
app.command("train")(codec_weights.train)
PublishedFile = Annotated[
    str, typer.Argument(metavar="FILE", help="A .pth.tar checkpoint of CompressAI's layout, or a mapping.json.")
]
LearnedProfile = Annotated[
    str, typer.Argument(metavar="PROFILE", help="The profile file of a learned codec, with or without levels.")
]
LAMBDA_IN_NAME = re.compile(r"lambda([0-9]+(?:\.[0-9]+)?)")
CodecOrProfile = Annotated[
    str, typer.Argument(metavar="CODEC|PROFILE", help="The id of a codec, or the file of a profile.")
]


@app.command("import")
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
    codec_weights.save(profile, Path(output))
    return describe_file("*", profile, Path(output))


def import_mapping(file: Path, folder: Path, family: str | None, assign: str) -> Iterator[dict[str, Any]]:
    """Write a profile for each pattern of a mapping."""
    from lamofc_codecs import fit, published_levels

    for pattern, levels in published_levels(file, family).items():
        profile = fit("lloydmax", [], levels=levels, assign=assign)
        target = folder / f"{file_name(pattern)}.safetensors"
        codec_weights.save(profile, target)
        yield describe_file(pattern, profile, target)


def describe_file(feature: str, profile: "Profile", file: Path) -> dict[str, Any]:
    """Describe a file that was written from a profile."""
    size = file.stat().st_size
    return {"feature": feature, "codec": profile.codec, "id": profile.id, "bytes": size, "file": str(file)}


@app.command("export")
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


@app.command("list")
@flatten_options
def list_codecs(out: Output) -> None:
    """List the codecs and the qualities that they take."""
    from lamofc_store.codecs import codec_ids, describe

    out.show([describe(codec) for codec in codec_ids()], codec_text.codecs)


@app.command()
@flatten_options
def show(codec: CodecOrProfile, out: Output) -> None:
    """Describe a codec, or a profile file."""
    from lamofc_store.codecs import describe

    if Path(codec).suffix:
        out.show(describe_profile(lamofc.Profile.load(codec)), codec_text.profile)
    else:
        out.show(describe(codec), codec_text.codec)


def describe_profile(profile: "Profile") -> dict[str, Any]:
    """Describe a profile: its configuration and its tensors."""
    tensors = [
        {"name": name, "shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in profile.tensors.items()
    ]
    return {
        "id": profile.id,
        "codec": profile.codec,
        "bytes": len(profile.data),
        "config": dict(profile.config),
        "tensors": tensors,
    }
