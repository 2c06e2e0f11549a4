"""A quality in nats on read: rows know what the consumer is expected to feel, of a record and of its layers."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import BadQuality
from lamofc_store import Quality, Sample
from lamofc_store.errors import BadArgument

WIDTHS, TOKENS = {"k": 20, "v": 12}, 90
NATS = {"weight_nats": 0.5, "weight_floor": 0.001}


def _noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


WEIGHT = {name: _noise(width, width, seed=width) * _noise(width, seed=1).abs() for name, width in WIDTHS.items()}


def _features(number: int, tokens: int = TOKENS) -> dict[str, torch.Tensor]:
    mixing = {name: _noise(width, width, seed=-width) * 0.8 ** torch.arange(width) for name, width in WIDTHS.items()}
    return {name: _noise(tokens, width, seed=100 + number) @ mixing[name].T for name, width in WIDTHS.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lamofc.Store]:
    with lamofc.open(str(tmp_path_factory.mktemp("store") / "s"), "a") as opened:
        samples = [Sample(f"s{number}", _features(number)) for number in range(12)]
        options: dict[str, Any] = {"weight": WEIGHT, "layer_bytes": 32, **NATS}
        opened.ingest(samples, quality=Quality(snr_db=25), groups=("{k,v}",), codec_options=options)
        yield opened


def _divergence(decoded: dict[str, torch.Tensor], number: int) -> float:
    """Half the weighted squared error of a token."""
    source = _features(number)
    errors = [(source[name] - decoded[name]).double() @ WEIGHT[name].double().T for name in WIDTHS]
    return sum(float(error.square().sum()) for error in errors) / TOKENS / 2


def test_the_rows_of_a_record_add_up_to_what_is_expected(store: lamofc.Store) -> None:
    for number in range(3):
        name = f"s{number}"
        expected = store.sql("SELECT sum(expected_kl), count(*) FROM records WHERE sample = ?", [name]).fetchall()
        assert expected == [(pytest.approx(_divergence(store.tensors(name), number), rel=0.03), 2)]


@pytest.mark.parametrize("needed", [1, 3, 5])
def test_the_fewest_layers_of_the_whole_record_are_read(store: lamofc.Store, needed: int) -> None:
    query = "SELECT weighted_layers, nats_per_error FROM records WHERE sample = 's2' ORDER BY feature"
    (layers, nats), (of_other, _) = store.sql(query).fetchall()
    assert layers == of_other
    kl = nats * layers[needed - 1]
    sizes = store.sql("SELECT layers FROM records WHERE sample = 's2'").fetchall()[0][0]
    dataset = store.dataset(["v"], where="sample = 's2'", quality=Quality(kl=kl))
    assert len(dataset.packed([0])[0].buffer) == sum(layer["bytes"] for layer in sizes[:needed])
    decoded = store.tensors("s2", quality=Quality(kl=kl))
    assert _divergence(decoded, 2) == pytest.approx(kl, rel=0.3)  # within a refinement level, it is interpolated
    assert torch.equal(store.get("s2", ["v"], Quality(kl=kl))["v"], decoded["v"])
    (batch,) = lamofc.FeatureLoader(dataset, 4)
    assert torch.equal(batch["v"][0], decoded["v"])


def test_all_layers_are_read_where_none_is_enough(store: lamofc.Store) -> None:
    whole = store.tensors("s1")
    assert all(torch.equal(part, whole[name]) for name, part in store.tensors("s1", None, Quality(kl=1e-9)).items())


def test_a_record_is_encoded_and_read_at_one_divergence(store: lamofc.Store, tmp_path: Path) -> None:
    """Of several samples: each row speaks of its own."""
    samples = [Sample(f"s{number}", {"k": _features(number, 1 + number % 3)["k"]}) for number in range(40)]
    options: dict[str, Any] = {"weight": WEIGHT["k"], "waves": False, **NATS}
    with lamofc.open(str(tmp_path / "s"), "a") as blocks:
        blocks.ingest(samples, quality=Quality(kl=0.5), codec_options=options)
        rows = "SELECT max(item), min(expected_kl), max(expected_kl) FROM records WHERE codec = 'klt'"
        item, least, most = blocks.sql(rows).fetchall()[0]
        assert item > 0
        assert 0.1 < least < 0.45 < most < 0.53
        assert blocks.get("s3", quality=Quality(kl=0.5))["k"].shape == (1, WIDTHS["k"])


def test_errors_must_be_known_in_nats(tmp_path: Path) -> None:
    samples = [Sample(f"s{number}", _features(number)) for number in range(12)]
    for name, options in (("plain", {}), ("weighted", {"weight": WEIGHT})):
        with lamofc.open(str(tmp_path / name), "a") as unknown:
            unknown.ingest(samples, features=["k"], codec_options=options)
            unknown.ingest([Sample("exact", {"k": samples[0].features["k"]})], codec="raw")
            weighed = unknown.sql("SELECT count(weighted_sse), count(expected_kl) FROM records").fetchall()
            assert weighed == [(12 if options else 0, 0)]
            for read in (unknown.get, unknown.tensors):
                with pytest.raises(BadQuality, match=r"'s3', feature 'k'.* not known in nats, got kl=0\.1") as refused:
                    read("s3", ["k"], Quality(kl=0.1))
                assert "coded for a model" in refused.value.cure
            with pytest.raises(BadQuality, match="nats"):
                unknown.dataset(["k"], quality=Quality(kl=0.1))
            exact = unknown.get("exact", quality=Quality(kl=0.1))["k"]
            assert torch.equal(exact, samples[0].features["k"])


def test_a_divergence_is_a_number_above_0(store: lamofc.Store) -> None:
    with pytest.raises(BadArgument, match="beside"):
        store.dataset(["k"], quality=Quality(kl=0.1), max_bpfp=1.0)


def test_a_divergence_is_met_by_measurement(tmp_path: Path) -> None:
    """Each sample at a rate of its own, and its rows speak of what was measured, of layers, too."""
    sensitivity = {f"s{number}": 0.2 if number < 4 else 6.0 for number in range(9)}

    def measure(sample: str, features: Mapping[str, torch.Tensor]) -> Callable[[Any], float] | None:
        if sample == "s8":
            return None
        assert all(torch.equal(features[name], value) for name, value in _features(int(sample[1:])).items())
        return lambda decoded: sensitivity[sample] * _divergence(decoded, int(sample[1:]))

    samples = [Sample(f"s{number}", _features(number)) for number in range(12)]
    options: dict[str, Any] = {"groups": ("{k,v}",), "codec_options": {"weight": WEIGHT, "layer_bytes": 32, **NATS}}
    with lamofc.open(str(tmp_path / "s"), "a") as measured:
        measured.ingest(samples[9:] + samples[:2], quality=Quality(kl=0.1), **options)  # the profile, as foretold
        measured.ingest(samples[2:9], quality=Quality(kl=0.1), measure=measure, **options)
        rows = "SELECT sample, sum(expected_kl), any_value(stored_bits), count(*) FROM records GROUP BY sample"
        found = {sample: (kl, bits) for sample, kl, bits, parts in measured.sql(rows).fetchall() if parts == 2}
        assert len(found) == 12
        for sample, (kl, _) in found.items():
            told = sample in ("s2", "s3", "s4", "s5", "s6", "s7")
            felt = _divergence(measured.tensors(sample), int(sample[1:])) * (sensitivity[sample] if told else 1)
            assert kl == pytest.approx(felt, rel=0.03), sample
            assert 0.045 < kl < 0.15, sample
        of_measured = "SELECT sample, sum(expected_kl), sum(measured_kl) FROM records GROUP BY sample ORDER BY sample"
        known = {sample: (kl, at) for sample, kl, at in measured.sql(of_measured).fetchall() if at is not None}
        assert sorted(known) == ["s2", "s3", "s4", "s5", "s6", "s7"]
        assert all(at == pytest.approx(kl, rel=0.01) for kl, at in known.values())
        assert max(found[f"s{number}"][1] for number in (2, 3)) < min(found[f"s{number}"][1] for number in (1, 8, 9))
        assert min(found[f"s{number}"][1] for number in (4, 5)) > max(found[f"s{number}"][1] for number in (1, 8, 9))
        coarse = measured.tensors("s5", quality=Quality(kl=1.0))
        assert 0.15 < 6 * _divergence(coarse, 5) < 1.5


def test_records_of_a_sample_meet_a_divergence_together(tmp_path: Path) -> None:
    """Also where samples have equal features, of which each is coded by itself; others are shared."""
    samples = [Sample(f"s{number}", _features(number)) for number in range(12)]
    samples += [Sample("same", {**samples[9].features, "v": samples[3].features["v"]})]
    samples = [Sample(one.id, {**one.features, "ids": torch.arange(9)}) for one in samples]
    originals = {sample.id: sample.features for sample in samples}
    asked: dict[str, list[float]] = {}

    def divergence(sample: str, decoded: Mapping[str, torch.Tensor]) -> float:
        pairs = [(originals[sample][name] - decoded[name], WEIGHT[name]) for name in WIDTHS]
        return sum(float((error.double() @ weight.double().T).square().sum()) for error, weight in pairs) / TOKENS

    def measure(sample: str, features: Mapping[str, torch.Tensor]) -> Callable[[Any], float]:
        assert set(features) == {"k", "v", "ids"}

        def of_decoded(decoded: Mapping[str, torch.Tensor]) -> float:
            assert set(decoded) == {"k", "v"}
            asked.setdefault(sample, []).append(divergence(sample, decoded))
            return asked[sample][-1] if sample != "s7" else float("nan")

        return of_decoded

    with lamofc.open(str(tmp_path / "s"), "a") as store:
        options: dict[str, Any] = {"codec_options": {"weight": WEIGHT, **NATS}}
        report = store.ingest(samples, quality=Quality(kl=0.1), measure=measure, **options)
        assert report.shared == 12  # the ids alone
        (warning,) = report.warnings
        assert warning.startswith("1 of 13 samples are coded as foretold, such as 's7': the model that measures cannot")
        sums = "sum(measured_kl), sum(expected_kl), count(DISTINCT record)"
        rows = f"SELECT {sums} FROM records WHERE sample = ? AND feature <> 'ids'"
        for sample in originals:
            ((measured, expected, records),) = store.sql(rows, [sample]).fetchall()
            felt = divergence(sample, store.tensors(sample))
            assert records == 2
            if sample == "s7":
                assert measured is None and expected == pytest.approx(felt / 2, rel=0.03)
            else:
                assert measured == pytest.approx(felt, rel=1e-6) and expected == pytest.approx(felt, rel=0.01)
                assert 0.05 < felt < 0.14 and len(asked[sample]) == 2, sample


def test_only_a_quality_in_nats_is_measured(tmp_path: Path) -> None:
    with (
        lamofc.open(str(tmp_path / "s"), "a") as store,
        pytest.raises(BadArgument, match="measure= beside the quality snr_db=15"),
    ):
        store.ingest([Sample("s", _features(0))], measure=lambda sample, features: None)


@pytest.mark.parametrize(("on_error", "records"), [("skip", 11), ("raw", 12)])
def test_a_bad_sample_does_not_store_others_twice(tmp_path: Path, on_error: Any, records: int) -> None:
    samples = [Sample(f"s{number}", {"k": _features(number)["k"]}) for number in range(12)]
    samples[7].features["k"][3, 3] = torch.nan
    options: dict[str, Any] = {"codec_options": {"weight": WEIGHT["k"], **NATS}, "on_error": on_error}
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        report = store.ingest(samples, quality=Quality(kl=0.1), measure=lambda *_: lambda decoded: 0.1, **options)
        assert report.records == records
        ((stored,),) = store.sql("SELECT sum(stored_bits) / 8 FROM records").fetchall()
        assert report.stored_bytes == stored


def test_samples_that_cannot_be_measured_are_counted(tmp_path: Path) -> None:
    samples = [Sample(f"s{number}", {"k": _features(number)["k"]}) for number in range(12)]
    options: dict[str, Any] = {"codec_options": {"weight": WEIGHT["k"], **NATS}, "quality": Quality(kl=0.1)}

    def measure(sample: str, features: object) -> Callable[[Any], float] | None:
        return {"s1": None, "s2": lambda decoded: float("nan")}.get(sample, lambda decoded: 0.0)

    with lamofc.open(str(tmp_path / "s"), "a") as store:
        (warning,) = store.ingest(samples, measure=measure, **options).warnings
        assert warning.startswith("2 of 12 samples are coded as foretold, such as 's1'")
        felt = dict(store.sql("SELECT sample, expected_kl FROM records").fetchall())
        assert [felt[name] for name in ("s1", "s2")] == [pytest.approx(0.1, rel=0.05)] * 2 and felt["s3"] == 0
        (warning,) = store.ingest(samples, measure=measure, **options).warnings
        assert warning == "12 features were stored already, and are not measured"
