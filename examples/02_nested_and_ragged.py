"""Key and value caches as a model gives them: nested, 4-D, bfloat16, a length of its own in each sample."""

import torch

import lamofc_store as lamofc


def cache(tokens: int) -> dict[str, object]:
    """Two layers of (keys, values), batch x heads x tokens x channels, beside the last hidden state."""
    layers = [tuple(torch.randn(1, 4, tokens, 32).bfloat16() for _ in ("key", "value")) for _ in range(2)]
    return {"past": layers, "hidden": torch.randn(1, tokens, 64)}


given = {f"prompt_{tokens}": cache(tokens) for tokens in (1, 7, 30)}

with lamofc.open("caches.lamofc", mode="w") as store:
    # Each feature becomes tokens x channels by a pattern, which is kept; this is what will be used.
    for planned in lamofc.plan(given.items()):
        print(f"{planned.feature:12} {planned.shape} {planned.pattern}")
    store.ingest(given.items(), codec="raw")

    back = store.get("prompt_7")
    assert isinstance(back["past"][1], tuple)
    assert torch.equal(back["past"][1][0], given["prompt_7"]["past"][1][0])  # type: ignore[index]

    keys = store.features[1]
    assert store["prompt_30", keys].shape == (1, 4, 30, 32)
    assert store["prompt_30", keys].dtype == torch.bfloat16
