"""Sequences that begin late: a sample says where, and its record is coded by the positions of its tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_codecs import Quality, Rotary, encode, fit
from lamofc_store import Sample
from lamofc_store.errors import SourceError

HEADS, WIDTH = 2, 16
ROTARY = Rotary(tuple(10000.0 ** (-torch.arange(WIDTH // 2) / (WIDTH // 2)).double().numpy()), "halves", HEADS)
PATTERN = {"k*": "t c -> t c", "v*": "t c -> t c"}


def _keys(seed: int, start: int, tokens: int = 60) -> torch.Tensor:
    """Keys that differ little before they are turned to their positions."""
    noise = torch.Generator().manual_seed(seed)
    mean = 5 * torch.randn(HEADS * WIDTH, generator=torch.Generator().manual_seed(0))
    values = (mean + torch.randn(tokens, HEADS * WIDTH, generator=noise)).numpy()
    ROTARY.turn(values, torch.arange(start, start + tokens).numpy())
    return torch.from_numpy(values)


PROFILE = fit("klt", [_keys(seed, 0) for seed in range(12)], Quality(snr_db=15), rotary=ROTARY, means=0)


def _stored(folder: Path, samples: Any, **options: Any) -> lamofc.Store:
    store = lamofc.open(str(folder), "a")
    store.ingest(samples, profile=PROFILE, quality=Quality(snr_db=15), patterns=PATTERN, **options)
    return store


def _lengths(store: lamofc.Store) -> dict[str, int]:
    return dict(store.sql("SELECT sample, length FROM records ORDER BY sample").fetchall())


def test_a_sample_says_where_its_features_begin(tmp_path: Path) -> None:
    tensors = {name: {"k": _keys(number, 700)} for number, name in enumerate(("mapped", "column", "silent"), 30)}
    samples = [
        Sample("mapped", tensors["mapped"], first_positions={"k": 700}),
        Sample("column", tensors["column"], {"first_position": 700}),
        Sample("silent", tensors["silent"]),
    ]
    store = _stored(tmp_path / "s", samples, block=1)
    lengths = _lengths(store)
    for name, start in (("mapped", 700), ("column", 700), ("silent", 0)):
        (record,) = encode([tensors[name]["k"]], PROFILE, first_positions=[start])
        assert lengths[name] == len(record.data)
        error = (store[name, "k"] - tensors[name]["k"]).square().sum()
        assert float(error) == pytest.approx(record.sse, rel=1e-3)
    assert max(lengths["mapped"], lengths["column"]) < 0.8 * lengths["silent"]


def test_dicts_say_it_by_a_column(tmp_path: Path) -> None:
    dicts = [{"id": "late", "k": _keys(3, 700), "first_position": 700}, {"id": "other", "k": _keys(3, 700)}]
    lengths = _lengths(_stored(tmp_path / "s", dicts))
    assert lengths["late"] < 0.8 * lengths["other"]  # equal content that begins elsewhere is not the same


def test_items_of_a_record_begin_alike(tmp_path: Path) -> None:
    starts = [0, 0, 300, 300, 0]
    samples = [Sample(f"s{n}", {"k": _keys(n, at, 9)}, first_positions={"k": at}) for n, at in enumerate(starts)]
    store = _stored(tmp_path / "s", samples)
    rows = store.sql("SELECT record, signal / bulk_sse FROM records ORDER BY sample").fetchall()
    records = [record for record, _ in rows]
    assert records[0] == records[1] != records[2] == records[3] != records[4] != records[0]
    assert all(ratio > 0.96 * 10**1.5 for _, ratio in rows)


def test_an_ingest_fits_by_positions(tmp_path: Path) -> None:
    starts = {"early": [0] * 12, "late": [37 * number for number in range(12)]}
    stored = {}
    for name, positions in starts.items():
        samples = [Sample(f"s{n}", {"k": _keys(n, at)}, first_positions={"k": at}) for n, at in enumerate(positions)]
        with lamofc.open(str(tmp_path / name), "a") as store:
            store.ingest(samples, patterns=PATTERN, codec_options={"rotary": ROTARY, "means": 0})
            stored[name] = store.info()["bytes"]
    assert stored["late"] < 1.2 * stored["early"]


def test_features_that_begin_elsewhere_are_no_group(tmp_path: Path) -> None:
    samples = [Sample(f"s{n}", {"k1": _keys(n, 9), "k2": _keys(n, 0)}, first_positions={"k1": 9}) for n in range(3)]
    planned = lamofc.plan(samples, patterns=PATTERN, groups=("k*",))
    assert [(feature.feature, feature.group) for feature in planned] == [("k1", ""), ("k2", "")]
    alike = [Sample(sample.id, sample.features, {"first_position": 9}) for sample in samples]
    assert {feature.group for feature in lamofc.plan(alike, patterns=PATTERN, groups=("k*",))} == {"k1+k2"}


@pytest.mark.parametrize("position", [-1, 0.5, "late"])
def test_positions_are_whole_numbers(tmp_path: Path, position: Any) -> None:
    sample = Sample("s", {"k": _keys(0, 0)}, {"first_position": position})
    with pytest.raises(SourceError, match=r"'s', feature 'k': first_position = ") as refused:
        _stored(tmp_path / "s", [sample])
    assert "whole number" in refused.value.cure
