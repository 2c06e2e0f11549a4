"""`lamofc codec`: what can code features; training and importing are in `weights`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lamofc_store as lamofc
from lamofc_tools.cli.console import Output, flat
from lamofc_tools.cli.model_commands import codec_weights
from lamofc_tools.cli.render import codec_text

if TYPE_CHECKING:
    from lamofc_store import Profile

app = typer.Typer(help="List codecs, describe one or a profile, train or import weights.", no_args_is_help=False)
app.command("train")(codec_weights.train)
app.command("import")(codec_weights.import_file)
What = Annotated[str, typer.Argument(metavar="CODEC|PROFILE", help="The id of a codec, or the file of a profile.")]


@app.command("list")
@flat
def list_codecs(out: Output) -> None:
    """List the codecs and the qualities that they aim at."""
    from lamofc_store.codecs import codec_ids, describe

    out.show([describe(codec) for codec in codec_ids()], codec_text.codecs)


@app.command()
@flat
def show(what: What, out: Output) -> None:
    """Describe a codec, or a profile file."""
    from lamofc_store.codecs import describe

    if Path(what).suffix:
        out.show(described(lamofc.Profile.load(what)), codec_text.profile)
    else:
        out.show(describe(what), codec_text.codec)


def described(profile: "Profile") -> dict[str, Any]:
    """A profile for people."""
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
