"""The search for a step: what it accepts, where it begins, and when it ends."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from lamofc_codecs.stats.rate_control import (
    MAX_ERROR_RATIO,
    DampedSteps,
    SearchTarget,
    SecantSteps,
    StepPolicy,
    coarsest_within,
    doublings,
    error_budget,
    error_share,
    nearest_rate,
    round_step,
)
from lamofc_codecs.stats.water_filling import WaterFilling


@dataclass(frozen=True)
class Outcome:
    """An error that grows with the square of the step, and bits that fall with it."""

    step: float

    @property
    def error(self) -> float:
        return 3 * self.step**2

    @property
    def bits(self) -> float:
        return 1000 - 300 * math.log2(self.step)


def secants(budget: float, start: float, predict: Callable[[float], float]) -> SecantSteps:
    target = SearchTarget(0.99 * budget, 0.5, lambda error: 0.96 * budget <= error <= MAX_ERROR_RATIO * budget)
    return SecantSteps(target, predict, start)


@pytest.mark.parametrize("budget", [1e-12, 1.0, 700.0])
@pytest.mark.parametrize("wrong_by", [0.01, 1.0, 30.0])
def test_both_policies_meet_a_budget_that_was_predicted_wrongly(budget: float, wrong_by: float) -> None:
    policies: list[StepPolicy] = [
        secants(budget, 1.0, lambda step: wrong_by * 3 * step**2),
        DampedSteps(math.sqrt(budget / 3 / wrong_by), budget, 0.02),
    ]
    for steps in policies:
        best, met = coarsest_within(budget, steps, Outcome, 8)
        assert met
        assert 0.95 * budget <= best.error <= 1.03 * budget


def test_a_budget_may_be_exceeded_by_three_percent_and_no_more() -> None:
    class Fixed:
        def __init__(self, *steps: float) -> None:
            self.steps = list(steps)

        def next_step(self) -> float:
            return self.steps.pop(0)

        def settled(self, step: float, value: float) -> bool:
            return not self.steps

    fine, within, beyond = (math.sqrt(share / 3) for share in (0.5, 1.029, 1.031))
    for order in ((fine, within, beyond), (beyond, within, fine), (within, beyond, fine)):
        assert coarsest_within(1.0, Fixed(*order), Outcome, 8) == (Outcome(within), True)
    assert coarsest_within(1.0, Fixed(beyond, 2.0), Outcome, 8) == (Outcome(2.0), False)
    assert coarsest_within(1.0, Fixed(fine, within, beyond), Outcome, 1) == (Outcome(fine), True)


def test_a_rate_is_met_as_nearly_as_the_steps_allow() -> None:
    target = SearchTarget(1234.0, -1.0, lambda bits: abs(bits - 1234) < 12)
    steps = SecantSteps(target, lambda step: 2000 - 300 * math.log2(step), 1.0)
    assert nearest_rate(1234.0, steps, Outcome, 8).bits == pytest.approx(1234, abs=12)


def test_a_jump_over_the_budget_ends_the_search() -> None:
    @dataclass(frozen=True)
    class Jump(Outcome):
        @property
        def error(self) -> float:
            return 0.1 if self.step < 1.5 else 9.0

    tried: list[float] = []

    def attempt(step: float) -> Jump:
        tried.append(step)
        return Jump(step)

    best, met = coarsest_within(1.0, secants(1.0, 1.0, lambda step: step**2), attempt, 50)
    assert met and best.error == 0.1
    assert len(tried) < 15
    assert best.step == pytest.approx(1.5, rel=0.02)


def test_steps_have_twelve_bits() -> None:
    for step in (1 / 3, 1e-30, 7e20, 1.0):
        rounded = round_step(step)
        assert rounded == pytest.approx(step, rel=2**-12)
        assert (math.frexp(rounded)[0] * 4096).is_integer()
        assert round_step(step * (1 + 1e-9)) == rounded


def test_decibels_become_a_finite_budget() -> None:
    assert error_share(20.0) == pytest.approx(0.01)
    assert error_budget(50.0, 10.0) == pytest.approx(5.0)
    assert error_budget(0.0, 10.0) == 0.0
    assert 0 < error_budget(50.0, 1e300) < 1e-290
    assert math.isfinite(error_share(-1e300))
    assert doublings(8.0) == 3.0
    assert math.isfinite(doublings(0.0))
    assert doublings(0.0, -16.0) == -16.0


def test_bands_without_tokens_do_not_count_in_the_prediction_of_a_step() -> None:
    variance = np.array([[4e12, 1e12], [1e12, 1e11]])
    with_empty = WaterFilling(variance, np.array([0.0, 5.0]))
    alone = WaterFilling(variance[1:], np.array([5.0]))
    assert with_empty.step_for_error(1e10) == pytest.approx(alone.step_for_error(1e10))
