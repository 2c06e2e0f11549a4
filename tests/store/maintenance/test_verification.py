"""Verification names what is damaged, and notes what no commit names."""

from collections.abc import Callable
from pathlib import Path

import lamofc_store as lamofc
from lamofc_store.commits import checkpoint
from lamofc_store.storage import paths

Make = Callable[..., list[lamofc.Sample]]


def test_objects_that_no_commit_names_are_noted(store: lamofc.Store, make_samples: Make) -> None:
    assert store.verify().to_json()["notes"] == []
    written = store.write(make_samples(15, 12), codec="raw")
    report = store.verify()
    assert report.ok
    noted = {note.object for note in report.notes}
    assert {paths.segment(segment.entry.id) for segment in written} < noted
    assert {path.split("/")[0] for path in noted} == {paths.ROWS, paths.SEGMENTS}
    store.commit(written)
    assert store.verify().notes == []


def test_a_lost_newest_commit_leaves_notes(store: lamofc.Store, tmp_path: Path, make_samples: Make) -> None:
    """Without the note of the newest commit, its rows and segments are still in the store."""
    store.ingest(make_samples(15, 12), codec="raw")
    (tmp_path / "twelve" / paths.commit(store.head)).unlink()
    report = store.verify()
    assert [problem.object for problem in report.problems] == [paths.COMMITS]
    assert paths.commit(store.head) in report.problems[0].what
    (tmp_path / "twelve" / paths.NEWEST).unlink()
    with lamofc.open(store.url) as older:
        assert older.head == store.head - 1
        report = older.verify()
        assert report.ok
        lost = set(store.snapshot.segments) - set(older.snapshot.segments)
        assert {paths.segment(identity) for identity in lost} < {note.object for note in report.notes}
        assert all("newest commits are lost" in note.what for note in report.notes)


def test_a_damaged_old_commit_is_a_problem_of_the_log_alone(tmp_path: Path, make_samples: Make) -> None:
    """A checkpoint lets the store open; the rest of it is verified without the log."""
    with lamofc.open(str(tmp_path / "s"), "a") as store:
        store.ingest(make_samples(3), codec="raw")
        checkpoint.write(store.storage, store.snapshot)
        (tmp_path / "s" / paths.commit(0)).write_bytes(b"{}")
        with lamofc.open(store.url) as opened:
            report = opened.verify()
            assert [problem.object for problem in report.problems] == [paths.COMMITS]
            assert report.bytes > 0


def test_progress_counts_all_objects(store: lamofc.Store) -> None:
    steps: list[tuple[int, int]] = []
    report = store.verify(progress=lambda done, count: steps.append((done, count)))
    assert steps[-1] == (report.objects, report.objects)
    assert [done for done, _ in steps] == list(range(2, report.objects + 1))
