"""Linear classifiers at many learning rates at once."""

import pytest
import torch

from lamofc_tools.heads import LinearHead, Task
from lamofc_tools.heads.architectures.lr_sweep import RATES, LearningRateSweep

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS, TARGETS = torch.randn(60, 8, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
SWEEP = LearningRateSweep(epochs=7, batch=16, seed=3)


def test_each_rate_goes_its_own_way() -> None:
    together, biases = SWEEP.run(ROWS, TARGETS, 3, RATES)
    assert together.shape == (13, 8, 3) and biases.shape == (13, 3)
    alone, bias = SWEEP.run(ROWS, TARGETS, 3, RATES[7:8])
    torch.testing.assert_close(alone[0], together[7])
    torch.testing.assert_close(bias[0], biases[7])


def test_its_steps_are_those_of_sgd_with_momentum_under_a_cosine() -> None:
    linear = torch.nn.Linear(8, 3)
    torch.nn.init.zeros_(linear.weight)
    torch.nn.init.zeros_(linear.bias)
    optimiser = torch.optim.SGD(linear.parameters(), 0.1 * 16 / 256, momentum=0.9)
    batches = SWEEP.batches(60)
    assert len(batches) == 7 * 4 and sorted(torch.cat(batches[:4]).tolist()) == list(range(60))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(batches))
    for batch in batches:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(linear(ROWS[batch]), TARGETS[batch]).backward()
        optimiser.step()
        schedule.step()
    found, biases = SWEEP.run(ROWS, TARGETS, 3, [0.1])
    torch.testing.assert_close(found[0], linear.weight.detach().T, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(biases[0], linear.bias.detach(), rtol=1e-4, atol=1e-5)


def test_the_rate_is_that_which_does_best_on_what_was_held_out() -> None:
    draw = torch.Generator().manual_seed(1)
    middles, kinds = 3 * torch.randn(4, 10, generator=draw), torch.arange(200) % 4
    rows = middles[kinds] + torch.randn(200, 10, generator=draw)
    head = LinearHead([10], Task("classes", 4)).requires_grad_(False)
    assert head.fit_best_rate(rows, kinds, LearningRateSweep(rates=(1e-7, 0.1), epochs=20, batch=32)) == 0.1
    assert head.accuracy(rows, kinds) > 0.95
