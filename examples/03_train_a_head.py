"""Train a linear head on a store: features are decoded a batch at a time, as the loader asks for them."""

import torch
from torch.utils.data import DataLoader

import lamofc_store as lamofc

CLASSES = 4


def samples() -> list[lamofc.Sample]:
    """Noise about one of four centres."""
    centres = torch.randn(CLASSES, 64, generator=torch.Generator().manual_seed(0))
    noise = torch.Generator().manual_seed(1)
    made = []
    for number in range(400):
        label = number % CLASSES
        tokens = centres[label] + torch.randn(8, 64, generator=noise)
        split = "train" if number < 300 else "test"
        made.append(lamofc.Sample(f"s{number:04d}", {"layer.4": tokens}, {"label": label, "split": split}))
    return made


def collate(examples: list[dict[str, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean over tokens, and labels."""
    pooled = torch.stack([example["layer.4"].mean(0) for example in examples])
    return pooled, torch.tensor([int(example["label"]) for example in examples])


def main() -> None:
    """Ingest, train, test."""
    torch.manual_seed(0)
    with lamofc.open("heads.lamofc", mode="w") as store:
        store.ingest(samples(), codec="uniform", quality=lamofc.Quality(snr_db=10))
        train = store.dataset(["layer.4"], target="label", where="split = 'train'")
        test = store.dataset(["layer.4"], target="label", where="split = 'test'")

        head = torch.nn.Linear(64, CLASSES)
        optimiser = torch.optim.Adam(head.parameters(), lr=0.01)
        for _ in range(5):
            for inputs, labels in DataLoader(train, batch_size=50, shuffle=True, collate_fn=collate):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(head(inputs), labels).backward()  # type: ignore[no-untyped-call]
                optimiser.step()

        ((inputs, labels),) = DataLoader(test, batch_size=len(test), collate_fn=collate)
        accuracy = (head(inputs).argmax(1) == labels).float().mean().item()
        print(f"accuracy on held-out samples: {accuracy:.1%}")
        assert accuracy > 0.95


if __name__ == "__main__":
    main()
