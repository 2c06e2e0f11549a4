"""Which samples a profile is fitted on, and what it aims at."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import Quality, Rotary, fit
from lamofc_store.errors import BadArgument, SourceError
from lamofc_store.ingest.profiles import items_to_fit
from lamofc_store.ingest.request import IngestOptions


def test_a_profile_is_fitted_on_what_lies_all_over_the_source(tmp_path: Path) -> None:
    """A folder sorted by kind: the profile knows both kinds, though the first hundred samples are of one."""
    folder = tmp_path / "sorted"
    folder.mkdir()
    for number in range(200):
        hidden = torch.randn(8, 4, generator=torch.Generator().manual_seed(number)) + 100 * (number >= 100)
        np.save(folder / f"{number:03}.npy", hidden.numpy())
    profile = next(iter(lamofc.fit_profiles(folder, "uniform").values()))
    assert (profile.tensors["bulk_mean"] - 50).abs().max() < 5


@pytest.mark.parametrize(
    ("tokens", "given", "total", "looked_at"),
    [
        (1, None, 200, 200),
        (300, None, 200, 110),
        (4000, None, 200, 64),
        (4000, 7, 200, 7),
        (300, None, 16 * 150, 150),
        (1000, None, 16 * 190, 132),
        (300, None, None, 110),
    ],
)
def test_a_fit_looks_at_as_many_samples_as_it_needs(
    tokens: int, given: int | None, total: int | None, looked_at: int
) -> None:
    samples = [lamofc.Sample(f"s{number}", {"x": torch.zeros(tokens, 2)}) for number in range(200)]
    options = IngestOptions(codec="uniform", fit_samples=given)
    assert len(items_to_fit(samples, options, total)) == looked_at


def test_a_given_profile_brings_its_own_quality(tmp_path: Path) -> None:
    tensors = [torch.randn(50, 8, generator=torch.Generator().manual_seed(number)) for number in range(4)]
    profile = fit("klt", tensors, Quality(snr_db=7))
    samples = [lamofc.Sample(f"s{number}", {"x": tensor}) for number, tensor in enumerate(tensors)]
    for name, wish, qualities in (("own", None, "snr_db=7"), ("asked", Quality(snr_db=3), "snr_db=3")):
        with lamofc.create(str(tmp_path / name)) as store:
            store.ingest(samples, quality=wish, profile=profile)
            found = store.sql("SELECT DISTINCT quality FROM records").fetchall()
            assert found == [(qualities,)]
            noise = (store["s0"]["x"] - tensors[0]).square().sum() / (tensors[0] - tensors[0].mean(0)).square().sum()
            assert -10 * torch.log10(noise) == pytest.approx(float(qualities[7:]), abs=0.5)


def _mixed(seed: int, about: int, tokens: int = 200) -> torch.Tensor:
    """Tokens whose 64 channels are mixtures of few, in a way of their own."""
    mixing = torch.randn(64, 64, generator=torch.Generator().manual_seed(about)) * torch.arange(1, 65) ** -1.5
    return torch.randn(tokens, 64, generator=torch.Generator().manual_seed(seed)) @ mixing.T


def test_a_profile_of_other_features_is_told(tmp_path: Path) -> None:
    samples = [lamofc.Sample(f"s{number}", {"x": _mixed(100 + number, 1)}) for number in range(20)]
    for about, fits in ((1, True), (2, False)):
        profile = fit("klt", [_mixed(number, about) for number in range(20)], Quality(snr_db=15))
        with lamofc.create(str(tmp_path / f"{about}")) as store:
            report = store.ingest(samples, profile=profile)
            assert bool(report.warnings) is not fits
            if not fits:
                assert f"profile {profile.id[:12]} does not fit feature 'x'" in report.warnings[0]
            bits = store.sql("SELECT max(8 * length / elements) FROM records").fetchall()[0][0]
            assert bits <= 32.0 + 8 * 64 / 12800


def test_positions_of_keys_are_found_and_told(tmp_path: Path) -> None:
    """Caches of a window, which begin late; a later ingest takes the profile, however it came to its positions."""
    told = Rotary(tuple((1 / 1e4 ** (torch.arange(0, 32, 2) / 32)).double().tolist()), "halves", 2)
    samples = []
    for number in range(24):
        keys = told.turned(_mixed(number, 1, 40) + 2 * _mixed(0, 2, 1), np.arange(500, 540) + number)
        caches = {"k_cache": keys, "v_cache": _mixed(number, 3, 40)}
        samples.append(lamofc.Sample(f"s{number:02}", caches, {"first_position": 500 + number}))
    found: list[tuple[str, str]] = []
    with lamofc.create(str(tmp_path / "s")) as store:
        store.ingest(samples[:16], found=lambda *words: found.append(words))
        assert found == [("k_cache", "rotary positions of theta 10000 found and undone (16 pairs of halves, 2 heads)")]
        configs = {entry.feature: store.profiles[entry.id].config for entry in store.snapshot.profiles.values()}
        assert configs["k_cache"]["rotary"] == [told.to_json()] and "rotary" not in configs["v_cache"]
        store.ingest(samples[16:20], codec_options={"rotary": "find"}, found=lambda *words: found.append(words))
        store.ingest(samples[20:], codec_options={"rotary": {"k_cache": told}})
        assert len(found) == 1 and len(store.snapshot.profiles) == 2
        ((keys, other),) = store.sql(
            "SELECT sum(length) FILTER (feature = 'k_cache'), sum(length) FILTER (feature = 'v_cache') FROM records"
        ).fetchall()
        assert keys < 1.1 * other
        with pytest.raises(BadArgument, match=r"fitted with rotary=.*, not None"):
            store.ingest([lamofc.Sample("more", samples[0].features)], codec_options={"rotary": None})
    profiles = lamofc.fit_profiles(samples, groups=["*"], found=lambda *words: found.append(words))
    assert profiles["k_cache+v_cache"].config["rotary"] == [told.to_json(), None] and found[1] == found[0]


def test_a_profile_from_few_samples_still_codes(tmp_path: Path) -> None:
    profile = fit("klt", [_mixed(number, 1, 20) for number in range(10)], Quality(snr_db=15))
    with lamofc.create(str(tmp_path / "few")) as store:
        report = store.ingest([lamofc.Sample("s", {"x": _mixed(99, 1)})], profile=profile)
        assert not report.warnings
        assert store.sql("SELECT codec FROM records").fetchall() == [("klt",)]


def test_features_that_hide_nothing_are_no_reason_to_warn(tmp_path: Path) -> None:
    for tokens, channels in ((128, 96), (17, 64)):
        samples = [lamofc.Sample(f"s{number}", {"x": torch.randn(tokens, channels)}) for number in range(80)]
        for wish in (3, 25):
            with lamofc.create(str(tmp_path / f"{channels}-{wish}")) as store:
                assert not store.ingest(samples, quality=Quality(snr_db=wish)).warnings


@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 2), (1, 8)])
@pytest.mark.parametrize("block", [1, 64])
def test_tensors_too_small_for_any_codec_are_no_reason_to_warn(
    tmp_path: Path, shape: tuple[int, ...], block: int
) -> None:
    samples = [lamofc.Sample(f"s{number}", {"x": torch.full(shape, float(number))}) for number in range(10)]
    with lamofc.create(str(tmp_path / "tiny")) as store:
        assert store.ingest(samples, block=block).warnings == []


def test_a_profile_is_to_pay_in_the_samples_that_there_are(tmp_path: Path) -> None:
    samples = [lamofc.Sample(f"s{number}", {"x": _mixed(number, 1, 3)}) for number in range(1200)]
    found = {}
    for name, source in (("few", samples[:20]), ("many", samples), ("unknown", iter(samples))):
        with lamofc.create(str(tmp_path / name)) as store:
            store.ingest(source, quality=Quality(snr_db=10), fit_samples=20)
            found[name] = next(iter(store.profiles.values())).config["shared_by"]
    assert found == {"few": 1000, "many": 1200, "unknown": 10_000}


def test_a_weight_is_an_option_like_others(tmp_path: Path) -> None:
    """Bits go where a head looks; the profile does not count as one that does not fit; another weight is refused."""
    draw = torch.Generator().manual_seed(5)
    samples = [(f"s{number}", {"f": torch.randn(30, 32, generator=draw)}) for number in range(40)]
    head = torch.zeros(1, 32)
    head[0, :2] = 1
    found = []
    for name, options in (("plain", {}), ("weighted", {"weight": head})):
        store = lamofc.open(tmp_path / name, mode="a")
        report = store.ingest(samples, quality=Quality(bpfp=0.5), codec_options=options)
        assert not report.warnings
        away = torch.stack([(store[sample]["f"] - tensors["f"]) @ head[0] for sample, tensors in samples])
        found.append(float(away.square().mean()))
        assert store.ingest(samples, quality=Quality(bpfp=0.5), codec_options=options).already == 40
    assert found[1] < 0.1 * found[0]
    with pytest.raises(lamofc.errors.BadArgument, match="was fitted with weight"):
        store.ingest(samples, quality=Quality(bpfp=0.5), codec_options={"weight": 1 + head})


def test_levels_of_a_mapping_go_to_the_features_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text(json.dumps([number / 8 - 16 for number in range(256)]))
    (tmp_path / "v.json").write_text(json.dumps([number / 100 for number in range(256)]))
    file = tmp_path / "mapping.json"
    file.write_text(json.dumps({"qwen": {"layer.0.k_cache": "k.json", "v_cache": "v.json"}}))
    tensors = {"layer.0.k_cache": torch.randn(9, 8), "layer.0.v_cache": torch.rand(9, 8)}
    told = {"mapping": str(file), "family": "qwen"}
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        store.ingest([lamofc.Sample(f"s{n}", tensors) for n in range(3)], "lloydmax", codec_options=told)
        for feature, every in (("layer.0.k_cache", 8), ("layer.0.v_cache", 100)):
            on_levels = store["s1", feature].double() * every
            assert float((on_levels - on_levels.round()).abs().max()) < 1e-4
        profiles = store.sql("SELECT count(DISTINCT profile) FROM records").fetchall()
        assert profiles == [(2,)]
    with lamofc.open(str(tmp_path / "other"), "a") as other, pytest.raises(SourceError, match="no pattern stands for"):
        other.ingest([lamofc.Sample("s", {"layer.1.k_cache": torch.randn(9, 8)})], "lloydmax", codec_options=told)


def test_a_fit_looks_at_as_many_samples_as_its_codec_wants() -> None:
    samples = [lamofc.Sample(f"s{n}", {"x": torch.full((4, 3), float(n))}) for n in range(40)]
    levels = lamofc.fit_profiles(samples, codec="lloydmax")["x"].tensors["levels"]
    # Ten samples of one value each: so many levels are of use, and the rest stand beside them.
    assert len(levels.round().unique()) == 10


def test_bits_of_a_range_need_no_quality(tmp_path: Path) -> None:
    samples = [lamofc.Sample(f"s{n}", {"x": torch.randn(40, 6) * 3}) for n in range(4)]
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        told = {"truncation": "csr"}
        store.ingest(samples, "uniform", codec_options=told)
        assert store.ingest(samples, "uniform", codec_options=told).already == 4
        assert store.sql("SELECT DISTINCT quality FROM records").fetchall() == [("",)]
        levels = (store["s1", "x"].double() + 5) / (10 / 1023)
        assert float((levels - levels.round()).abs().max()) < 1e-3
    profile = lamofc.fit_profiles(samples, codec="uniform", codec_options=told)["x"]
    with lamofc.open(str(tmp_path / "other"), "a") as other:
        other.ingest(samples, "uniform", profile=profile)
        assert other.sql("SELECT DISTINCT quality FROM records").fetchall() == [("",)]


def test_a_group_is_weighed_turned_and_known_again(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(3)
    samples = [
        lamofc.Sample(f"s{n}", {name: torch.randn(40, 8, generator=draw) for name in ("k", "v", "w")})
        for n in range(12)
    ]
    weight = {"k": torch.randn(5, 8, generator=draw), "v": torch.randn(9, 8, generator=draw)}
    turned = Rotary((1.0, 0.1))
    options = {"weight": weight, "weight_floor": 0.001, "weight_nats": 0.5, "rotary": {"k": turned}}
    with lamofc.open(tmp_path / "s", "a") as store:
        arguments = {"quality": Quality(kl=0.5), "groups": ["*"], "features": ["k", "v"]}
        assert store.ingest(samples, codec_options=options, **arguments).records == 24  # type: ignore[arg-type]
        assert store.ingest(samples, codec_options=options, **arguments).already == 24  # type: ignore[arg-type]
        unlike = {**options, "rotary": {"v": turned}}
        with pytest.raises(BadArgument, match=r"of 'k\+v' was fitted with rotary"):
            store.ingest(samples, codec_options=unlike, **arguments)  # type: ignore[arg-type]
        other = store.ingest(samples, quality=Quality(snr_db=9), codec_options=options, features=["w"])
        assert other.records == 12
        errors = {name: (samples[0].features[name] - store["s0", name]).numpy() for name in ("k", "v")}
        turned.turn(errors["k"], np.arange(40), back=True)
        weighted = [torch.from_numpy(error) @ weight[name].T for name, error in errors.items()]
        assert 0.4 < sum(float(error.square().sum()) for error in weighted) / 40 / 2 < 0.515


def test_profiles_are_fitted_on_another_source(tmp_path: Path) -> None:
    """The levels are those of the other samples, and only the samples of the source are stored."""
    calibration = [(f"c{number}", {"a": 100 + torch.rand(30, 4)}) for number in range(4)]
    samples = [(f"s{number}", {"a": torch.rand(30, 4), "b": torch.rand(30, 4)}) for number in range(4)]
    with lamofc.open(str(tmp_path / "store"), "a") as store:
        store.ingest(samples, "lloydmax", fit_source=calibration)
        assert sorted(store) == ["s0", "s1", "s2", "s3"]
        assert float(store["s0", "a"].min()) >= 100
        assert float(store["s0", "b"].max()) <= 1
    assert float(lamofc.fit_profiles(samples, "lloydmax", fit_source=calibration)["a"].tensors["levels"].min()) >= 100
