"""CompressAI's Hyperprior as a reference of speed."""

from importlib.util import find_spec
from typing import Any

import torch


class UntrainedHyperprior:
    """CompressAI's Hyperprior of one channel with random weights, on the tokens x channels plane of one tensor.

    Its layers cost the same as trained ones; its entropy coder may cost more or less.
    """

    def __init__(self, tokens: int, channels: int, device: torch.device | str = "cpu") -> None:
        from compressai.models import ScaleHyperprior

        model: Any = ScaleHyperprior(128, 192).eval()
        model.g_a[0] = torch.nn.Conv2d(1, 128, 5, stride=2, padding=2)
        model.g_s[-1] = torch.nn.ConvTranspose2d(128, 1, 5, stride=2, padding=2, output_padding=1)
        model.update(force=True)
        self._model = model.to(device)
        self._plane = torch.rand(1, 1, -(-tokens // 64) * 64, -(-channels // 64) * 64, device=device)
        self._coded = self.encode()

    @staticmethod
    def available() -> bool:
        """Tell whether CompressAI is installed."""
        return find_spec("compressai") is not None

    @torch.no_grad()
    def encode(self) -> Any:
        """Encode the plane."""
        return self._model.compress(self._plane)

    @torch.no_grad()
    def decode(self) -> Any:
        """Decode the plane."""
        return self._model.decompress(self._coded["strings"], self._coded["shape"])
