"""Packings of the papers against plain NumPy, as their own texts and tables describe them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lamofc_store.errors import BadArgument
from lamofc_store.sample import pattern_for, planes_of, published_packing, to_tokens

Array = NDArray[np.float32]


def packed(paper: str, feature: str, array: Array) -> Array:
    pattern = pattern_for(feature, array.shape, {}, published_packing(paper).patterns_for({feature: array.shape}))
    planes: Array = to_tokens(torch.from_numpy(array), pattern).numpy()
    return planes


def drawn(*shape: int) -> Array:
    return np.random.default_rng(1).random(shape, np.float32)


def mosaic(array: Array, down: int, across: int) -> Array:
    """Tile k of channel k, row by row of tiles."""
    return np.block([[array[row * across + column] for column in range(across)] for row in range(down)])


@pytest.mark.parametrize("paper", ["lamofc", "dt-ufc"])
def test_tasks_of_lamofc(paper: str) -> None:
    crops = drawn(2, 1, 7, 3)
    assert np.array_equal(packed(paper, "seg", crops), np.concatenate([crops[0, 0], crops[1, 0]]))
    assert np.array_equal(packed(paper, "csr", crops[:1]), crops[0, 0])
    layers = drawn(2, 4, 5, 3)
    one = packed(paper, "dpt", layers)
    assert one.shape == (2 * 5, 4 * 3)
    for crop, layer, token, channel in ((0, 0, 0, 0), (1, 3, 4, 2), (1, 2, 0, 1)):
        assert one[crop * 5 + token, layer * 3 + channel] == layers[crop, layer, token, channel]
    apart = [packed(paper, f"dpt.{layer}", layers[:, layer]) for layer in range(4)]
    assert np.array_equal(np.concatenate(apart, 1), one)
    latents = drawn(1, 16, 6, 5)
    assert np.array_equal(packed(paper, "tti", latents), mosaic(latents[0], 4, 4))
    maps = drawn(2048, 2, 3)
    assert np.array_equal(packed(paper, "cnn", maps), mosaic(maps, 64, 32))


def test_features_of_lamofcbench() -> None:
    images = drawn(3, 7, 4)
    assert np.array_equal(packed("lamofcbench", "layer.39", images), np.concatenate(list(images)))
    pattern = published_packing("lamofcbench").patterns_for({"layer.39": images.shape})["layer.39"]
    assert planes_of(images.shape, pattern) == 3
    cache = drawn(1, 4, 7, 3)
    assert packed("lamofcbench", "layer.0.k_cache", cache)[5, 2 * 3 + 1] == cache[0, 2, 5, 1]
    states = drawn(1, 9, 4)
    assert np.array_equal(packed("lamofcbench", "layer.3.ssm_state", states), states[0])
    assert np.array_equal(packed("lamofcbench", "vae.encoder_f0", drawn(32, 3, 5)), mosaic(drawn(32, 3, 5), 4, 8))
    assert np.array_equal(packed("lamofcbench", "vae.decoder", drawn(16, 3, 5)), mosaic(drawn(16, 3, 5), 4, 4))
    assert packed("lamofcbench", "text_encoder-item0.clip_pooled_prompt_embeds", drawn(24)).shape == (1, 24)


def test_other_names_are_refused() -> None:
    with pytest.raises(BadArgument, match="as_published='jpeg'"):
        published_packing("jpeg")
    assert not published_packing(None).patterns_for({"layer.1": (2, 3, 4)})
