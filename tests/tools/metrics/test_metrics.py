"""Metrics against torchmetrics and against NumPy, and by hand where they go further."""

import numpy as np
import pytest
import torch

from lamofc_store.errors import BadArgument
from lamofc_tools.metrics import Accuracy, Depth, MeanIoU, exact_match, frechet_distance, word_error_rate

torchmetrics = pytest.importorskip("torchmetrics")


def test_accuracy_is_torchmetrics() -> None:
    torch.manual_seed(0)
    ours = Accuracy()
    first = torchmetrics.classification.MulticlassAccuracy(12, average="micro")
    five = torchmetrics.classification.MulticlassAccuracy(12, average="micro", top_k=5)
    for size in (7, 1, 30):
        scores, told = torch.randn(size, 12), torch.randint(12, (size,))
        ours.add(scores, told)
        first.update(scores, told)
        five.update(scores, told)
    assert ours.values()["accuracy"] == pytest.approx(first.compute().item())
    assert ours.values()["accuracy_of_5"] == pytest.approx(five.compute().item())


def test_mean_iou_is_pooled_over_images_as_a_jaccard_index() -> None:
    torch.manual_seed(0)
    ours = MeanIoU(6)
    theirs = torchmetrics.classification.MulticlassJaccardIndex(6, average="macro", ignore_index=255)
    for _ in range(4):
        scores, told = torch.randn(3, 6, 9, 8), torch.randint(6, (3, 9, 8))
        told[:, 0] = 255
        ours.add(scores, told)
        theirs.update(scores, told)
    assert ours.values()["miou"] == pytest.approx(theirs.compute().item(), rel=1e-6)


def test_mean_iou_by_hand_with_zero_for_none_and_classes_that_do_not_occur() -> None:
    told = torch.tensor([[[0, 1], [2, 2]]])
    found = torch.nn.functional.one_hot(torch.tensor([[[0, 0], [1, 0]]]), 4).permute(0, 3, 1, 2).float()
    meter = MeanIoU(4, reduce_zero=True)
    meter.add(found, told)
    assert meter.values() == {"miou": pytest.approx((1 / 2 + 1 / 2) / 2), "pixel_accuracy": pytest.approx(2 / 3)}


def test_depth_errors_are_those_of_torchmetrics_and_alignment_takes_scale_and_shift_away() -> None:
    torch.manual_seed(0)
    told = torch.rand(3, 20, 30) * 9 + 0.5
    found = told + 0.3 * torch.randn(3, 20, 30)
    meter = Depth()
    meter.add(found, told)
    each = [
        torchmetrics.functional.mean_squared_error(one.clamp(1e-3, 10), other, squared=False).item()
        for one, other in zip(found, told, strict=True)
    ]
    relative = [
        torchmetrics.functional.mean_absolute_percentage_error(one.clamp(1e-3, 10), other).item()
        for one, other in zip(found, told, strict=True)
    ]
    assert meter.values()["rmse"] == pytest.approx(np.mean(each), rel=1e-5)
    assert meter.values()["abs_rel"] == pytest.approx(np.mean(relative), rel=1e-5)
    bent = Depth()
    bent.add(told * 0.4 + 0.7, told)
    values = bent.values()
    assert values["rmse"] > 1 and values["rmse_aligned"] < 1e-6 and values["delta1_aligned"] == 1
    one, other = found[0].flatten().numpy(), told[0].flatten().numpy()
    scale, shift = np.polyfit(one, other, 1)
    least = Depth()
    least.add(found[:1], told[:1])
    expected = np.sqrt(np.mean((np.clip(scale * one + shift, 1e-3, 10) - other) ** 2))
    assert least.values()["rmse_aligned"] == pytest.approx(expected, rel=1e-5)


def test_depth_counts_what_is_in_range_and_in_the_crop() -> None:
    told, found = torch.full((1, 480, 640), 2.0), torch.full((1, 480, 640), 2.0)
    found[0, :45], told[0, 471:] = 9.0, 0.0
    whole, cropped = Depth(), Depth(eigen_crop=True)
    whole.add(found, told)
    cropped.add(found, told)
    assert whole.values()["rmse"] == pytest.approx(7 * (45 / 471) ** 0.5)
    assert cropped.values()["rmse"] == 0
    nothing = Depth()
    nothing.add(found, torch.zeros_like(told))
    assert nothing.values() == {}


def test_word_error_rate_is_torchmetrics() -> None:
    told = ["the cat sat on the mat", "", "one two three", "a b c d"]
    found = ["the cat sat at the", "extra", "one two three", "b c d e f"]
    theirs = torchmetrics.text.WordErrorRate()(found, told).item()
    assert word_error_rate(found, told) == pytest.approx(theirs)
    assert word_error_rate([], []) == 0
    with pytest.raises(BadArgument, match="1 texts against 0"):
        word_error_rate(["a"], [])


def test_exact_match_takes_the_last_answer_of_a_pattern() -> None:
    found, told = ["so 3 + 4 is #### 7", "I say 12.", "Paris."], ["7", "12", "paris"]
    assert exact_match(found, told) == 0
    assert exact_match(found, told, pattern=r"-?\d+") == pytest.approx(2 / 3)
    assert exact_match(found[2:], told[2:], loose=True) == 1


def test_frechet_distance_of_given_features() -> None:
    torch.manual_seed(0)
    told = torch.randn(400, 16, dtype=torch.float64) @ torch.randn(16, 16, dtype=torch.float64)
    found = told[:300] * 1.2 + 0.3
    means = (told.mean(0) - found.mean(0)).square().sum().item()
    one, other = np.cov(told.numpy().T), np.cov(found.numpy().T)
    sizes, turned = np.linalg.eigh(one)
    root = turned * np.sqrt(sizes) @ turned.T
    both = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    expected = means + np.trace(one) + np.trace(other) - 2 * both
    assert frechet_distance(found, told) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(told, told) == pytest.approx(0, abs=1e-6)
    with pytest.raises(BadArgument, match="two or more"):
        frechet_distance(told[:1], told)
