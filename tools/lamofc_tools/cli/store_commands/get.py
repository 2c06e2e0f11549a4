"""`lamofc get`: decode the tensors of a sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_tools.cli.console import (
    Output,
    RatedReadOptions,
    SampleId,
    StoreUrl,
    flatten_options,
    require_folder,
    tensor_files,
)
from lamofc_tools.cli.render import store_text

if TYPE_CHECKING:
    from torch import Tensor

    from lamofc_store import Store

Feature = Annotated[str | None, typer.Argument(metavar="[FEATURE]", help="Decode only this feature.")]
File = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write to this .npy, .npz, .safetensors or .pt file; an existing one is replaced.",
    ),
]


@flatten_options
def get(
    store: StoreUrl,
    sample: SampleId,
    read_options: RatedReadOptions,
    out: Output,
    feature: Feature = None,
    output: File = None,
) -> None:
    """Decode a sample, or one feature of it, into a file.

    The suffix of the file chooses the format. Without a file, shapes and ranges of the values are printed. With --snr,
    --bpfp or --kl, layered records are read only as far as needed.
    """
    if output is not None:
        require_folder(Path(output))
    with read_options.open(store) as opened:
        tensors = opened.tensors(sample, None if feature is None else [feature], read_options.quality)
        if output is not None:
            structure = find_structure(opened, sample) if feature is None else None
            tensor_files.write(Path(output), tensors, structure)
        out.show(describe_tensors(opened, sample, tensors, output), store_text.tensors)


def find_structure(store: "Store", sample: str) -> str | None:
    """Look up how the features of a sample were nested in the source."""
    rows = store.sql("SELECT structure FROM samples WHERE sample = ?", [sample]).fetchall()
    return rows[0][0] if rows else None


def describe_tensors(
    store: "Store", sample: str, tensors: "Mapping[str, Tensor]", output: str | None
) -> dict[str, Any]:
    """Describe decoded features, and the file that they were written to."""
    features = [_describe(name, tensor) for name, tensor in tensors.items()]
    return {"sample": sample, "commit": store.head, "features": features, "file": output}


def _describe(feature: str, tensor: "Tensor") -> dict[str, Any]:
    values = tensor.double() if not tensor.is_complex() else tensor.abs().double()
    least, mean, most = (
        (values.min().item(), values.mean().item(), values.max().item()) if values.numel() else (None, None, None)
    )
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {
        "feature": feature,
        "shape": list(tensor.shape),
        "dtype": dtype,
        "least": least,
        "mean": mean,
        "most": most,
    }
