"""`as_published`: one option that packs and codes as a paper does, where no other option says otherwise."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import Sizes, decode, encode, fit, inspect
from lamofc_codecs.testing.samples import drawn_weights
from lamofc_store import Sample, sources
from lamofc_store.errors import BadArgument
from lamofc_store.ingest.request import IngestOptions

WEIGHTS = drawn_weights(Sizes("hyperprior", 8, 12))


def tree(root: Path, task: str, *arrays: np.ndarray) -> Path:  # type: ignore[type-arg]
    folder = root / "dinov2" / task / "feature"
    folder.mkdir(parents=True)
    for number, array in enumerate(arrays):
        np.save(folder / f"s{number}.npy", array)
    return root


def test_four_layers_lie_in_one_plane_each_in_its_range(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    arrays = [draw.normal(0, 3, (2, 4, 33, 40)).astype(np.float32) for _ in range(2)]
    source = sources.open(tree(tmp_path / "in", "dpt", *arrays), "lamofc-npy")
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(source, "hyperprior", as_published="lamofc", codec_options={"weights": WEIGHTS})
        rows = store.sql("SELECT count(*), count(DISTINCT (segment, record)), min(codec) FROM records").fetchall()
        assert rows == [(8, 2, "hyperprior")]
        (profile,) = {row[0] for row in store.sql("SELECT profile FROM records").fetchall()}
        config = store.profiles[profile].config
        assert config["range"] == [[-1.0, 1.0], [-2.0, 2.0], [-10.0, 10.0], [-10.0, 10.0]]
        assert (config["tile"], config["fill"]) == (0, "zero")
        sample = next(iter(store))
        found = np.stack([store[sample, f"dpt.{layer}"].numpy() for layer in range(4)], 1)
        names = [f"dpt.{layer}" for layer in range(4)]
        parts = {name: torch.from_numpy(arrays[0][:, layer].reshape(66, 40)) for layer, name in enumerate(names)}
        record = encode([parts], store.profiles[profile])[0].data
        assert sum(inspect(record).grid.channels) == 160
        expected = np.stack([one.reshape(2, 33, 40).numpy() for one in decode([record], store.profiles[profile])], 1)
        assert np.array_equal(found, expected)
        again = store.ingest(source, "hyperprior", as_published="lamofc", codec_options={"weights": WEIGHTS})
        assert (again.records, again.already) == (0, 8)


def test_images_are_planes_and_latents_a_mosaic_without_a_family(tmp_path: Path) -> None:
    features = {"layer.9": torch.randn(2, 70, 80), "vae.decoder": torch.randn(16, 24, 24)}
    levels = [number / 32 - 4 for number in range(256)]
    options = {"weights": WEIGHTS, "levels": levels}
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest([Sample("a", features)], "hyperprior", as_published="lamofcbench", codec_options=options)
        rows = dict(store.sql("SELECT feature, pattern FROM records").fetchall())
        assert rows == {"layer.9": "b t c -> b t c", "vae.decoder": "(r s) y x -> (r y) (s x), s=4"}
        alone = fit("hyperprior", [], **options, tile=0, fill="zero", assign="floor")
        apart = [one.data for one in encode(list(features["layer.9"]), alone)]
        assert torch.equal(store["a", "layer.9"], torch.stack(decode(apart, alone)))


def test_what_is_given_goes_before_what_is_printed() -> None:
    given = IngestOptions(codec="hyperprior", as_published="lamofc", codec_options={"tile": 64, "range": (0, 1)})
    assert given.codec_options == {"tile": 64, "fill": "zero", "range": (0, 1)}
    assert given.groups == ("dpt.*",)
    video = IngestOptions(codec="vvc", as_published="lamofc", groups=("cls",))
    assert (video.codec_options, video.groups) == ({"truncation": "vtm", "rounding": "floor"}, ("cls",))
    assert not IngestOptions(codec="hyperprior", as_published="lamofcbench").groups
    exact = given.exact()
    assert (exact.as_published, exact.codec_options, exact.groups, exact.quality) == (None, {}, (), None)
    assert IngestOptions().exact().quality is None


@pytest.mark.parametrize(
    ("codec", "name", "words"), [("klt", "lamofc", "prints nothing of codec 'klt'"), ("vvc", "hm", "as_published='hm'")]
)
def test_what_no_paper_prints_is_refused(codec: str, name: str, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        IngestOptions(codec=codec, as_published=name)
