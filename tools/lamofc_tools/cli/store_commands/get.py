"""`lamofc get`: the tensors of a sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamofc_tools.cli.console import Output, RatedReading, SampleId, StorePlace, flat, tensor_files
from lamofc_tools.cli.render import store_text

if TYPE_CHECKING:
    from torch import Tensor

    from lamofc_store import Store

One = Annotated[str | None, typer.Argument(metavar="[FEATURE]", help="Only this feature.")]
File = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help=".npy, .npz, .safetensors or .pt; replaced if there."),
]


@flat
def get(
    store: StorePlace,
    sample: SampleId,
    place: RatedReading,
    out: Output,
    feature: One = None,
    output: File = None,
) -> None:
    """Decode a sample, or one feature of it, into a file.

    The suffix says which form. Without a file, shapes and ranges of the values are shown. With --snr or --bpfp records
    in layers are read only as far as that needs.
    """
    with place.open(store) as opened:
        tensors = opened.tensors(sample, None if feature is None else [feature], place.quality)
        out.show(taken(opened, sample, tensors, feature, output), store_text.tensors)


def taken(
    store: "Store", sample: str, tensors: "Mapping[str, Tensor]", feature: str | None, output: str | None
) -> dict[str, Any]:
    """Write, and describe."""
    if output is not None:
        tensor_files.write(Path(output), tensors, _structure(store, sample) if feature is None else None)
    features = [_described(name, tensor) for name, tensor in tensors.items()]
    return {"sample": sample, "commit": store.head, "features": features, "file": output}


def _structure(store: "Store", sample: str) -> str | None:
    found = store.sql("SELECT structure FROM samples WHERE sample = ?", [sample]).fetchall()
    return found[0][0] if found else None


def _described(feature: str, tensor: "Tensor") -> dict[str, Any]:
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
