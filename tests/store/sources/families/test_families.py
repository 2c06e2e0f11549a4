"""Published feature sets: every family and every hazard of theirs, in by its names and out as it was."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import Sizes, decode, encode, fit
from lamofc_codecs.published.mappings import published_levels, route
from lamofc_codecs.testing.samples import drawn_weights
from lamofc_store import sources
from lamofc_store.errors import BadArgument, SourceError
from lamofc_store.sources.readers import torch_unpickle
from tests.store.sample.test_structure import same
from tests.store.sources.families.published import (
    FAMILIES,
    dinov3,
    falcon,
    kept,
    kimi,
    measured,
    normal,
    qwen,
    stable_diffusion,
    unpacked,
)

Refused = Callable[..., SourceError]
MAPPINGS = os.environ.get("LAMOFC_MAPPINGS", "")
"""A folder with LaMoFCBench's mapping.json, which may not be copied here."""


@pytest.mark.parametrize("case", FAMILIES)
def test_raw_in_and_out_is_the_same_object(tmp_path: Path, case: str) -> None:
    torch.manual_seed(0)
    family, make, names = FAMILIES[case]
    payloads = {f"sample-{number}": make() for number in range(2)}
    for name, payload in payloads.items():
        kept(tmp_path / "in" / f"{name}.zst", payload)
    found = {sample.id: sample for sample in sources.open(tmp_path / "in")}
    told = {sample.id: sample for sample in sources.open(tmp_path / "in", family)}
    assert list(found) == list(payloads) == list(told)
    assert names <= set(found["sample-0"].features) == set(told["sample-0"].features)
    assert not any(name.startswith(("features", "metadata")) for name in found["sample-0"].features)
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(sources.open(tmp_path / "in"), "raw")
        lamofc.export(store, tmp_path / "out", "lamofcbench")
    for name, payload in payloads.items():
        assert same(unpacked(tmp_path / "out" / f"{name}.zst"), payload)


def test_patterns_come_with_the_family_and_give_way_to_the_user(tmp_path: Path) -> None:
    kept(tmp_path / "in" / "a.zst", qwen(11))
    kept(tmp_path / "in" / "b.zst", stable_diffusion())
    plan = {one.feature: one for one in lamofc.plan(tmp_path / "in")}
    assert (plan["layer.0.k_cache"].tokens, plan["layer.0.k_cache"].channels) == (11, 8 * 16)
    assert (plan["vae.decoder"].tokens, plan["vae.decoder"].channels) == (64, 16)
    assert plan["vae.decoder"].grid == '{"prefix": 0, "height": 8, "width": 8}'
    own = {one.feature: one for one in lamofc.plan(tmp_path / "in", patterns={"*.k_cache": "b h t d -> (b h t) d"})}
    assert (own["layer.0.k_cache"].tokens, own["layer.0.v_cache"].tokens) == (88, 11)


@pytest.mark.parametrize("codec", ["hyperprior", "klt"])
def test_images_of_a_batch_are_planes(tmp_path: Path, codec: str) -> None:
    """Rows of DINOv3's batch, a picture and its mirror image or crops, are coded each for itself."""
    for name, crops in (("a", 2), ("b", 1), ("c", 3)):
        kept(tmp_path / "in" / f"{name}.zst", dinov3("encoder.backbone.blocks.{}", crops))
    weights = drawn_weights(Sizes("hyperprior", 8, 12))
    options = {"weights": weights, "tile": 0, "levels": [number / 32 - 4 for number in range(256)]}
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(sources.open(tmp_path / "in"), codec, codec_options=options if codec == "hyperprior" else {})
        patterns = {row[0] for row in store.sql("SELECT DISTINCT pattern FROM records").fetchall()}
        assert patterns == {"b t c -> b t c"}
        for sample in sources.open(tmp_path / "in"):
            rows = sample.features["layer.19"]
            decoded = store[sample.id, "layer.19"]
            assert decoded.shape == rows.shape
            if codec == "hyperprior":
                alone = fit("hyperprior", [], **options)
                apart = [one.data for one in encode(list(rows), alone)]
                assert torch.equal(decoded, torch.stack(decode(apart, alone)))
        assert tuple(store.zarr["layer.19"].shape) == (3, 3, 21, 24)


def test_attributes_are_what_was_measured_or_stood_beside(tmp_path: Path) -> None:
    kept(tmp_path / "a.zst", measured(kimi()))
    kept(tmp_path / "b.zst", {**qwen(2), "note": "kept"})
    one, other = sources.open(tmp_path)
    assert one.attributes == {"codec_arch": "elic", "codec_bpfp": 1.25, "codec_lambda": None}
    assert other.attributes == {"note": "kept"}


def test_what_was_measured_is_where_scripts_look_for_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    payload = qwen(40)
    kept(tmp_path / "in" / "a.zst", payload)
    kept(tmp_path / "in" / "b.zst", measured(payload))
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(sources.open(tmp_path / "in"), "klt", lamofc.Quality(snr_db=12), fit_samples=2)
        lamofc.export(store, tmp_path / "out", "lamofcbench", measured=True)
        rows = store.sql("SELECT feature, payload_bits, stored_bits, elements, sse FROM records WHERE sample = 'a'")
        told = {row[0]: row[1:] for row in rows.fetchall()}
        with pytest.raises(BadArgument, match="measured=True in an export as npz"):
            lamofc.export(store, tmp_path / "other", "npz", measured=True)
    for name in ("a", "b"):
        again = unpacked(tmp_path / "out" / f"{name}.zst")
        assert list(again) == ["features", "metadata"] and list(again["features"]) == list(payload)
        found = again["metadata"]
        elements = sum(row[2] for row in told.values())
        assert found["bpfp"] == pytest.approx(sum(row[0] for row in told.values()) / elements)
        assert found["ebpfp"] == pytest.approx(2 * found["bpfp"]) and found["stored_bpfp"] > found["bpfp"]
        assert found["mse"] == pytest.approx(sum(row[3] for row in told.values()) / elements)
        one = found["layer.2.k_cache"]
        assert one["ori_shape"] == torch.Size([1, 8, 40, 16]) and one["ori_dtype"] == torch.bfloat16
        off = again["features"]["key"][2].double() - payload["key"][2].double()
        assert one["final_mse"] == pytest.approx(off.square().mean().item(), rel=1e-4) and one["ori_bytes"] == 2


def test_envelopes_of_other_forms(tmp_path: Path) -> None:
    kept(tmp_path / "in" / "bare.zst", {"features": qwen(3)})
    kept(tmp_path / "in" / "more.zst", {"features": qwen(3), "version": 2})
    odd = {"metadata": {"layer.4.output": normal(2, 2), "bpfp": -1}, "features": qwen(3)}
    kept(tmp_path / "in" / "tensors.zst", odd)
    found = {sample.id: sample for sample in sources.open(tmp_path / "in", "qwen3")}
    for sample in found.values():
        assert sample.features["layer.4.output"].shape == (1, 3, 64) and "layer.0.k_cache" in sample.features
    assert found["tensors"].features["metadata.layer.4.output"].shape == (2, 2)
    assert found["tensors"].attributes == {"codec_bpfp": -1.0} and found["more"].attributes == {"version": 2}
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(found.values(), "raw")
        lamofc.export(store, tmp_path / "out", "lamofcbench")
        for name in found:
            assert same(
                torch_unpickle.load(tmp_path / "out" / f"{name}.zst"),
                torch_unpickle.load(tmp_path / "in" / f"{name}.zst"),
            )


def test_layers_of_other_forms_keep_their_paths(tmp_path: Path) -> None:
    payload = {"model.layers.0": (normal(1, 2, 3, 4), normal(1, 2, 3, 4)), "model.layers.1": (normal(1, 3, 8), None)}
    kept(tmp_path / "a.zst", payload)
    (sample,) = sources.open(tmp_path / "a.zst", "kimiaudio")
    assert set(sample.features) == {"layer.0.k_cache", "layer.0.v_cache", "model.layers.1.0"}


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def test_frames_that_would_run_code_or_fill_the_disk_are_refused(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(tmp_path / "a.zst", {**qwen(1), "more": Bomb(str(tmp_path / "ran"))})
    for format in ("auto", "qwen3", "zst"):
        with pytest.raises(SourceError, match="holds more than tensors"):
            list(sources.open(tmp_path / "a.zst", format))
    assert not (tmp_path / "ran").exists()
    monkeypatch.setattr(torch_unpickle, "LARGE_BYTES", 1 << 20)
    kept(tmp_path / "a.zst", {"layer.9": torch.zeros(1 << 20)})
    refused(tmp_path / "a.zst", "would become more than")
    monkeypatch.undo()
    (tmp_path / "a.zst").write_bytes(kept(tmp_path / "b.zst", qwen(1)).read_bytes()[:-40])
    refused(tmp_path / "a.zst", "is no readable .zst file")


def test_the_wrong_family_is_named(tmp_path: Path) -> None:
    kept(tmp_path / "a.zst", falcon())
    with pytest.raises(SourceError, match="holds nothing of qwen3: output, ssm_state, conv_state"):
        list(sources.open(tmp_path / "a.zst", "qwen3"))


TREES = {
    "cls": (1, 1, 17, 24),
    "seg": (2, 1, 37, 24),
    "dpt": (2, 4, 17, 24),
    "csr": (1, 1, 9, 64),
    "tti": (1, 16, 8, 8),
    "cnn": (32, 7, 7),
}


def test_trees_of_arrays_come_in_by_task_and_go_out_as_they_were(tmp_path: Path) -> None:
    written = {}
    for task, shape in TREES.items():
        file = tmp_path / "in" / "model" / task / "feature_test" / "a.b.npy"
        file.parent.mkdir(parents=True)
        written[file.relative_to(tmp_path / "in")] = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        np.save(file, written[file.relative_to(tmp_path / "in")])
    found = {sample.attributes["task"]: sample for sample in sources.open(tmp_path / "in")}
    assert set(found) == set(TREES)
    assert list(found["dpt"].features) == [f"dpt.{layer}" for layer in range(4)]
    assert found["cls"].id == "model/cls/feature_test/a.b"
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(sources.open(tmp_path / "in", "lamofc-npy"), "raw")
        assert store["model/tti/feature_test/a.b", "tti"].shape == (1, 16, 8, 8)
        lamofc.export(store, tmp_path / "out", "lamofc-npy")
    for file, array in written.items():
        again = np.load(tmp_path / "out" / file)
        assert again.dtype == array.dtype and np.array_equal(again, array)
    np.save(tmp_path / "in" / "loose.npy", np.zeros((2, 3)))
    with pytest.raises(SourceError, match="does not lie in TASK/feature"):
        list(sources.open(tmp_path / "in" / "loose.npy", "lamofc-npy"))


def test_dumps_named_h5_are_read_for_what_they_are(tmp_path: Path, refused: Refused) -> None:
    planes = {"lsb": torch.arange(12, dtype=torch.uint8).reshape(3, 4), "msb": torch.ones(3, 4, dtype=torch.uint8)}
    dump = {"data": {"p2": normal(8, 4, 4), "p3": planes}, "org_size": [640, 480]}
    torch.save(dump, tmp_path / "a.h5")
    (sample,) = sources.open(tmp_path)
    assert set(sample.features) == {"data.p2", "data.p3.lsb", "data.p3.msb"}
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        store.ingest(sources.open(tmp_path / "a.h5", "compressai-vision"), "raw")
        assert same(store.get("a"), dump)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n and so on")
    refused(tmp_path, "is a file of HDF5")


def test_a_sample_is_mapped_and_not_held(tmp_path: Path) -> None:
    """A compressed sample of 200 MB is read a feature at a time by a process that grows by far less."""
    kept(tmp_path / "a.zst", {f"layer.{block}": torch.randn(12_500_000) for block in range(4)})
    program = (
        "import resource, sys; from lamofc_store import sources\n"
        "import torch; base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "(sample,) = sources.open(sys.argv[1])\n"
        "assert len(sample.features) == 4\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)"
    )
    command = [sys.executable, "-c", program, tmp_path / "a.zst"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 60_000


@pytest.mark.skipif(not MAPPINGS, reason="LAMOFC_MAPPINGS names no folder with a published mapping.json")
def test_published_levels_are_found_by_the_names_of_families(tmp_path: Path) -> None:
    file = Path(MAPPINGS) / "mapping.json"
    told = {"depth": "dinov3-total", "wide": "dinov3-total", "qwen3": "qwen", "falconmamba": "falconmamba"}
    told |= {"kimiaudio": "kimiaudio", "sd35": "sd35"}
    found = set()
    for case, family in told.items():
        format, make, _ = FAMILIES[case]
        kept(tmp_path / case / "one.zst", make())
        patterns = published_levels(file, family)
        with lamofc.open(str(tmp_path / f"{case}.store"), "w-") as store:
            options = {"mapping": str(file), "family": family}
            store.ingest(sources.open(tmp_path / case, format), "lloydmax", codec_options=options)
            for feature, tensor in store.tensors("one").items():
                pattern = route(feature, {name: name for name in patterns})
                levels = torch.tensor(patterns[pattern]).to(tensor.dtype)
                assert torch.isin(tensor, levels).all(), (feature, pattern)
                found.add((family, pattern))
    assert len(found) == 50
