"""A small vision transformer: 2 x 2 patches and a class token, four blocks of 64 channels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from lamofc_tools.demo.digits import CLASSES, Digits

CHANNELS, HEADS, BLOCKS, TOKENS = 64, 4, 4, 17
_BATCH = 32
_LEARNING_RATE = 2e-3


class Block(nn.Module):
    """Attention, then a two-layer network on each token, each with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.LayerNorm(CHANNELS)
        self.mix = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.join = nn.Linear(CHANNELS, CHANNELS)
        self.each = nn.Sequential(
            nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 4 * CHANNELS), nn.GELU(), nn.Linear(4 * CHANNELS, CHANNELS)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map samples x tokens x channels to the same shape."""
        query, key, value = rearrange(self.mix(self.before(tokens)), "b t (n h c) -> n b h t c", n=3, h=HEADS)
        mixed = scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.join(rearrange(mixed, "b h t c -> b t (h c)"))
        output: Tensor = tokens + self.each(tokens)
        return output


class DigitViT(nn.Module):
    """A classifier of images; `hidden` returns the tokens after each block."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, CHANNELS)
        self.start = nn.Parameter(torch.randn(1, 1, CHANNELS) * 0.5)
        self.place = nn.Parameter(torch.randn(1, TOKENS, CHANNELS) * 0.5)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.head = nn.Sequential(nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, CLASSES))

    def hidden(self, images: Tensor) -> list[Tensor]:
        """Return samples x 17 x 64 after each block, the class token first."""
        patches = self.embed(rearrange(images, "b (h p) (w q) -> b (h w) (p q)", p=2, q=2))
        tokens = torch.cat([self.start.expand(len(images), -1, -1), patches], dim=1) + self.place
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """Return scores, samples x classes."""
        scores: Tensor = self.head(self.hidden(images)[-1][:, 0])
        return scores


def train(digits: Digits, epochs: int, seed: int, progress: Callable[[int, int], None]) -> DigitViT:
    """Train a model on the training images; `progress` is called with the epochs done and their total."""
    with torch.random.fork_rng(devices=[]), _single_thread():
        torch.manual_seed(seed)
        model = DigitViT()
        images, labels = digits.images[: digits.training], digits.labels[: digits.training]
        steps = epochs * -(-len(images) // _BATCH)
        optimiser = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=steps)
        for epoch in range(epochs):
            for batch in torch.split(torch.randperm(len(images)), _BATCH):
                optimiser.zero_grad()
                cross_entropy(model(images[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            progress(epoch + 1, epochs)
    return model.eval()


@contextmanager
def _single_thread() -> Iterator[None]:
    """Use one thread: steps this small gain nothing from a second one, and lose much when the core is shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def accuracy(model: DigitViT, digits: Digits) -> float:
    """Return the share of held-out images that are classified correctly."""
    held_out = slice(digits.training, None)
    predicted: Tensor = model(digits.images[held_out]).argmax(1)
    return (predicted == digits.labels[held_out]).float().mean().item()


@torch.no_grad()
def features(model: DigitViT, digits: Digits, blocks: tuple[int, ...]) -> dict[str, Tensor]:
    """Return samples x 17 x 64 after the given blocks, which are counted from 1."""
    hidden = model.hidden(digits.images)
    return {f"block.{number}": hidden[number - 1] for number in blocks}
