"""Types of devices by the code that runs on them, as module attributes, which a test can set to include the CPU."""

from __future__ import annotations

import torch

from lamofc_codecs.errors import UnsupportedInput

ACCELERATORS = ("cuda",)
"""Device types on which the encoder transforms, and on which batches of records are decoded together."""
TRITON = ("cuda",)
"""Device types that run the Triton kernel of the entropy coder; elsewhere the compiled loop decodes."""


def usable(device: torch.device | str) -> torch.device:
    """Return a device, or refuse one that this machine does not have."""
    try:
        parsed = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UnsupportedInput(f"device={device!r} is no device", f"give one of {', '.join(_available())}") from error
    if not is_usable_device(parsed):
        raise UnsupportedInput(
            f"device {str(device)!r} is not available; this machine has {', '.join(_available())}",
            f"give {' or '.join(map(repr, _available()))}",
        )
    return parsed


def is_usable_device(device: torch.device) -> bool:
    """Whether this machine, and this build of torch, has a device."""
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        return False
    return True


def _available() -> list[str]:
    """Return the devices of this machine."""
    return ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
