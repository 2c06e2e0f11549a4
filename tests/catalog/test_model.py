"""A catalog under random verbs against a plain list of rows: every view and every lookup says what the list says."""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lamofc_catalog import TABLES, Catalog, lookup, merge, write_rows

FEATURES = ("f", "g", "größe")
EXACT = ("segment", "record", "offset", "length", "layers", "shape", "dtype", "profile", "source_hash", "payload_bits")


@dataclass
class Model:
    """The same state twice: as rows files, and as a list of live record rows and a dict of samples."""

    folder: Path
    chance: random.Random
    make_rows: Any
    open_catalog: Any
    files: dict[str, list[str]] = field(default_factory=lambda: {"records": [], "samples": []})
    gone: list[dict[str, Any]] = field(default_factory=list)
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)
    number: int = 0

    def path(self) -> tuple[str, str]:
        self.number += 1
        return str(self.folder / f"{self.number}.parquet"), f"ORIGIN{self.number:03d}"

    def catalog(self) -> Catalog:
        columns = pa.schema([("label", pa.int64()), ("note", pa.string())])
        opened: Catalog = self.open_catalog(self.files, gone=self.gone_table(), columns=columns)
        return opened

    def gone_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.gone, schema=TABLES["gone"])

    def ids(self, most: int) -> list[str]:
        """Some ids, old and new, close together or apart, of which some need more than ASCII."""
        start = self.chance.randrange(60)
        names = [f"{'é' if number % 7 == 0 else 's'}{number:02d}" for number in range(start, start + 20)]
        return self.chance.sample(names, self.chance.randint(1, most))

    def add(self) -> None:
        """Records of samples; those that are there already are replaced, as an overwrite does it."""
        keys = [(s, f) for f in self.chance.sample(FEATURES, self.chance.randint(1, 3)) for s in self.ids(20)]
        keys = list(dict.fromkeys(keys))
        rows = self.make_rows(keys, seed=self.number)
        path, origin = self.path()
        write_rows("records", rows, path, origin=origin)
        self.files["records"].append(path)
        for at, (key, row) in enumerate(zip(keys, rows.to_pylist(), strict=True)):
            if key in self.records:
                self.gone.append({"table": "records", **{n: self.records[key][n] for n in ("origin", "row")}})
            self.records[key] = {**row, "origin": origin, "row": at}

    def annotate(self) -> None:
        """New values for samples, old and new; an absent one leaves what was there."""
        ids = self.ids(15)
        kind = self.chance.choice([pa.int8(), pa.int32(), pa.int64(), pa.null()])
        label = [None if pa.types.is_null(kind) else self.chance.choice([None, 1, 2, 100]) for _ in ids]
        columns = {"sample": pa.array(ids), "label": pa.array(label, kind)}
        if self.chance.random() < 0.5:
            columns["note"] = pa.array([self.chance.choice([None, "x", ""]) for _ in ids], pa.string())
        if self.chance.random() < 0.3:
            columns["structure"] = pa.array([self.chance.choice([None, "{}"]) for _ in ids], pa.string())
        path, origin = self.path()
        rows = pa.table(columns)
        write_rows("samples", rows, path, origin=origin)
        self.files["samples"].append(path)
        for row in rows.to_pylist():
            values = self.samples.setdefault(row["sample"], {"structure": None, "label": None, "note": None})
            values |= {name: value for name, value in row.items() if name != "sample" and value is not None}

    def forget(self) -> None:
        """Samples go, by the positions that the catalog gives."""
        ids = self.ids(3)
        self.gone += self.catalog().positions(ids).to_pylist()
        self.records = {key: row for key, row in self.records.items() if key[0] not in ids}
        for name in ids:
            self.samples.pop(name, None)

    def merge(self) -> None:
        """A run of neighbouring files becomes one."""
        table = self.chance.choice(["records", "samples"])
        files = self.files[table]
        if files:
            start = self.chance.randrange(len(files))
            stop = self.chance.randint(start + 1, len(files))
            path, _ = self.path()
            merge(table, files[start:stop], self.gone_table(), path)
            files[start:stop] = [path]

    def check(self) -> None:
        catalog = self.catalog()
        keys = sorted(self.records, key=lambda key: (key[0].encode(), key[1].encode()))
        everyone = list({sample for sample, _ in keys})
        tables = [catalog.lookup(everyone), catalog.select(FEATURES)]
        tables.append(catalog.sql("SELECT * FROM records ORDER BY sample, feature").to_arrow_table())
        for table in tables:
            rows = table.to_pylist()
            assert [(row["sample"], row["feature"]) for row in rows] == keys
            for key, row in zip(keys, rows, strict=True):
                expected = self.records[key]
                assert [row[name] for name in ("origin", "row", *EXACT)] == [
                    expected[n] for n in ("origin", "row", *EXACT)
                ]
                assert [row["sse"], row["bulk_sse"]] == pytest.approx([expected["sse"], expected["bulk_sse"]], rel=1e-5)
        for sample in self.chance.sample(everyone, min(3, len(everyone))):
            result = catalog.lookup([sample], ["f", "größe"]).to_pylist()
            assert [(sample, row["feature"]) for row in result] == [k for k in keys if k[0] == sample and k[1] != "g"]
        self.check_samples(catalog)
        self.check_features(catalog)

    def check_samples(self, catalog: Catalog) -> None:
        expected = [{"sample": name, **self.samples[name]} for name in sorted(self.samples, key=str.encode)]
        assert catalog.sql("SELECT * FROM samples ORDER BY sample").to_arrow_table().to_pylist() == expected
        assert catalog.attributes([*self.samples, "nobody"]).to_pylist() == expected
        result = catalog.select(["g"], "label >= 2", ["label"], fields=["length"]).to_pylist()
        chosen = {name for name, row in self.samples.items() if (row["label"] or 0) >= 2}
        keys = sorted((k for k in self.records if k[1] == "g" and k[0] in chosen), key=lambda key: key[0].encode())
        assert [(row["sample"], row["label"]) for row in result] == [(k[0], self.samples[k[0]]["label"]) for k in keys]

    def check_features(self, catalog: Catalog) -> None:
        expected: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for (_, feature), row in self.records.items():
            for at, value in enumerate((1, row["elements"], 8 * row["length"], row["payload_bits"])):
                expected[feature][at] += value
        result = catalog.sql("SELECT feature, samples, elements, stored_bits, payload_bits FROM features").fetchall()
        assert {feature: list(sums) for feature, *sums in result} == dict(expected)
        whole: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for (sample, _), row in self.records.items():
            for at, value in enumerate((1, row["elements"], 8 * row["length"], row["payload_bits"])):
                whole[sample][at] += value
        query = "SELECT sample, features, elements, stored_bits, payload_bits FROM whole_samples"
        assert {sample: list(sums) for sample, *sums in catalog.sql(query).fetchall()} == dict(whole)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_catalog_is_what_a_list_would_be(
    seed: int, tmp_path: Path, make_rows: Any, open_catalog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr("lamofc_catalog.rows.BLOCK_ROWS", 16)
    monkeypatch.setattr("lamofc_catalog.merging.BLOCK_ROWS", 16)
    model = Model(tmp_path, chance, make_rows, open_catalog)
    verbs = [model.add, model.add, model.annotate, model.annotate, model.forget, model.merge, model.merge]
    for step in range(32):
        chance.choice(verbs)()
        if step % 4 == 3:
            monkeypatch.setattr(lookup, "SCAN_FROM_BLOCKS", chance.choice([0, 64]))
            model.check()
    assert model.records
    assert model.samples
    assert model.gone
