"""Train a linear head on a store: features are decoded a batch at a time, as the loader asks for them."""

import torch

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
            for batch in lamofc.FeatureLoader(train, batch_size=50, shuffle=True):
                scores = head(batch["layer.4"].mean(1))
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(scores, batch["label"]).backward()  # type: ignore[no-untyped-call]
                optimiser.step()

        (batch,) = lamofc.FeatureLoader(test, batch_size=len(test))
        accuracy = (head(batch["layer.4"].mean(1)).argmax(1) == batch["label"]).float().mean().item()
        print(f"accuracy on held-out samples: {accuracy:.1%}")
        assert accuracy > 0.95


if __name__ == "__main__":
    main()
