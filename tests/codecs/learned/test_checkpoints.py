"""Weights that CompressAI and its forks saved."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamofc_codecs import Sizes, UnsupportedInput, decode, encode, fit, import_checkpoint, trainable
from lamofc_codecs.learned.checkpoints import canonical, sizes_of, weights_from
from lamofc_codecs.learned.latent_coder import Reading, Writing
from lamofc_codecs.learned.profile import model_of
from lamofc_codecs.learned.rans64 import Cdfs, Writer
from lamofc_codecs.testing.samples import feature
from tests.extras import needs

pytestmark = needs("compressai")

SIZES = [Sizes("hyperprior", 16, 24), Sizes("elic", 16, 24, (2, 2, 4, 8, 8))]


@pytest.fixture(params=SIZES, ids=["hyperprior", "elic"], scope="module")
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    """CompressAI's model with weights that make latents of several bits."""
    torch.manual_seed(3)
    made = trainable(request.param)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.dim() > 1 and "entropy_bottleneck" not in name and not name.endswith("gamma"):
                parameter *= 2.0 if request.param.arch == "hyperprior" else 1.6
            if name.endswith("quantiles"):
                parameter[:, 0, 1] += 0.3 * torch.randn(len(parameter))
    made.update(force=True)  # type: ignore[operator]
    return made.eval()


def saved(model: torch.nn.Module, file: Path, rename: Callable[[str], str] = str, **more: Any) -> Path:
    state = {rename(name): tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, **more}, file)
    return file


def test_an_imported_model_gives_what_compressai_gives(model: Any, tmp_path: Path) -> None:
    file = saved(model, tmp_path / "lambda0.01_checkpoint_best.pth.tar", loss=0.3, optimizer={"lr": 1e-4})
    ours = model_of(import_checkpoint(file, 0.01))
    plane = torch.rand(128, 192, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = model.compress(plane[None, None])
        there = model.decompress(theirs["strings"], theirs["shape"])["x_hat"][0, 0]
        latent = ours.analyse(plane)
        writing = Writing()
        coded = ours.walk(writing, latent.shape[2], latent.shape[3], latent)
        stream = writing.finish()
        reading = Reading(memoryview(stream))
        assert torch.equal(ours.walk(reading, latent.shape[2], latent.shape[3]), coded)
        assert float((ours.restore(coded).clamp(0, 1) - there).abs().max()) < 1e-5
    strings = [string for several in theirs["strings"] for string in several]
    assert sum(map(len, strings)) - 8 * len(strings) < len(stream) <= sum(map(len, strings))
    assert np.concatenate(writing.values).std() > 0.3


def test_our_stream_is_compressais(model: Any, tmp_path: Path) -> None:
    from compressai.ans import BufferedRansEncoder, RansDecoder

    tables = model_of(import_checkpoint(saved(model, tmp_path / "m.pth.tar"))).latent
    draw = np.random.default_rng(2)
    indexes = draw.integers(0, 64, 20_000).astype(np.int32)
    values = np.rint(draw.standard_normal(20_000) * 0.11 * 1.13**indexes).astype(np.int32)
    values[::501] = draw.integers(-(1 << 25), 1 << 25, len(values[::501]))
    writer = Writer()
    writer.push(values, indexes, tables)
    data = writer.finish()
    lists = [part.tolist() for part in (tables.table, tables.lengths, tables.offsets)]
    encoder = BufferedRansEncoder()
    encoder.encode_with_indexes(values.tolist(), indexes.tolist(), *lists)
    assert encoder.flush() == data
    assert RansDecoder().decode_with_indexes(data, indexes.tolist(), *lists) == values.tolist()
    assert isinstance(tables, Cdfs)


def _old_bottleneck(name: str) -> str:
    kinds = {"matrices": "_matrix", "biases": "_bias", "factors": "_factor"}
    return re.sub(r"entropy_bottleneck\.(\w+)\.(\d)$", lambda m: f"entropy_bottleneck.{kinds[m[1]]}{m[2]}", name)


RENAMES: dict[str, Callable[[str], str]] = {
    "data parallel": lambda name: f"module.{name}",
    "underscores": lambda name: re.sub(r"\.(matrices|biases|factors)\.", r"._\1.", name),
    "version 1.1": _old_bottleneck,
    "hyper beside": lambda name: name.replace("latent_codec.hyper.h_", "latent_codec.h_").replace(
        "latent_codec.hyper.entropy", "latent_codec.z.entropy"
    ),
}


@pytest.mark.parametrize("drift", RENAMES)
def test_names_of_other_versions_are_known(model: Any, tmp_path: Path, drift: str) -> None:
    plain = import_checkpoint(saved(model, tmp_path / "plain.pth.tar"))
    assert import_checkpoint(saved(model, tmp_path / "other.pth.tar", RENAMES[drift])).id == plain.id


def test_imported_weights_code_features(model: Any, tmp_path: Path) -> None:
    weights = import_checkpoint(saved(model, tmp_path / "m.pth.tar"), 0.01)
    profile = fit(weights.codec, [feature(90, 96, -1)], weights=weights)
    record = encode([feature(200, 96, 1)], profile)[0]
    assert record.codec == weights.codec
    assert decode([record.data], profile)[0].shape == (200, 96)
    assert (profile.config["weights"], profile.config["lmbda"]) == (weights.id, 0.01)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/lamofc-evil"),))  # noqa: S108 - it must never come to be


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    for number, write in enumerate((torch.save, lambda thing, file: file.write_bytes(pickle.dumps(thing)))):
        file = tmp_path / f"{number}.pth.tar"
        write({"state_dict": {"g_a.0.weight": Evil()}}, file)
        with pytest.raises(UnsupportedInput, match="no checkpoint of tensors alone"):
            import_checkpoint(file)
    assert not Path("/tmp/lamofc-evil").exists()  # noqa: S108


def test_checkpoints_that_do_not_fit_are_refused(model: Any, tmp_path: Path) -> None:
    state = dict(model.state_dict())
    lacking = {name: tensor for name, tensor in state.items() if name != "g_s.0.weight" and "g_s.0.conv_a" not in name}
    wide = {**state, "g_a.0.weight": state["g_a.0.weight"].repeat(1, 3, 1, 1)}
    no_tables = {name: tensor for name, tensor in state.items() if "quantiles" not in name}
    for content, cause in (
        ({}, "holds no state_dict"),
        (lacking, r"weight 'g_s\.0\."),
        (wide, "3 channels in"),
        (no_tables, "lacks"),
        ({"x": torch.zeros(3)}, "no known architecture"),
    ):
        torch.save({"state_dict": content}, tmp_path / "m.pth.tar")
        with pytest.raises(UnsupportedInput, match=cause):
            import_checkpoint(tmp_path / "m.pth.tar")
    (tmp_path / "m.pth.tar").write_bytes(b"no zip, no pickle")
    with pytest.raises(UnsupportedInput, match="no checkpoint"):
        import_checkpoint(tmp_path / "m.pth.tar")


def test_channel_contexts_of_both_forms_are_imported(tmp_path: Path) -> None:
    groups = (2, 2, 4, 8, 8)
    for sizes, told in (
        (Sizes("elic", 16, 24, groups), [[16, 16]] * 4),
        (Sizes("elic", 8, 24, groups), [[8, 8], [8, 8], [10, 13], [16, 16]]),
        (Sizes("elic", 16, 24, groups, ((224, 128),) * 4), None),
        (Sizes("elic", 16, 24, groups, ((3, 5), (7, 9), (11, 13), (15, 17))), [[3, 5], [7, 9], [11, 13], [15, 17]]),
    ):
        weights = import_checkpoint(saved(trainable(sizes), tmp_path / "m.pth.tar"))
        assert weights.config.get("context") == told
        assert model_of(weights).sizes == sizes


def test_widths_that_do_not_fit_each_other_are_refused_by_their_shapes(tmp_path: Path) -> None:
    state = trainable(SIZES[1]).state_dict()
    name = "latent_codec.y.channel_context.y2.2.weight"
    torch.save({"state_dict": {**state, name: torch.zeros(20, 15, 5, 5)}}, tmp_path / "m.pth.tar")
    with pytest.raises(UnsupportedInput, match=r"'channel.2.2.weight' must be \(20, 16, 5, 5\).* has \(20, 15, 5, 5\)"):
        import_checkpoint(tmp_path / "m.pth.tar")


def test_training_builds_the_sizes_and_not_those_of_the_installed_version() -> None:
    for sizes in (*SIZES, Sizes("elic", 16, 24, (2, 2, 4, 8, 8), ((224, 128),) * 4)):
        state = canonical(trainable(sizes).state_dict())
        assert sizes_of(state) == sizes
        assert set(weights_from(state, sizes)) == set(sizes.shapes())
