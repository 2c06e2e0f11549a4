"""`lamofc bench`: its figures against what the stores and the tensors say, and that it goes on where it was."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lamofc_codecs import Quality, Sizes, decode, encode, fit, published_settings
from lamofc_codecs.published.truncation import TRUNCATION
from lamofc_codecs.testing.samples import drawn_weights, picture
from lamofc_store import open as open_store
from lamofc_store.errors import BadArgument
from lamofc_tools.comparison import (
    PEERS,
    Choice,
    SampleSplit,
    list_points,
    measure,
    measure_reference,
    published_qualities,
    split_source,
)
from lamofc_tools.comparison.paper_tables import paper_table, paper_tables

Lamofc: TypeAlias = Callable[..., Any]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    for number in range(16):
        tokens = picture(9, 9, 32, number)
        save_file({"a": tokens.half(), "b": tokens[:50, :16].contiguous()}, folder / f"s{number:02}.safetensors")
    return folder


@pytest.fixture(scope="module")
def split() -> SampleSplit:
    made = SampleSplit("tokens", [picture(9, 9, 32, seed) for seed in range(8)])
    made.test = [picture(9, 9, 32, seed) for seed in range(20, 24)]
    made.samples = [f"s{number}" for number in range(4)]
    return made


def test_samples_that_are_measured_are_not_fitted_on(source: Path) -> None:
    found = {split.feature: split for split in split_source(str(source), Choice())}
    assert set(found) == {"a", "b"}
    assert found["a"].samples == ["s03", "s07", "s11", "s15"]
    assert (len(found["a"].train), len(found["a"].test)) == (12, 4)
    few = split_source(str(source), Choice(features=("b",), fit_samples=2, test_samples=1))
    assert [(split.feature, len(split.train), len(split.test)) for split in few] == [("b", 2, 1)]


def test_figures_are_those_of_records_and_tensors(split: SampleSplit) -> None:
    point = list_points(["klt:means=0"], ["snr_db=12"], [])[0]
    found = measure(point, split)
    profile = fit("klt", split.train, Quality(snr_db=12), means=0)
    records = encode(split.test, profile)
    decoded = decode([record.data for record in records], profile)
    bits = [8 * len(record.data) / record.elements for record in records]
    errors = [float((x - y).double().square().mean()) for x, y in zip(split.test, decoded, strict=True)]
    assert found.bpfp == pytest.approx(np.mean(bits))
    assert found.payload_bpfp == pytest.approx(np.mean([record.payload_bits / record.elements for record in records]))
    assert found.mse == pytest.approx(np.mean(errors), rel=1e-5)
    assert found.snr_db == pytest.approx(
        -10 * np.log10(np.mean([record.bulk_sse / record.signal for record in records])), abs=1e-4
    )
    assert found.profile_bpfp == pytest.approx(8 * len(profile.data) / (10_000 * split.test[0].numel()))
    assert found.quantised_mse == found.mse
    saved = sum(32 * record.elements - 8 * len(record.data) for record in records)
    taken = sum(one.encode_seconds + one.decode_seconds for one in found.each)
    assert found.b_max_mbps == pytest.approx(saved / taken / 1e6)


def test_a_reference_is_set_beside_at_the_same_error(split: SampleSplit) -> None:
    found = measure(list_points(["uniform"], ["snr_db=10"], [])[0], split)
    same = measure_reference(list_points(["uniform"], [], [])[0], found, split)
    assert same.of_reference == pytest.approx(1.0, abs=0.02)
    better = measure_reference(list_points(["klt"], [], [])[0], found, split)
    assert better.of_reference is not None
    assert better.of_reference < 0.8
    exact = SampleSplit("tokens", split.train, [tensor.half() for tensor in split.test], split.samples)
    assert (
        measure_reference(
            list_points(["klt"], [], [])[0], measure(list_points(["raw"], [], [])[0], exact), exact
        ).of_reference
        is None
    )


def test_what_frames_a_record_is_told(split: SampleSplit) -> None:
    pytest.importorskip("imageio_ffmpeg")
    plain, video = (
        measure(list_points([codec], ["snr_db=10", "qp=22"], [])[0], split) for codec in ("uniform", "hevc")
    )
    elements = split.test[0].numel()
    assert plain.framing_bpfp == pytest.approx(8 * 45 / elements)
    assert 8 * (45 + 40) / elements < video.framing_bpfp < 8 * (45 + 140) / elements


@pytest.mark.skipif(sys.platform != "linux", reason="resident sets are read from /proc")
def test_memory_is_that_of_a_fresh_process(split: SampleSplit) -> None:
    large = SampleSplit("tokens", split.train, [torch.cat(split.train * 200)], ["s0"])
    found = measure(list_points(["uniform"], ["snr_db=12"], [])[0], large, memory=True)
    assert found.decode_bytes is not None
    assert found.encode_bytes is not None
    assert 0.8 * large.test[0].nbytes < found.decode_bytes < 40 * large.test[0].nbytes
    assert measure(list_points([], [], ["float16"])[0], split, memory=True).decode_bytes is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="resident sets are read from /proc")
def test_memory_of_a_codec_that_runs_vtm(split: SampleSplit, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    from tests.codecs.video.vtm_stand_in import install

    coder = f"vvc:vtm={install(tmp_path)}"
    found = measure(list_points([coder], ["qp=30"], [])[0], split, memory=True)
    assert found.encode_bytes is not None and found.decode_bytes is not None
    assert min(found.encode_bytes, found.decode_bytes) > 5_000_000  # of a program and its libraries


def test_half_precision_counts_double_in_ebpfp(split: SampleSplit) -> None:
    half = SampleSplit("tokens", split.train, [tensor.half() for tensor in split.test], split.samples)
    found = measure(list_points(["uniform"], ["snr_db=12"], [])[0], half)
    assert found.ebpfp == pytest.approx(2 * found.bpfp)


def test_what_levels_lose_and_what_the_network_loses_are_told_apart(split: SampleSplit, tmp_path: Path) -> None:
    drawn_weights(Sizes("hyperprior", 8, 12)).save(tmp_path / "w.safetensors")
    found = measure(list_points([f"hyperprior:weights={tmp_path}/w.safetensors"], [], [])[0], split)
    alone = measure(list_points(["lloydmax"], [], [])[0], split)
    assert found.quantised_mse == pytest.approx(alone.mse)
    assert found.mse > 10 * found.quantised_mse


@pytest.mark.parametrize("peer", PEERS)
def test_each_peer_gives_back_what_it_promises(peer: str, split: SampleSplit) -> None:
    packages = {"zstd": "zstandard", "zfp": "zfpy", "sz3": "pysz", "pq": "faiss", "pcodec": "pcodec"}
    if peer in packages:
        pytest.importorskip(packages[peer])
    rates, snrs = [], []
    for point in list_points([], ["snr_db=10", "snr_db=25"], [peer]):
        found = measure(point, split)
        rates.append(found.bpfp)
        snrs.append(found.snr_db)
        if point.aim and peer in ("zfp", "sz3"):
            assert point.aim <= found.snr_db < point.aim + 8
    if peer in ("float16", "zstd", "blosc", "pcodec"):
        assert snrs[0] > 60
        assert rates[0] <= 16.5
    elif peer.startswith("int8"):
        assert 8 <= rates[0] < 9
        assert snrs[0] > 25
    elif peer == "pq":
        assert rates == [4.0, 2.0, 1.0]
        assert snrs == sorted(snrs, reverse=True)


def test_the_command_keeps_runs_and_goes_on(lamofc: Lamofc, source: Path, tmp_path: Path) -> None:
    words = ("bench", source, "--feature", "a", "--codec", "uniform", "--codec", "lloydmax:assign=floor,bits=4")
    store = ("--quality", "snr_db=10", "--store", tmp_path / "runs.lamofc")
    first = lamofc(*words, *store, "--json").document["points"]
    assert [(point["coder"], point["setting"]) for point in first] == [
        ("uniform", "snr_db=10"),
        ("lloydmax:assign=floor,bits=4", ""),
    ]
    assert lamofc(*words, *store, "--json").document["points"] == first  # times, too: nothing was measured again
    more = lamofc(*words, *store, "--peer", "float16", "--json").document["points"]
    assert more[:2] == first
    with open_store(str(tmp_path / "runs.lamofc")) as kept:
        rows = kept.sql("SELECT name FROM runs WHERE kind = 'bench' ORDER BY started, run").fetchall()
        assert rows == [("uniform snr_db=10",), ("lloydmax:assign=floor,bits=4",), ("float16",)]
        query = "SELECT count(*) FROM metrics WHERE name = 'sample.sse'"
        assert kept.sql(query).fetchall() == [(12,)]


def test_it_tells_papers_beside(lamofc: Lamofc, source: Path) -> None:
    ran = lamofc("bench", source, "--feature", "b", "--peer", "int8-tensor", "--paper", "lamofcbench-7")
    assert "LaMoFCBench, Table VII" in ran.out
    assert "171.9" in ran.out


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--codec", "nothing"), "no codec 'nothing'"),
        (("--codec", "klt:means"), "'means' is no NAME=VALUE"),
        (("--quality", "loud=3"), "loud=3"),
        (("--peer", "rar"), "no peer 'rar'"),
        (("--paper", "bible"), "no table 'bible'"),
        (("--held-out-by", "colour"), "no column 'colour'"),
    ],
)
def test_what_is_typed_wrong_is_told(lamofc: Lamofc, source: Path, words: tuple[str, ...], cause: str) -> None:
    ran = lamofc("bench", source, *words)
    assert ran.code in (1, 2)
    assert cause in ran.lines()[0]
    assert len(ran.lines()) == 2


def test_tables_of_the_papers_agree_with_each_other() -> None:
    tables = paper_tables()
    assert list(tables) == [
        *(f"lamofcbench-{number}" for number in range(2, 14)),
        *(f"lamofc-{number}" for number in range(3, 7)),
        *(f"dt-ufc-{number}" for number in range(2, 7)),
        *(f"lamofc-s{number}" for number in range(2, 6)),
    ]
    for table in tables.values():
        assert table["rows"]
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    # What one paper says twice, or another cites, must be the same here.
    baseline = [row[4] for row in paper_table("lamofc-3")["rows"] if row[0] == "Hyperprior"]
    assert [row[1] for row in paper_table("lamofc-6")["rows"] if row[0] == "seg"] == baseline
    assert [row[3] for row in paper_table("dt-ufc-5")["rows"] if row[0] == "baseline"] == baseline[::-1]
    ranges = {row[0]: row for row in paper_table("lamofc-4")["rows"]}
    for at, coder in ((3, "vtm"), (5, "hyperprior")):
        assert {task: tuple(map(float, row[at : at + 2])) for task, row in ranges.items()} == TRUNCATION[coder]
    with pytest.raises(BadArgument):
        paper_table("lamofcbench-1")


def test_features_are_packed_and_coded_as_a_paper_does(lamofc: Lamofc, tmp_path: Path) -> None:
    """Four layers are one plane of hyperprior by its ranges, and images of a batch are planes of their own."""
    features, weights = tmp_path / "features", tmp_path / "w.safetensors"
    features.mkdir()
    for number in range(4):
        draw = torch.Generator().manual_seed(number)
        arrays = {f"dpt.{layer}": torch.randn(2, 33, 40, generator=draw) for layer in range(4)}
        save_file({**arrays, "layer.9": torch.randn(2, 33, 40, generator=draw)}, features / f"s{number}.safetensors")
    drawn_weights(Sizes("hyperprior", 8, 12)).save(weights)
    found = {split.feature: split for split in split_source(str(features), Choice(as_published="lamofc"))}
    joined = found["dpt.0+dpt.1+dpt.2+dpt.3"]
    assert (joined.test[0].shape, list(joined.parts.values()), joined.planes) == ((66, 160), [40] * 4, [1])
    (point,) = list_points([f"hyperprior:weights={weights}"], [], [], "lamofc")
    assert point.options["truncation"] == "hyperprior"
    names = [f"dpt.{layer}" for layer in range(4)]
    samples = [dict(zip(names, tensor.split(40, 1), strict=True)) for tensor in joined.train]
    profile = fit("hyperprior", samples, features=names, **point.options)
    record = encode([dict(zip(names, joined.test[0].split(40, 1), strict=True))], profile)[0]
    figures = measure(point, joined)
    assert figures.bpfp == pytest.approx(8 * len(record.data) / record.elements)
    assert figures.mse == pytest.approx(record.sse / record.elements, rel=1e-5)
    assert measure(list_points([], [], ["float16"], "lamofc")[0], joined).bpfp == 16

    bench = {split.feature: split for split in split_source(str(features), Choice(as_published="lamofcbench"))}
    images = bench["layer.9"]
    assert (images.planes, images.has_planes, images.parts) == ([2], True, {})
    (point,) = list_points([f"hyperprior:weights={weights}"], [], [], "lamofcbench")
    profile = fit("hyperprior", images.train, **point.options, planes=True)
    record = encode(images.test, profile, planes=[2])[0]
    assert measure(point, images).bpfp == pytest.approx(8 * len(record.data) / record.elements)
    command = ("bench", features, "--feature", "layer.9", "--codec", f"hyperprior:weights={weights}")
    (row,) = lamofc(*command, "--as-published", "lamofcbench", "--json").document["points"]
    assert row["bpfp"] == pytest.approx(8 * len(record.data) / record.elements)
    with pytest.raises(BadArgument, match="as_published='hm'"):
        list_points(["klt"], [], [], "hm")


@pytest.mark.parametrize(
    ("name", "arch", "task", "table", "where"),
    [
        ("dt-ufc", "hyperprior", "*", "dt-ufc-2", None),
        ("dt-ufc", "elic", "*", "dt-ufc-3", None),
        *(("dt-ufc", "hyperprior", task, "dt-ufc-4", task) for task in ("csr", "seg", "tti")),
        ("lamofcbench", "hyperprior", "*", "lamofcbench-8", "Hyperprior"),
        ("lamofcbench", "elic", "*", "lamofcbench-8", "ELIC"),
    ],
)
def test_lambdas_are_those_of_the_tables(name: str, arch: str, task: str, table: str, where: str | None) -> None:
    rows = paper_table(table)["rows"]
    printed = [row[0] for row in rows] if where is None else [row[1] for row in rows if row[0] == where]
    assert list(published_settings(name).training_of(arch, task).lambdas) == printed
    assert published_qualities("lamofc") == [f"qp={qp}" for qp in (22, 27, 32, 37, 42)]
