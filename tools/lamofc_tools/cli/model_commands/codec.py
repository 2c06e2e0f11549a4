"""`lamofc codec`: list and describe codecs; training, importing and exporting weights are in `codec_weights`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import Output, flatten_options
from lamofc_tools.cli.model_commands import codec_weights
from lamofc_tools.cli.render import codec_text

if TYPE_CHECKING:
    from lamofc_store import Profile

app = typer.Typer(
    help="List codecs, describe a codec or a profile, train, import or export weights.", no_args_is_help=False
)
app.command("train")(codec_weights.train)
app.command("import")(codec_weights.import_file)
app.command("export")(codec_weights.export_file)
CodecOrProfile = Annotated[
    str, typer.Argument(metavar="CODEC|PROFILE", help="The id of a codec, or the file of a profile.")
]


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
