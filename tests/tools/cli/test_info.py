"""`lamofc info`: its figures again from rows and tensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch

import lamofc_store

Lamofc: TypeAlias = Callable[..., Any]
FeaturesOf: TypeAlias = Callable[[int], dict[str, torch.Tensor]]
SAMPLES = 6

PROMISED = (
    "samples elements raw_bytes stored_bytes payload_bits stored_bits bpfp ebpfp mse snr_db profile_bytes".split()  # noqa: SIM905
)


def test_info_has_what_is_promised(lamofc: Lamofc, features_of: FeaturesOf, made: Path) -> None:
    rows = {row["feature"]: row for row in lamofc("info", made, "--json").document["features"]}
    assert set(rows) == {"layer.1", "layer.2"}
    for name, row in rows.items():
        tensors = [features_of(number)[name] for number in range(SAMPLES)]
        assert set(PROMISED) <= set(row)
        assert row["samples"] == SAMPLES
        assert row["elements"] == sum(tensor.numel() for tensor in tensors)
        assert row["raw_bytes"] == sum(tensor.nbytes for tensor in tensors)
        assert row["bpfp"] == row["stored_bits"] / row["elements"]
        assert row["payload_bits"] < row["stored_bits"] == 8 * row["stored_bytes"]
        assert row["ebpfp"] == pytest.approx(row["bpfp"] * (2 if name == "layer.2" else 1))


def test_info_counts_the_payload_on_disk(lamofc: Lamofc, made: Path) -> None:
    document = lamofc("info", made, "--json").document
    assert document["bytes"] == sum(row["stored_bytes"] for row in document["features"])


def test_info_for_people(lamofc: Lamofc, made: Path) -> None:
    out = lamofc("info", made).out
    assert "6 samples, 12 records in 1 segment" in out
    assert out.splitlines()[2].split()[:3] == ["feature", "codec", "samples"]


def test_info_sets_means_over_samples_beside_ratios_of_sums(lamofc: Lamofc, tmp_path: Path) -> None:
    """Samples of different lengths, one of them cheaper without loss; each figure again from rows and tensors."""
    draw = torch.Generator().manual_seed(1)
    given = {}
    for number in range(6):
        values = torch.randn(20 + 30 * number, 16, generator=draw)
        given[f"s{number}"] = {"a": (values > 0).half() if number == 2 else values.half(), "b": values[:9, :4].clone()}
    with lamofc_store.open(str(tmp_path / "s.lamofc"), "a") as store:
        quality = lamofc_store.Quality(snr_db=30)
        store.ingest([lamofc_store.Sample(*sample) for sample in given.items()], codec="uniform", quality=quality)
        decoded = {key: store.tensors(key) for key in given}
        query = "SELECT sample, feature, codec, stored_bits, payload_bits FROM records"
        rows = {(row[0], row[1]): row[2:] for row in store.sql(query).fetchall()}
    errors = {
        key: {name: float((source[name].double() - decoded[key][name].double()).square().sum()) for name in source}
        for key, source in given.items()
    }
    document = lamofc("info", tmp_path / "s.lamofc", "--json").document
    scopes = {"a": ["a"], "b": ["b"], "whole": ["a", "b"]}
    found = {**{row["feature"]: row for row in document["features"]}, "whole": document["totals"]}
    for scope, features in scopes.items():
        elements = [sum(given[key][name].numel() for name in features) for key in given]
        for figure, part in (("bpfp", 1), ("payload_bpfp", 2)):
            bits = [sum(rows[key, name][part] for name in features) for key in given]
            assert found[scope][figure] == pytest.approx(sum(bits) / sum(elements))
            shares = [one / count for one, count in zip(bits, elements, strict=True)]
            assert found[scope][f"mean_{figure}"] == pytest.approx(sum(shares) / 6)
        own = [sum(errors[key][name] for name in features) for key in given]
        assert found[scope]["mse"] == pytest.approx(sum(own) / sum(elements), rel=1e-4)
        mean = sum(error / count for error, count in zip(own, elements, strict=True)) / 6
        assert found[scope]["mean_mse"] == pytest.approx(mean, rel=1e-4)
    assert found["a"]["fallbacks"] == found["whole"]["fallbacks"] == [row[0] for row in rows.values()].count("raw") == 1
    out = lamofc("info", tmp_path / "s.lamofc").out
    assert "a: 1 of 6 records are stored losslessly" in out
    assert out.count("whole samples") == 2
