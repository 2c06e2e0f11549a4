"""Ten kinds of bad input: each is answered with two lines and the right exit code, and the store is unharmed."""

import contextlib
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

Lamofc: TypeAlias = Callable[..., Any]
FeaturesOf: TypeAlias = Callable[[int], dict[str, torch.Tensor]]
NOBODY = 65534


@pytest.fixture
def bad(tmp_path: Path, features_of: FeaturesOf) -> Path:
    """A folder with one good sample, to put bad ones beside."""
    folder = tmp_path / "bad"
    folder.mkdir()
    save_file(features_of(50), folder / "a_good.safetensors")
    return folder


@pytest.fixture
def refused(lamofc: Lamofc, store: Path) -> Callable[..., list[str]]:
    """Types a command that must be refused; gives the two lines, having compared the store before and after."""

    def typed(code: int, *arguments: object) -> list[str]:
        before = content(lamofc, store)
        ran = lamofc(*arguments)
        assert ran.code == code, ran.err
        assert ran.out == ""
        lines: list[str] = ran.lines()
        assert len(lines) == 2
        assert lines[0].startswith("error: ")
        assert lines[1].startswith("try: ")
        assert len(lines[1]) > len("try: ")
        assert "Traceback" not in ran.err
        assert content(lamofc, store) == before
        assert lamofc("verify", store).code == 0
        assert {path.name for path in (store / "tmp").rglob("*")} <= {"turn"}
        return lines

    return typed


def content(lamofc: Lamofc, store: Path) -> list[Any]:
    """What can be read from the store: samples, record sizes, hashes."""
    return list(
        lamofc("sql", store, "SELECT * EXCLUDE (layers) FROM records ORDER BY sample, feature", "--json").document
    )


Refused: TypeAlias = Callable[..., list[str]]


def test_missing_path(refused: Refused, store: Path, tmp_path: Path) -> None:
    wrong, _ = refused(3, "ingest", tmp_path / "nowhere", store)
    assert str(tmp_path / "nowhere") in wrong
    for command in ("info", "ls", "log", "verify", "gc"):
        assert str(tmp_path / "nowhere") in refused(3, command, tmp_path / "nowhere")[0]
    assert not (tmp_path / "nowhere").exists()


def test_empty_folder(refused: Refused, store: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    wrong, _ = refused(1, "ingest", tmp_path / "empty", store)
    assert str(tmp_path / "empty") in wrong
    refused(1, "ingest", tmp_path / "empty", tmp_path / "new.lamofc")
    assert not (tmp_path / "new.lamofc").exists()


def test_nan_under_a_lossy_codec(
    refused: Refused, lamofc: Lamofc, store: Path, bad: Path, features_of: FeaturesOf
) -> None:
    tensors = features_of(51)
    tensors["layer.1"][2, 3] = float("nan")
    save_file(tensors, bad / "nan.safetensors")
    wrong, cure = refused(1, "ingest", bad, store)
    assert "'nan'" in wrong
    assert "layer.1" in wrong
    assert "raw" in cure
    assert lamofc("ingest", bad, store, "--on-error", "skip", "--json").document["skipped"] == 1
    assert lamofc("sql", store, "SELECT sample FROM skipped", "--json").document == [{"sample": "nan"}]


def test_two_samples_of_one_id(refused: Refused, store: Path, bad: Path) -> None:
    np.savez(bad / "a_good.npz", **{"layer.1": np.zeros((5, 24), np.float32)})
    wrong, _ = refused(1, "ingest", bad, store)
    assert "a_good.npz" in wrong
    assert "a_good.safetensors" in wrong


def test_other_content_under_an_id_that_is_there(
    refused: Refused, store: Path, bad: Path, features_of: FeaturesOf
) -> None:
    save_file(features_of(52), bad / "img_0.safetensors")
    wrong, cure = refused(4, "ingest", bad, store)
    assert "img_0" in wrong
    assert "--overwrite" in cure


def test_a_feature_whose_channel_count_changes(refused: Refused, store: Path, bad: Path, tmp_path: Path) -> None:
    save_file({"layer.1": torch.randn(5, 25)}, bad / "b_wide.safetensors")
    wrong, _ = refused(1, "ingest", bad, store)
    assert "25 channels" in wrong
    assert "b_wide" in wrong
    assert "25 channels" in refused(1, "ingest", bad, tmp_path / "new.lamofc")[0]


def test_truncated_safetensors(refused: Refused, store: Path, bad: Path) -> None:
    whole = (bad / "a_good.safetensors").read_bytes()
    (bad / "b_cut.safetensors").write_bytes(whole[: len(whole) // 2])
    wrong, _ = refused(1, "ingest", bad, store)
    assert "b_cut.safetensors" in wrong


def test_unreadable_files_are_skipped_where_asked(lamofc: Lamofc, store: Path, bad: Path) -> None:
    (bad / "b_cut.safetensors").write_bytes(b"cut")
    report = lamofc("ingest", bad, store, "--on-error", "skip", "--json").document
    assert (report["samples"], report["skipped"]) == (1, 1)
    assert lamofc("sql", store, "SELECT sample FROM skipped", "--json").document == [{"sample": "b_cut"}]


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["LAMOFC_TEST_PROOF"],)


def test_pickle_that_would_run_code(
    refused: Refused, store: Path, bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMOFC_TEST_PROOF", str(tmp_path / "it-ran"))
    torch.save({"layer.1": Runs()}, bad / "b_evil.pt")
    (bad / "c_evil.pt").write_bytes(pickle.dumps(Runs()))
    wrong, _ = refused(1, "ingest", bad, store)
    assert "b_evil.pt" in wrong
    assert not (tmp_path / "it-ran").exists()


def test_store_of_a_newer_format(refused: Refused, source: Path, store: Path, tmp_path: Path) -> None:
    from lamofc_store.storage.sealed_json import decode_document, encode_document

    newer = Path(shutil.copytree(store, tmp_path / "newer.lamofc"))
    marker = newer / "lamofc.json"
    marker.write_bytes(encode_document({**decode_document(marker.read_bytes(), "lamofc.json"), "format": 2}))
    before = sorted(path.read_bytes() for path in newer.rglob("*") if path.is_file())
    for arguments in (("info", newer), ("ingest", source, newer), ("gc", newer, "--keep", "0s")):
        wrong, cure = refused(1, *arguments)
        assert "2" in wrong
        assert "upgrade" in cure
    assert sorted(path.read_bytes() for path in newer.rglob("*") if path.is_file()) == before


def test_unknown_codec(refused: Refused, source: Path, store: Path, tmp_path: Path) -> None:
    for target in (store, tmp_path / "new.lamofc"):
        wrong, cure = refused(2, "ingest", source, target, "--codec", "zip")
        assert "'zip'" in wrong
        assert "codec list" in cure
    assert not (tmp_path / "new.lamofc").exists()
    refused(2, "codec", "show", "zip")


@contextlib.contextmanager
def read_only(store: Path) -> Iterator[Path]:
    """A copy that we may read and not write; as root, by being nobody for a while."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(store, Path(place, "fixed.lamofc")))
        folders = [Path(place), copy, *(path for path in copy.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(NOBODY)
            yield copy
        finally:
            if root:
                os.seteuid(0)
            for folder in folders:
                folder.chmod(0o755)


def test_read_only_target(lamofc: Lamofc, features_of: FeaturesOf, store: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        save_file(features_of(53), Path(place, "new.safetensors"))
        Path(place, "new.safetensors").chmod(0o644)
        assert lamofc("get", store, "img_0").code == 0  # what it compiles on the way, it caches beside its source
        with read_only(store) as fixed:
            names = sorted(fixed.rglob("*"))
            tried = [
                lamofc("ingest", place, fixed),
                lamofc("forget", fixed, "img_0"),
                lamofc("ingest", place, fixed.parent / "new.lamofc"),
            ]
            assert sorted(fixed.rglob("*")) == names
            assert lamofc("info", fixed).code == 0
            assert lamofc("get", fixed, "img_0").code == 0
            assert lamofc("verify", fixed).code == 0
    for ran in tried:
        assert (ran.code, ran.out, len(ran.lines())) == (1, "", 2)
        assert "cannot be written" in ran.err


def test_errors_as_json(lamofc: Lamofc, store: Path) -> None:
    ran = lamofc("get", store, "nobody", "--json")
    told = json.loads(ran.out)["error"]
    assert (ran.code, told["type"], told["exit_code"]) == (3, "NotFound", 3)
    assert "nobody" in told["message"]
    assert ran.lines() == [f"error: {told['message']}", f"try: {told['try']}"]
