"""Learning curves: intervals of shares, power laws found again, and crossings of planted curves."""

import numpy as np
import pytest

from ragkit._stats import wilson_interval
from ragkit.evaluation.advice.curves import crossing, gaining, power_law

SIZES = (250, 500, 1000)


def planted(factor, rate, count, sizes=SIZES, floor=0.0, seed=0):
    """Return a learning curve of exactly these errors, as near as ``count`` inputs allow; chance draws the wrong."""
    random = np.random.default_rng(seed)
    hard = random.permutation(count)
    return np.array([hard >= round(count * (floor + factor * size**-rate)) for size in sizes])


def test_wilson_interval_is_that_of_the_books():
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(20, 20) == pytest.approx((0.8389, 1.0), abs=1e-4)


def test_power_law_is_found_again():
    law = power_law(SIZES, planted(2.0, 0.3, 100_000))
    assert (law.rate, law.factor, law.floor) == (pytest.approx(0.3, abs=0.003), pytest.approx(2.0, rel=0.02), 0)
    assert law.error(4000) == pytest.approx(2.0 * 4000**-0.3, rel=0.02)
    four = (125, *SIZES)
    with_floor = power_law(four, planted(4.0, 0.5, 100_000, four, floor=0.1))
    assert with_floor.floor == pytest.approx(0.1, abs=0.02)
    assert with_floor.error(4000) == pytest.approx(0.1 + 4.0 * 4000**-0.5, abs=0.01)
    assert power_law(SIZES[:2], planted(2.0, 0.3, 1000, SIZES[:2])) is None


def test_crossing_of_planted_curves():
    # 1.0 n^-0.3 and 4.0 n^-0.49 meet where n^0.19 = 4: at 1,476.
    one, other = planted(1.0, 0.3, 20_000), planted(4.0, 0.49, 20_000, seed=1)
    found = crossing(SIZES, one, other)
    assert found.examples == pytest.approx(4 ** (1 / 0.19), rel=0.05)
    assert 1000 < found.low <= found.examples <= found.high < 4 * found.low
    assert crossing(SIZES, one, other) == found
    back = crossing(SIZES, other, one)
    assert back.examples is None
    assert "ahead on the fitted curves" in back.why


def test_crossing_that_held_out_inputs_are_too_few_for_is_not_told():
    found = crossing(SIZES, planted(1.0, 0.3, 200), planted(4.0, 0.49, 200, seed=1))
    assert found.examples is None
    assert found.why.startswith("the interval is too wide: now to ")


def test_curves_that_tell_nothing_give_no_number():
    falling = planted(1.0, 0.3, 20_000)
    flat = np.repeat(falling[:1], 3, axis=0)
    assert "flat" in crossing(SIZES, falling, flat).why
    assert "flat" in crossing(SIZES, flat, falling).why
    assert "flat" in gaining(SIZES, flat).why
    assert "flat" in gaining(SIZES, falling[::-1]).why
    all_right = np.ones((3, 200), dtype=bool)
    assert "flat" in crossing(SIZES, all_right, falling[:, :200]).why
    assert gaining(SIZES, falling[:, :99]).why == "99 held-out inputs are too few; an estimate needs 100"
    assert "99 held-out" in crossing(SIZES, falling[:, :99], falling[:, :99]).why
    assert "needs three sizes" in crossing(SIZES[:2], falling[:2], falling[:2]).why
    assert "needs three sizes" in gaining(SIZES[:2], falling[:2]).why
    slow = crossing(SIZES, planted(0.5, 0.3, 20_000), planted(4.0, 0.35, 20_000, seed=1))
    assert slow.examples is None
    assert slow.why == "more than 10 times the 1,000 available examples"


def test_labels_for_a_point_more():
    # The error falls from 1000^-0.3 = 0.1259 to 0.1159 at n = 0.1159^(-1 / 0.3).
    found = gaining(SIZES, planted(1.0, 0.3, 20_000))
    assert found.examples == pytest.approx((1000**-0.3 - 0.01) ** (-1 / 0.3), rel=0.02)
    assert 1000 < found.low <= found.examples <= found.high
    far = gaining(SIZES, planted(1.0, 0.3, 20_000), gain=0.1)
    assert far.examples is None
    assert "more than 10 times" in far.why
