"""Heads: trained on a store, kept in files, resumed, and their sensitivity."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import lamofc_store as lamofc
from lamofc_store import Padded, Pool, Sample
from lamofc_store.errors import BadArgument, NotFound
from lamofc_tools.heads import (
    HEADS,
    Head,
    HeadTraining,
    LinearHead,
    PooledHead,
    Task,
    TrainingConfig,
    TrainingSet,
    combined_weights,
    evaluate,
    fit_linear,
    load,
    pooled_rows,
    save,
    sensitivity,
    train,
)
from lamofc_tools.heads.architectures.knn import KnnHead
from lamofc_tools.heads.architectures.pooled import pool_tokens
from lamofc_tools.heads.contract.token_maps import as_image

pytestmark = pytest.mark.usefixtures("one_thread")

GRID = (4, 4)
LAYERS = tuple(f"layer.{number}" for number in range(4))


def _scene(number: int) -> Sample:
    """Two kinds of patches left and right of a line, at depths that follow from where it is, after a class token."""
    noise = torch.Generator().manual_seed(number)
    line = 1 + number % 3
    side = (torch.arange(4) < line).float().expand(*GRID)
    depth = 1 + line / 2 + side
    signal = torch.stack([side * 2 - 1, depth - 3], dim=-1).reshape(16, 2)
    features = {}
    for layer, name in enumerate(LAYERS):
        mix = torch.randn(2, 12, generator=torch.Generator().manual_seed(layer))
        patches = signal @ mix + 0.1 * torch.randn(16, 12, generator=noise)
        first = torch.nn.functional.one_hot(torch.tensor(line), 12).float() + 0.1 * torch.randn(12, generator=noise)
        features[name] = torch.cat([first[None], patches])
    maps = {"labels": side.long().repeat_interleave(2, 0).repeat_interleave(2, 1), "depth": depth.float()}
    return Sample(f"{number:03d}", features | maps, {"line": line - 1, "word": "abc"[line - 1], "split": number % 4})


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lamofc.Store]:
    """Forty-eight of them."""
    with lamofc.open(str(tmp_path_factory.mktemp("scenes") / "s"), "w-") as store:
        store.ingest([_scene(number) for number in range(48)], "raw")
        yield store


def _split(store: lamofc.Store, inputs: tuple[str, ...], target: str) -> tuple[TrainingSet, TrainingSet]:
    return (
        TrainingSet.of(store, inputs, target, where="split > 0"),
        TrainingSet.of(store, inputs, target, where="split = 0"),
    )


def _made(kind: str, samples: TrainingSet, task: Task, **options: Any) -> Head:
    torch.manual_seed(0)
    return HEADS[kind](samples.widths(), task, **options)


Case = tuple[str, tuple[str, ...], str, Task, dict[str, Any], tuple[str, float]]
CASES: list[Case] = [
    ("linear", LAYERS[:1], "line", Task("classes", 3), {"pool": "cls+mean", "prefix": 1}, ("accuracy", 0.99)),
    ("linear", LAYERS[:2], "word", Task("classes", 3), {"pool": "cls"}, ("accuracy", 0.99)),
    ("knn", LAYERS[:1], "line", Task("classes", 3), {"pool": "cls", "neighbours": 5}, ("accuracy", 0.99)),
    ("attentive", LAYERS[:2], "line", Task("classes", 3), {"heads": 4}, ("accuracy", 0.9)),
    ("segmentation", LAYERS[:1], "labels", Task("segments", 2), {"prefix": 1}, ("miou", 0.95)),
    ("dpt", LAYERS, "labels", Task("segments", 2), {"prefix": 1, "inner": 8}, ("miou", 0.95)),
    ("dpt", LAYERS, "depth", Task("depth"), {"prefix": 1, "inner": 8, "grid": GRID}, ("delta1", 0.9)),
    ("segmentation", LAYERS[3:], "depth", Task("depth"), {"prefix": 1}, ("delta1", 0.9)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2]}")
def test_each_head_learns_and_is_kept(scenes: lamofc.Store, tmp_path: Path, case: Case) -> None:
    kind, inputs, target, task, options, wanted = case
    seen, unseen = _split(scenes, inputs, target)
    head = _made(kind, seen, task, **options)
    config = TrainingConfig(epochs=8 if kind == "dpt" else 12, batch=9, lr=0.1 if kind == "segmentation" else 1e-2)
    history = train(head, seen, config)
    values = evaluate(head, unseen, config)
    assert values[wanted[0]] > wanted[1]
    if len(history) > 1:
        assert history[-1].loss < history[0].loss / 2
    save(head, tmp_path / "head.safetensors", {"inputs": list(inputs), "where": "split > 0"})
    again, told = load(tmp_path / "head.safetensors")
    assert told == {"inputs": list(inputs), "where": "split > 0"} and type(again) is type(head)
    assert evaluate(again, unseen, config) == values


@pytest.mark.parametrize("stop", [1, 5, 6, 11])
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    scenes: lamofc.Store, tmp_path: Path, stop: int
) -> None:
    samples, _ = _split(scenes, LAYERS[:1], "labels")
    config = TrainingConfig(epochs=3, batch=9, checkpoint=tmp_path / "kept.pt", every=1)  # 4 batches an epoch

    def made() -> Head:
        return _made("segmentation", samples, Task("segments", 2), prefix=1)

    whole = made()
    history = train(whole, samples, replace(config, checkpoint=None))
    stopped = HeadTraining(made(), samples, config)
    train_step = stopped.train_step

    def until(batch: Any) -> None:
        if stopped.step == stop:
            raise KeyboardInterrupt
        train_step(batch)

    stopped.train_step = until  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    on = made()
    assert train(on, samples, config) == history
    assert all(
        torch.equal(one, other)
        for one, other in zip(whole.state_dict().values(), on.state_dict().values(), strict=True)
    )
    with pytest.raises(BadArgument, match="not of"):
        train(made(), samples, replace(config, lr=0.5))
    (tmp_path / "kept.pt").write_bytes(b"PK no")
    with pytest.raises(BadArgument, match="no checkpoint"):
        train(made(), samples, config)


def test_forward_passes_in_bfloat16_learn_too(scenes: lamofc.Store) -> None:
    seen, unseen = _split(scenes, LAYERS, "labels")
    head = _made("dpt", seen, Task("segments", 2), prefix=1, inner=8)
    train(head, seen, TrainingConfig(epochs=6, batch=10, lr=1e-2, half=True))
    assert evaluate(head, unseen, TrainingConfig())["miou"] > 0.9


def test_rows_are_the_same_pooled_before_they_are_read_or_after(scenes: lamofc.Store) -> None:
    samples, _ = _split(scenes, LAYERS[:2], "line")
    for pool in ("cls", "mean", "cls+mean"):
        head = HEADS["knn"](samples.widths(), Task("classes", 3), pool=pool, prefix=1)
        assert isinstance(head, PooledHead)
        before, targets = pooled_rows(head, samples, TrainingConfig(batch=9))
        config = TrainingConfig(batch=9)
        after = torch.cat(
            [head.rows(features) for features, _ in samples.batches(config.loader(samples, shuffle=False))]
        )
        torch.testing.assert_close(before, after)
        assert before.shape == (len(targets), head.inputs)


def test_a_sweep_of_rates_learns_as_well(scenes: lamofc.Store) -> None:
    seen, unseen = _split(scenes, LAYERS[:1], "line")
    head = _made("linear", seen, Task("classes", 3), pool="cls+mean", prefix=1)
    train(head, seen, TrainingConfig(sweep=True, epochs=40, batch=10))
    assert evaluate(head, unseen, TrainingConfig())["accuracy"] > 0.99


def test_padded_tokens_count_for_nothing() -> None:
    torch.manual_seed(0)
    one, other = torch.randn(5, 12), torch.randn(3, 12)
    padded = Padded(
        torch.stack([one, torch.cat([other, torch.full((2, 12), 9.0)])]), torch.arange(5) < torch.tensor([[5], [3]])
    )
    assert torch.allclose(pool_tokens(padded, Pool("mean")), torch.stack([one.mean(0), other.mean(0)]))
    assert torch.allclose(pool_tokens(padded, Pool("cls+mean", 1))[1], torch.cat([other[0], other[1:].mean(0)]))
    head = HEADS["attentive"]([12], Task("classes", 3)).eval()
    assert torch.allclose(head([padded])[1], head([other[None]])[0], atol=1e-6)


def test_tokens_become_images_in_rows() -> None:
    tokens = torch.arange(2 * 7 * 3).reshape(2, 7, 3)
    found = as_image(tokens, 1, (2, 3))
    assert found.shape == (2, 3, 2, 3) and torch.equal(found[1, :, 1, 2], tokens[1, 6])
    with pytest.raises(BadArgument, match="are no image of 2 x 2"):
        as_image(tokens, 1)


def test_a_linear_head_chooses_its_decay_on_what_it_did_not_see() -> None:
    noise = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 40, generator=noise)
    labels = torch.arange(200) % 4
    rows = centres[labels] + 3 * torch.randn(200, 40, generator=noise)
    head = LinearHead([40], Task("classes", 4))
    assert head.fit_best_decay(rows, labels) > 1e-5
    loose = fit_linear(rows, labels, classes=4, decay=1e-5)
    fresh = centres[labels] + 3 * torch.randn(200, 40, generator=noise)
    assert head.accuracy(fresh, labels) > loose.accuracy(fresh, labels)


def test_neighbours_vote_by_how_alike_they_are() -> None:
    head = KnnHead([2], Task("classes", 3), neighbours=3)
    head.remember(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.0]]), torch.tensor([0, 0, 1, 2]))
    scores = head.scores(torch.tensor([[2.0, 0.1], [0.1, 3.0]]))
    assert scores.argmax(1).tolist() == [0, 1] and scores[0, 2] == 0
    alike = torch.nn.functional.cosine_similarity(torch.tensor([[2.0, 0.1]]), torch.tensor([[1.0, 0.0], [0.9, 0.1]]))
    expected = (alike / 0.07).exp().sum()
    assert scores[0, 0] == pytest.approx(float(expected), rel=1e-5)


def _inputs(samples: TrainingSet) -> Iterator[list[Any]]:
    return (features for features, _ in samples.batches(TrainingConfig(batch=20).loader(samples, shuffle=False)))


def test_sensitivity_of_a_linear_head_is_its_matrix(scenes: lamofc.Store) -> None:
    samples, _ = _split(scenes, LAYERS[:1], "line")
    head = LinearHead(samples.widths(), Task("classes", 3), pool="mean")
    train(head, samples, TrainingConfig())
    (found,) = sensitivity(head, _inputs(samples))
    rows = (head.weight / head.scale[:, None]).detach().double()
    assert torch.allclose(found, rows @ rows.T * len(samples) / 17, rtol=1e-4, atol=1e-6)  # each token counts a 17th
    root = combined_weights([found])
    assert torch.allclose(root @ root.T, found / found.trace(), atol=1e-9)
    with pytest.raises(BadArgument, match="none of 1 heads is sensitive"):
        combined_weights([torch.zeros(3, 3)])


def test_sensitivity_of_a_head_that_is_not_linear_is_that_of_finite_differences(scenes: lamofc.Store) -> None:
    _, samples = _split(scenes, LAYERS, "labels")
    head = _made("dpt", samples, Task("segments", 2), prefix=1, inner=8).eval()
    found = sensitivity(head, _inputs(samples))
    batch = next(iter(samples.batches(TrainingConfig(batch=60).loader(samples, shuffle=False))))[0]
    far, size = torch.Generator().manual_seed(1), 1e-3
    told, seen = [], []
    with torch.no_grad():
        for _ in range(12):
            way = torch.randn(12, generator=far)
            signs = torch.randint(0, 2, batch[2].shape[:2], generator=far)[..., None] * 2.0 - 1
            moved = [*batch[:2], batch[2] + size * signs * way, batch[3]]
            told.append(float(((head(moved) - head(batch)) / size).square().sum()))
            seen.append(float(way.double() @ found[2] @ way.double()))
    assert torch.corrcoef(torch.tensor([told, seen]))[0, 1] > 0.9


def _untaught(store: lamofc.Store) -> object:
    return TrainingSet.of(store, LAYERS[:1], "line", where="false").widths()


WRONG: list[tuple[Callable[[lamofc.Store], object], str]] = [
    (lambda store: TrainingSet.of(store, LAYERS, "labels").classes(), "how many classes"),
    (lambda store: Task("words", 3), "a task 'words'"),  # type: ignore[arg-type]
    (lambda store: HEADS["dpt"]([12], Task("depth")), "1 features for a DPT head"),
    (lambda store: LinearHead([12], Task("classes", 2), pool="max"), "pool='max'"),
    (lambda store: _untaught(store), "no sample to train on"),
]


@pytest.mark.parametrize(("act", "says"), WRONG)
def test_what_cannot_be_is_said(scenes: lamofc.Store, act: Callable[[lamofc.Store], object], says: str) -> None:
    with pytest.raises(BadArgument, match=says):
        act(scenes)


def test_a_head_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="there is no head"):
        load(Path("nowhere"))


def test_a_file_that_is_no_head_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    file = tmp_path / "x.safetensors"
    file.write_bytes(b"no")
    with pytest.raises(BadArgument, match="is no head"):
        load(file)
    save_file({"weight": torch.ones(2)}, file)
    with pytest.raises(BadArgument, match="is no head"):
        load(file)
    task = {"kind": "classes", "classes": 2}
    told = {"kind": "linear", "widths": [4], "task": task, "options": {}, "told": {}}
    save_file({"weight": torch.ones(2)}, file, {"lamofc_head": json.dumps(told)})
    with pytest.raises(BadArgument, match="is no head"):
        load(file)
