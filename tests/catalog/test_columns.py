import pyarrow as pa
import pytest

from lamofc_catalog import RESERVED, SchemaConflict, widen

NOTHING = pa.schema([])


@pytest.mark.parametrize(
    ("old", "new", "both"),
    [
        (pa.int8(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint32(), pa.int8(), pa.int64()),
        (pa.uint8(), pa.uint64(), pa.uint64()),
        (pa.int8(), pa.float16(), pa.float32()),
        (pa.float16(), pa.float16(), pa.float32()),
        (pa.int32(), pa.float16(), pa.float64()),
        (pa.int16(), pa.float32(), pa.float32()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.uint32(), pa.float64(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.null(), pa.bool_(), pa.bool_()),
        (pa.string(), pa.large_string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.timestamp("us"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("us", "Europe/Berlin"), pa.timestamp("us", "UTC"), pa.timestamp("us")),
        (pa.binary(4), pa.large_binary(), pa.binary()),
        (pa.date32(), pa.date32(), pa.date32()),
        (pa.time64("us"), pa.time64("us"), pa.time64("us")),
    ],
)
def test_widens_without_loss_in_either_order(old: pa.DataType, new: pa.DataType, both: pa.DataType) -> None:
    for first, second in ((old, new), (new, old)):
        assert widen(pa.schema([("a", first)]), pa.schema([("a", second)])) == pa.schema([("a", both)])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pa.int64(), pa.string()),
        (pa.int64(), pa.float64()),
        (pa.uint64(), pa.int8()),
        (pa.uint64(), pa.float64()),
        (pa.bool_(), pa.int8()),
        (pa.timestamp("s"), pa.timestamp("ns")),
        (pa.string(), pa.binary()),
    ],
)
def test_refuses_what_would_lose(old: pa.DataType, new: pa.DataType) -> None:
    with pytest.raises(SchemaConflict, match=rf"'label' is .*{old}.* and {new}".replace("[", r"\[")) as caught:
        widen(pa.schema([("label", old)]), pa.schema([("label", new)]))
    assert f"cast 'label' to {old}" in caught.value.cure


@pytest.mark.parametrize(
    "type_",
    [
        pa.list_(pa.int64()),
        pa.struct([("a", pa.int64())]),
        pa.map_(pa.string(), pa.int64()),
        pa.dictionary(pa.int8(), pa.list_(pa.int8())),
        pa.decimal128(3, 1),
        pa.duration("us"),
    ],
)
def test_refuses_values_that_are_not_flat(type_: pa.DataType) -> None:
    with pytest.raises(SchemaConflict, match=r"column 'boxes' holds values of type .*texts, numbers") as caught:
        widen(NOTHING, pa.schema([("boxes", type_)]))
    assert "JSON text" in caught.value.cure


def test_keeps_order_and_adds_at_the_end() -> None:
    columns = widen(
        pa.schema([("b", pa.int8()), ("a", pa.string())]), pa.schema([("c", pa.bool_()), ("b", pa.int16())])
    )
    assert columns == pa.schema([("b", pa.int16()), ("a", pa.string()), ("c", pa.bool_())])


@pytest.mark.parametrize("both", [["Label", "label"], ["LABEL", "Label"]])
def test_names_differ_in_more_than_case(both: list[str]) -> None:
    first, second = (pa.schema([(name, pa.int8())]) for name in both)
    with pytest.raises(SchemaConflict, match="only in case") as caught:
        widen(first, second)
    assert repr(both[1]) in caught.value.cure
    with pytest.raises(SchemaConflict, match="only in case"):
        widen(NOTHING, pa.schema([*first, *second]))


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Sample", "BPFP"])
def test_the_catalogs_own_names_are_refused(name: str) -> None:
    with pytest.raises(SchemaConflict, match=repr(name)) as caught:
        widen(NOTHING, pa.schema([(name, pa.int8())]))
    assert "rename" in caught.value.cure


def test_a_name_that_the_catalog_takes_later_stays_readable() -> None:
    earlier = pa.schema([("expected_kl", pa.int8())])
    assert widen(earlier, pa.schema([("expected_kl", pa.int16())])).types == [pa.int16()]


def test_a_name_is_needed() -> None:
    with pytest.raises(SchemaConflict, match="named ''"):
        widen(NOTHING, pa.schema([("", pa.int8())]))
