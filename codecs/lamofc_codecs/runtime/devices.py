"""Kinds of devices, by what runs on them. Read through this module, so that a test can let the CPU stand in for one."""

from __future__ import annotations

import torch

from lamofc_codecs.errors import UnsupportedInput

ACCELERATORS = ("cuda",)
"""Devices on which the encoder transforms, and on which whole batches of records are decoded together."""
TRITON = ("cuda",)
"""Devices that run the Triton kernel of the entropy coder; on others the compiled loop decodes."""


def usable(device: torch.device | str) -> torch.device:
    """Return a device, or refuse one that this machine does not have."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UnsupportedInput(f"device={device!r} is no device", f"give one of {', '.join(_available())}") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UnsupportedInput(
            f"device {str(device)!r} is not available; this machine has {', '.join(_available())}",
            f"give {' or '.join(map(repr, _available()))}",
        )
    return found


def _available() -> list[str]:
    """Return the devices of this machine."""
    return ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
