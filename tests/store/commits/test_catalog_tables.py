"""The log as SQL: read by the queries that need it and by no others."""

import json
from pathlib import Path
from typing import Any

import pytest

import lamofc_store as lamofc
from lamofc_codecs import Profile
from lamofc_store.commits import log, profile_objects
from lamofc_store.errors import SchemaConflict


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The commits up to which the log was replayed."""
    stops: list[int] = []
    replay = log.replay

    def counted(storage: Any, stop: int) -> Any:
        stops.append(stop)
        return replay(storage, stop)

    monkeypatch.setattr(log, "replay", counted)
    return stops


def test_a_text_that_looks_like_the_name_does_not_replay_the_log(store: lamofc.Store, replays: list[int]) -> None:
    store.annotate({"s/0001": {"note": "committed"}})
    replays.clear()
    assert store.sql("SELECT sample FROM samples WHERE note = 'committed'").fetchall() == [("s/0001",)]
    assert store.find("note = 'committed'") == ["s/0001"]
    assert store.info()["samples"] == 12
    assert replays == []


@pytest.mark.parametrize("locked", [False, True])
def test_a_query_that_reads_the_log_finds_it(store: lamofc.Store, replays: list[int], locked: bool) -> None:
    for query in ('WITH c AS (SELECT n FROM "Commits") SELECT max(n) FROM c', "SELECT (SELECT max(n) FROM commits)"):
        assert store.sql(query, locked=locked).fetchall() == [(store.head,)]
    assert set(replays) == {store.head}


def test_a_view_of_the_user_finds_the_log(store: lamofc.Store) -> None:
    store.sql("CREATE VIEW verbs AS SELECT verb FROM commits")
    assert store.sql("SELECT count(*) FROM verbs").fetchall() == [(store.head + 1,)]
    store.annotate({"s/0001": {"note": "x"}})
    assert [commit["n"] for commit in store.log()] == list(range(store.head, -1, -1))


def test_every_profile_names_its_commit(tmp_path: Path, make_samples: Any) -> None:
    """Also where the word `commit` is not in the query."""
    with lamofc.open(str(tmp_path / "klt"), "w-") as store:
        store.ingest(make_samples(6), codec="uniform", features=["hidden"])
        relation = store.sql("SELECT * FROM profiles")
        (row,) = (dict(zip(relation.columns, values, strict=True)) for values in relation.fetchall())
        brought = [commit["n"] for commit in store.log() if row["profile"] in commit["profiles"]]
        assert [row["commit"]] == brought
        assert json.loads(row["config"]) == dict(store.profiles[row["profile"]].config)


def test_configurations_are_read_from_headers_of_any_length(tmp_path: Path) -> None:
    with lamofc.open(str(tmp_path / "store"), "w-") as store:
        short, long = (Profile("klt", {"levels": count, "text": "x" * count}, {}) for count in (3, 1 << 16))
        for profile in (short, long):
            store.profiles.add(profile)  # type: ignore[attr-defined]
        found = profile_objects.read_configs(store.storage, [short.id, long.id])
        assert found == {profile.id: dict(profile.config) for profile in (short, long)}
        lost = Profile("klt", {"levels": 9}, {})
        assert profile_objects.read_configs(store.storage, [short.id, lost.id]) == {short.id: dict(short.config)}


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, (0.5,)])
def test_a_column_of_values_that_are_not_flat_is_refused(store: lamofc.Store, value: object) -> None:
    head = store.head
    with pytest.raises(SchemaConflict, match=r"column 'box' holds values of type (list|struct)<.*a column may"):
        store.annotate({"s/0001": {"box": value}})
    assert store.head == head
