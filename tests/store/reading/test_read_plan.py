"""A plan says of each row where its record lies and how its tensor is restored; rows that are alike share that."""

import pyarrow as pa
import pytest

from lamofc_store.reading.read_plan import ReadPlan

ROWS = [
    {"segment": "B", "offset": 5, "length": 9, "shape": [3, 4], "pattern": "t c", "profile": "p", "item": 0, "part": 1},
    {"segment": "A", "offset": 0, "length": 5, "shape": [3, 4], "pattern": "t c", "profile": "p", "item": 0, "part": 0},
    {"segment": "B", "offset": 0, "length": 5, "shape": [34], "pattern": "c", "profile": "p", "item": 2, "part": 0},
    {"segment": "C", "offset": 7, "length": 1, "shape": [], "pattern": "", "profile": "q", "item": 0, "part": 0},
    {"segment": "A", "offset": 9, "length": 5, "shape": [3, 4], "pattern": "t c", "profile": "p", "item": 0, "part": 0},
]
SCHEMA = pa.schema(
    [
        ("segment", pa.string()),
        *((name, pa.int64()) for name in ("offset", "length")),
        ("shape", pa.list_(pa.int32())),
        *((name, pa.string()) for name in ("pattern", "profile")),
        *((name, pa.int32()) for name in ("item", "part")),
        ("dtype", pa.string()),
    ]
)


def table(*numbers: int) -> pa.Table:
    return pa.Table.from_pylist([{**ROWS[number], "dtype": "float16"} for number in numbers], schema=SCHEMA)


@pytest.mark.parametrize("numbers", [(0, 1, 2, 3, 4), (4, 3, 0), (2,), (1, 4), ()])
def test_every_row_keeps_its_place_and_its_spec(numbers: tuple[int, ...]) -> None:
    plan = ReadPlan.from_rows(table(*numbers))
    assert len(plan.specs) == len(plan.locations) == len(numbers)
    for at, number in enumerate(numbers):
        row, spec = ROWS[number], plan.specs[at]
        assert spec == (tuple(row["shape"]), row["pattern"], row["profile"], (row["item"], row["part"]), "float16")
        assert plan.locations.segments[plan.locations.segment[at]] == row["segment"]
        assert (plan.locations.offset[at], plan.locations.length[at]) == (row["offset"], row["length"])


def test_rows_that_are_alike_share_one_spec_and_chunks_are_joined() -> None:
    plan = ReadPlan.from_rows(pa.concat_tables([table(0, 1), table(4, 1)]))
    assert plan.specs[1] is plan.specs[2] is plan.specs[3]
    assert plan.locations.segments == ("B", "A")
    assert not plan.stackable and ReadPlan.from_rows(table(1, 4)).stackable
