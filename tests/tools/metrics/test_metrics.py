"""Metrics against torchmetrics and against NumPy, and by hand where they go further."""

from typing import Any

import numpy as np
import pytest
import torch

from lamofc_store.errors import BadArgument
from lamofc_tools.metrics import Accuracy, Depth, MeanIoU, exact_match, frechet_distance, word_error_rate


@pytest.fixture(scope="module")
def torchmetrics() -> Any:
    return pytest.importorskip("torchmetrics")


def test_accuracy_is_torchmetrics(torchmetrics: Any) -> None:
    torch.manual_seed(0)
    ours = Accuracy()
    first = torchmetrics.classification.MulticlassAccuracy(12, average="micro")
    five = torchmetrics.classification.MulticlassAccuracy(12, average="micro", top_k=5)
    for size in (7, 1, 30):
        scores, targets = torch.randn(size, 12), torch.randint(12, (size,))
        ours.add(scores, targets)
        first.update(scores, targets)
        five.update(scores, targets)
    assert ours.values()["accuracy"] == pytest.approx(first.compute().item())
    assert ours.values()["accuracy_of_5"] == pytest.approx(five.compute().item())


def test_mean_iou_is_pooled_over_images_as_a_jaccard_index(torchmetrics: Any) -> None:
    torch.manual_seed(0)
    ours = MeanIoU(6)
    theirs = torchmetrics.classification.MulticlassJaccardIndex(6, average="macro", ignore_index=255)
    for _ in range(4):
        scores, targets = torch.randn(3, 6, 9, 8), torch.randint(6, (3, 9, 8))
        targets[:, 0] = 255
        ours.add(scores, targets)
        theirs.update(scores, targets)
    assert ours.values()["miou"] == pytest.approx(theirs.compute().item(), rel=1e-6)


def test_mean_iou_by_hand_with_zero_for_none_and_classes_that_do_not_occur() -> None:
    targets = torch.tensor([[[0, 1], [2, 2]]])
    predictions = torch.nn.functional.one_hot(torch.tensor([[[0, 0], [1, 0]]]), 4).permute(0, 3, 1, 2).float()
    meter = MeanIoU(4, reduce_zero=True)
    meter.add(predictions, targets)
    assert meter.values() == {"miou": pytest.approx((1 / 2 + 1 / 2) / 2), "pixel_accuracy": pytest.approx(2 / 3)}


def test_depth_errors_are_those_of_torchmetrics_and_alignment_takes_scale_and_shift_away(torchmetrics: Any) -> None:
    torch.manual_seed(0)
    targets = torch.rand(3, 20, 30) * 9 + 0.5
    predictions = targets + 0.3 * torch.randn(3, 20, 30)
    meter = Depth()
    meter.add(predictions, targets)
    each = [
        torchmetrics.functional.mean_squared_error(predicted.clamp(1e-3, 10), target, squared=False).item()
        for predicted, target in zip(predictions, targets, strict=True)
    ]
    relative = [
        torchmetrics.functional.mean_absolute_percentage_error(predicted.clamp(1e-3, 10), target).item()
        for predicted, target in zip(predictions, targets, strict=True)
    ]
    assert meter.values()["rmse"] == pytest.approx(np.mean(each), rel=1e-5)
    assert meter.values()["abs_rel"] == pytest.approx(np.mean(relative), rel=1e-5)
    bent = Depth()
    bent.add(targets * 0.4 + 0.7, targets)
    values = bent.values()
    assert values["rmse"] > 1 and values["rmse_aligned"] < 1e-6 and values["delta1_aligned"] == 1
    predicted, target = predictions[0].flatten().numpy(), targets[0].flatten().numpy()
    scale, shift = np.polyfit(predicted, target, 1)
    least = Depth()
    least.add(predictions[:1], targets[:1])
    expected = np.sqrt(np.mean((np.clip(scale * predicted + shift, 1e-3, 10) - target) ** 2))
    assert least.values()["rmse_aligned"] == pytest.approx(expected, rel=1e-5)


def test_depth_counts_what_is_in_range_and_in_the_crop() -> None:
    targets, predictions = torch.full((1, 480, 640), 2.0), torch.full((1, 480, 640), 2.0)
    predictions[0, :45], targets[0, 471:] = 9.0, 0.0
    whole, cropped = Depth(), Depth(eigen_crop=True)
    whole.add(predictions, targets)
    cropped.add(predictions, targets)
    assert whole.values()["rmse"] == pytest.approx(7 * (45 / 471) ** 0.5)
    assert cropped.values()["rmse"] == 0
    nothing = Depth()
    nothing.add(predictions, torch.zeros_like(targets))
    assert nothing.values() == {}


def test_word_error_rate_is_torchmetrics(torchmetrics: Any) -> None:
    targets = ["the cat sat on the mat", "", "one two three", "a b c d"]
    predictions = ["the cat sat at the", "extra", "one two three", "b c d e f"]
    theirs = torchmetrics.text.WordErrorRate()(predictions, targets).item()
    assert word_error_rate(predictions, targets) == pytest.approx(theirs)
    assert word_error_rate([], []) == 0
    with pytest.raises(BadArgument, match="1 texts against 0"):
        word_error_rate(["a"], [])


def test_exact_match_takes_the_last_answer_of_a_pattern() -> None:
    predictions, targets = ["so 3 + 4 is #### 7", "I say 12.", "Paris."], ["7", "12", "paris"]
    assert exact_match(predictions, targets) == 0
    assert exact_match(predictions, targets, pattern=r"-?\d+") == pytest.approx(2 / 3)
    assert exact_match(predictions[2:], targets[2:], loose=True) == 1


def test_frechet_distance_of_given_features() -> None:
    torch.manual_seed(0)
    targets = torch.randn(400, 16, dtype=torch.float64) @ torch.randn(16, 16, dtype=torch.float64)
    predictions = targets[:300] * 1.2 + 0.3
    means = (targets.mean(0) - predictions.mean(0)).square().sum().item()
    real, generated = np.cov(targets.numpy().T), np.cov(predictions.numpy().T)
    sizes, turned = np.linalg.eigh(real)
    root = turned * np.sqrt(sizes) @ turned.T
    both = np.sqrt(np.linalg.eigvalsh(root @ generated @ root).clip(0)).sum()
    expected = means + np.trace(real) + np.trace(generated) - 2 * both
    assert frechet_distance(predictions, targets) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(targets, targets) == pytest.approx(0, abs=1e-6)
    with pytest.raises(BadArgument, match="two or more"):
        frechet_distance(targets[:1], targets)
