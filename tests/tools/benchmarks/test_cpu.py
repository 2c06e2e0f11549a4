"""The figures of `tools/bench cpu` come from records of klt, and are worked out as they say."""

import json
import sys
from unittest.mock import patch

import pytest

from lamofc_codecs import Quality, decode, encode, fit
from lamofc_tools.benchmarks import synthetic_features as synthetic
from lamofc_tools.benchmarks.codecs import cpu, memory
from lamofc_tools.benchmarks.external_speeds import external_speeds


def test_a_row_is_that_of_records_that_meet_their_aim() -> None:
    with patch.object(synthetic, "TOKENS", 64), patch.object(synthetic, "SHAPES", {"small": 48}):
        row = cpu.klt_row("small", 10.0, 1, 4)
        assert row is not None
        profile = fit("klt", synthetic.random_tokens(48, 4, 1), Quality(snr_db=10), means=0)
        test = synthetic.random_tokens(48, cpu.BATCH, 2)
        records = encode(test, profile)
        assert row["bits"] == pytest.approx(sum(record.payload_bits for record in records) / (8 * 64 * 48))
        assert [tensor[32, 16] for tensor in decode([record.data for record in records], profile)] == [5000.0] * 8
    assert min(row["decode_gb_s"], row["encode_gb_s"], row["fit_s"]) > 0


def test_its_last_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    small, slow = {"tiny": 32}, {"shape": "tiny", "coder": "hyperprior", "decode_gb_s": 1e-3}
    with (
        patch.object(synthetic, "TOKENS", 48),
        patch.object(synthetic, "SHAPES", small),
        patch.object(cpu, "hyperprior_row", lambda *given: dict(slow)),
    ):
        assert cpu.BENCHMARK.main(["--rounds", "1", "--aims", "10", "--shapes", "tiny", "--fitted", "4"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {row["coder"]: row for row in document["rows"]}
    assert {"hyperprior", "klt"} <= set(rows)
    assert rows["hyperprior"] == {**slow, "times_hyperprior": 1.0}
    assert all(row["times_hyperprior"] == pytest.approx(row["decode_gb_s"] / 1e-3) for row in rows.values())


def test_a_rank_that_does_not_reach_its_aim_is_said() -> None:
    small = patch.object(synthetic, "SHAPES", {"small": 48})
    with small, patch.object(synthetic, "TOKENS", 64), patch.object(synthetic, "COMPONENTS", 2):
        assert cpu.klt_row("small", 20.0, 1) is None


def test_coders_of_others_are_measured_at_the_same_error() -> None:
    pytest.importorskip("zfpy")
    tensors = synthetic.random_tokens(48, 2, 2)
    found = {speed.coder: speed for speed in external_speeds(tensors, [20.0], 1)}
    assert 8 < found["zstd of float16"].bits < 17
    assert found["zfp"].target_db == 20.0
    assert 1 < found["zfp"].bits < 20
    assert all(min(speed.encode_gb_s, speed.decode_gb_s) > 0 for speed in found.values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_a_record_that_is_decoded() -> None:
    tokens = 20_000  # levels of fewer of them may fit in memory that was freed before
    found = memory.peak(tokens, 64, 10.0)
    assert found["output_bytes"] == 4 * tokens * 64
    assert tokens < found["record_bytes"] < tokens * 64
    assert 4 * tokens * 16 < found["added_bytes"] < 100 << 20
