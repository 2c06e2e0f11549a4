"""`lamofc annotate forget compact gc verify`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

Lamofc: TypeAlias = Callable[..., Any]
SAMPLES = 6


def test_annotate_adds_columns(lamofc: Lamofc, store: Path, table: Path) -> None:
    assert lamofc("annotate", store, table, "--json").document == {"commit": 2}
    assert [row["label"] for row in lamofc("ls", store, "--json").document] == [0, 1] * (SAMPLES // 2)


def test_annotate_of_strangers_is_not_found(lamofc: Lamofc, store: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sample,label\nnobody,1\n")
    ran = lamofc("annotate", store, tmp_path / "t.csv")
    assert (ran.code, len(ran.lines())) == (3, 2)


def test_forget_compact_and_gc_take_the_bytes_away(lamofc: Lamofc, store: Path) -> None:
    def size() -> int:
        return sum(path.stat().st_size for path in store.glob("segments/*/payload/c/0"))

    before = size()
    forgotten = lamofc("forget", store, "img_0", "img_1", "img_2", "--json").document
    assert (forgotten["samples"], forgotten["records"]) == (3, 6)
    compacted = lamofc("compact", store, "--json").document
    assert (compacted["segments"], compacted["records"]) == (1, 2 * (SAMPLES - 3))
    assert compacted["bytes_after"] < compacted["bytes_before"]
    planned = lamofc("gc", store, "--keep", "0s", "--dry-run", "--json").document
    assert planned["dry_run"]
    assert size() > before
    assert lamofc("gc", store, "--keep", "0s").code == 0
    assert size() <= before
    assert lamofc("verify", store).code == 0
    assert lamofc("get", store, "img_0").code == 3
    assert lamofc("ls", store, "--as-of", 1).code == 3


def test_compact_with_nothing_to_do(lamofc: Lamofc, store: Path) -> None:
    assert lamofc("compact", store).out == "nothing to compact\n"


def test_gc_keeps_a_week_by_default(lamofc: Lamofc, store: Path) -> None:
    lamofc("forget", store, "img_0")
    assert lamofc("gc", store, "--json").document["objects"] == 0
    assert lamofc("get", store, "img_0", "--as-of", 1).code == 0
    assert lamofc("gc", store, "--keep", "soon").code == 2


def test_verify_names_what_is_damaged(lamofc: Lamofc, store: Path) -> None:
    payload = next(store.glob("segments/*/payload/c/0"))
    data = bytearray(payload.read_bytes())
    data[100] ^= 1
    payload.write_bytes(data)
    ran = lamofc("verify", store)
    assert (ran.code, len(ran.lines())) == (5, 2)
    assert payload.parts[-4] in ran.out
    document = lamofc("verify", store, "--json").document
    assert not document["ok"]
    assert [problem["object"].split("/")[1] for problem in document["problems"]] == [payload.parts[-4]]


def test_verify_of_a_sound_store(lamofc: Lamofc, made: Path) -> None:
    document = lamofc("verify", made, "--json").document
    assert document["ok"]
    assert document["records"] == 2 * SAMPLES
