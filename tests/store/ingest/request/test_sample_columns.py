"""A table beside the source: columns by sample id, and what is said where the ids do not meet."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import lamofc_store as lamofc
from lamofc_store import Sample, sources
from lamofc_store.errors import NotFound


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """Write a table with a label for each id."""

    def write(*ids: str) -> str:
        file = tmp_path / "labels.csv"
        file.write_text("sample,label\n" + "".join(f"{name},{at}\n" for at, name in enumerate(ids)))
        return str(file)

    return write


@pytest.fixture
def store(tmp_path: Path) -> Iterable[lamofc.Store]:
    with lamofc.open(str(tmp_path / "store"), "a") as opened:
        yield opened


def samples() -> list[Sample]:
    return [Sample(f"s{number}", {"x": torch.full((2, 3), float(number))}) for number in range(4)]


def folder(path: Path) -> Path:
    path.mkdir()
    for sample in samples():
        save_file(dict(sample.features), path / f"{sample.id}.safetensors")
    return path


def parquet(path: Path) -> Path:
    pq.write_table(pa.table({"sample": [f"s{n}" for n in range(4)], "x": [[1.0, 2.0]] * 4}), f"{path}.parquet")
    return Path(f"{path}.parquet")


def rows(path: Path) -> Any:
    np.savez(f"{path}.npz", x=np.zeros((4, 2, 3), np.float32), name=np.array(["s0", "s1", "s2", "s3"]))
    return sources.open(f"{path}.npz", "rows", id_column="name")


KNOWN_IDS: dict[str, Callable[[Path], Any]] = {
    "folder": folder,
    "parquet": parquet,
    "rows": rows,
    "list": lambda path: samples(),
    "pairs": lambda path: {sample.id: dict(sample.features) for sample in samples()},
}


@pytest.mark.parametrize("kind", KNOWN_IDS)
def test_a_table_of_other_ids_is_refused_before_anything_is_stored(
    store: lamofc.Store, table: Callable[..., str], tmp_path: Path, kind: str
) -> None:
    source = KNOWN_IDS[kind](tmp_path / "source")
    with pytest.raises(NotFound, match=r"none of the samples, such as 's0': its 2 rows name samples such as 'a'"):
        store.ingest(source, "raw", table=table("zzz", "a"))
    assert (store.head, len(store)) == (-1, 0)
    with pytest.raises(NotFound, match="'s0'"):
        lamofc.plan(source, table=table("zzz"))
    report = store.ingest(source, "raw", table=table("s0", "s1", "s2", "s3"))
    assert (report.unmatched, report.warnings) == (0, [])
    assert sorted(store.find("label >= 1")) == ["s1", "s2", "s3"]


def test_some_samples_without_a_row_are_counted(store: lamofc.Store, table: Callable[..., str]) -> None:
    report = store.ingest(samples(), "raw", table=table("s1", "s2", "zzz"))
    assert report.unmatched == 2
    (warning,) = report.warnings
    assert "has rows for 2 of 4 samples, none for 's0'; its row 'zzz' names no sample" in warning
    assert store.find("label = 0") == ["s1"]
    assert report.to_json()["unmatched"] == 2


def test_a_table_of_more_samples_is_no_reason_to_warn(store: lamofc.Store, table: Callable[..., str]) -> None:
    report = store.ingest(samples()[:2], "raw", table=table("s0", "s1", "s2", "s3"))
    assert (report.unmatched, report.warnings) == (0, [])


def test_a_source_read_once_tells_at_its_end(store: lamofc.Store, table: Callable[..., str]) -> None:
    with pytest.raises(NotFound, match="'s0'") as caught:
        store.ingest(iter(samples()), "raw", table=table("zzz"))
    assert "annotate" in caught.value.cure
    assert len(store) == 4
    with pytest.raises(NotFound, match="it has no rows"):
        store.ingest(samples(), "raw", table=table())


def test_a_second_ingest_counts_what_it_reads_and_not_what_is_new(
    store: lamofc.Store, table: Callable[..., str]
) -> None:
    store.ingest(samples(), "raw", table=table("s0"))
    assert store.ingest(samples(), "raw", table=table("s0")).unmatched == 3
