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
_RATE = 2e-3


class Block(nn.Module):
    """Attention, then two layers on each token, each added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.LayerNorm(CHANNELS)
        self.mix = nn.Linear(CHANNELS, 3 * CHANNELS)
        self.join = nn.Linear(CHANNELS, CHANNELS)
        self.each = nn.Sequential(
            nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, 4 * CHANNELS), nn.GELU(), nn.Linear(4 * CHANNELS, CHANNELS)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Samples x tokens x channels, in and out."""
        query, key, value = rearrange(self.mix(self.before(tokens)), "b t (n h c) -> n b h t c", n=3, h=HEADS)
        mixed = scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.join(rearrange(mixed, "b h t c -> b t (h c)"))
        joined: Tensor = tokens + self.each(tokens)
        return joined


class DigitViT(nn.Module):
    """Images to classes; `hidden` gives the tokens after each block."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, CHANNELS)
        self.start = nn.Parameter(torch.randn(1, 1, CHANNELS) * 0.5)
        self.place = nn.Parameter(torch.randn(1, TOKENS, CHANNELS) * 0.5)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.head = nn.Sequential(nn.LayerNorm(CHANNELS), nn.Linear(CHANNELS, CLASSES))

    def hidden(self, images: Tensor) -> list[Tensor]:
        """Samples x 17 x 64 after each block, the class token first."""
        patches = self.embed(rearrange(images, "b (h p) (w q) -> b (h w) (p q)", p=2, q=2))
        tokens = torch.cat([self.start.expand(len(images), -1, -1), patches], dim=1) + self.place
        found = []
        for block in self.blocks:
            tokens = block(tokens)
            found.append(tokens)
        return found

    def forward(self, images: Tensor) -> Tensor:
        """Samples x classes."""
        scores: Tensor = self.head(self.hidden(images)[-1][:, 0])
        return scores


def train(digits: Digits, epochs: int, seed: int, tell: Callable[[int, int], None]) -> DigitViT:
    """A model trained on the training images; `tell` hears of epochs done, of all."""
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        model = DigitViT()
        images, labels = digits.images[: digits.training], digits.labels[: digits.training]
        steps = epochs * -(-len(images) // _BATCH)
        optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
        for epoch in range(epochs):
            for chosen in torch.split(torch.randperm(len(images)), _BATCH):
                optimiser.zero_grad()
                cross_entropy(model(images[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
            tell(epoch + 1, epochs)
    return model.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Steps this small gain nothing from a second thread, and lose much where somebody else wants the core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.inference_mode()
def accuracy(model: DigitViT, digits: Digits) -> float:
    """Share of held-out images that are classified rightly."""
    held_out = slice(digits.training, None)
    guessed: Tensor = model(digits.images[held_out]).argmax(1)
    return (guessed == digits.labels[held_out]).float().mean().item()


@torch.no_grad()
def features(model: DigitViT, digits: Digits, blocks: tuple[int, ...]) -> dict[str, Tensor]:
    """Samples x 17 x 64 after the blocks asked for, which are counted from 1."""
    hidden = model.hidden(digits.images)
    return {f"block.{number}": hidden[number - 1] for number in blocks}
