"""When to fall back: what is learned from rows, how thresholds keep their promise, and what files hold."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ragkit.errors import SettingsError, TaskError
from ragkit.examples import Shot
from ragkit.records import Example
from ragkit.routing import Router, RouteRow, read_rows, route_report, signals
from ragkit.routing.plot import plot
from ragkit.routing.report import deferred_at
from ragkit.routing.rows import Outcomes, write_rows
from ragkit.routing.thresholds import choose, for_rate, lower_bound


def some_rows(count, seed):
    """Rows whose primary is the less right the smaller the margin; where ``strange``, both mostly fail."""
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        margin, strange = chance.exponential(4.0), float(chance.random() < 0.4)
        hard = chance.random() < (0.9 if strange else 0.0)
        sure = 1 - 0.9 * math.exp(-margin / 2)
        known = {"margin": margin, "noise": chance.normal()}
        if strange or chance.random() < 0.9:
            known["strange"] = strange
        rows.append(
            RouteRow(known, bool(chance.random() < sure and not hard), bool(chance.random() < 0.85 and not hard), 1, 4)
        )
    return rows


ROWS, OTHERS = some_rows(3000, 0), some_rows(3000, 1)


@pytest.fixture(scope="module")
def router():
    return Router.fit(ROWS, rate=0.3)


def test_router_beats_margin_and_chance_and_both_alone(router):
    report = route_report(router, OTHERS)
    routed = report.at("router", 0.3)
    assert routed > report.at("margin", 0.3) + 0.01 > report.at("random", 0.3)
    assert routed > max(report.primary.accuracy, report.fallback.accuracy) + 0.01
    assert report.at("best possible", 0.3) >= routed
    assert report.rate == pytest.approx(0.3, abs=0.05)
    assert report.lower < report.accuracy
    assert report.cost == pytest.approx(1 + 4 * report.rate)
    for curve in report.curves:
        assert curve.accuracy[0] == pytest.approx(report.primary.accuracy)
        assert curve.accuracy[-1] == pytest.approx(report.fallback.accuracy)
        assert curve.cost[-1] == pytest.approx(5)


def test_scores_are_calibrated_gains(router):
    scores, outcomes = router.scores([row.signals for row in OTHERS]), Outcomes.of(OTHERS)
    gains = outcomes.fallback & ~outcomes.primary
    for part in np.array_split(np.argsort(scores), 5):
        assert gains[part].mean() == pytest.approx(scores[part].mean(), abs=0.07)
    assert np.ptp([gains[part].mean() for part in np.array_split(np.argsort(scores), 5)]) > 0.3


def test_missing_and_unknown_signals_are_taken(router):
    known = router.scores([{"margin": 0.1}, {"margin": 9.0}, {}, {"margin": 0.1, "new": 3.0}])
    assert np.isfinite(known).all()
    assert known[0] > known[1]
    assert known[3] == known[0]
    assert router.scores([]).shape == (0,)


def test_target_is_kept_on_new_rows_by_the_least_deferral():
    router = Router.fit(ROWS, target=0.54)
    found = router.threshold
    assert found.reached
    assert found.lower >= 0.54
    assert 0 < found.rate < 1
    assert route_report(router, OTHERS).accuracy >= 0.54
    less = choose(np.array([0.0] * 5), Outcomes.of(ROWS[:5]), target=0.0)
    assert less.rate == 0


def test_target_out_of_reach_is_said_to_be():
    found = Router.fit(ROWS, target=0.99).threshold
    assert not found.reached
    assert found.lower < 0.99


def test_held_out_rows_choose_the_threshold():
    always = [replace(row, primary_right=True, fallback_right=False) for row in OTHERS]
    router = Router.fit(ROWS, target=0.9, held_out=always)
    assert router.threshold.rate == 0
    assert router.threshold.rows == len(OTHERS)


def test_without_target_or_rate_it_is_as_accurate_as_can_be():
    router = Router.fit(ROWS)
    report = route_report(router, OTHERS)
    assert 0.2 < router.threshold.rate < 0.9
    curve = next(one for one in report.curves if one.name == "router")
    assert report.accuracy == pytest.approx(max(curve.accuracy), abs=0.01)
    worse = Router.fit([replace(row, fallback_right=n % 100 == 0) for n, row in enumerate(ROWS)])
    assert worse.threshold.rate == 0


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_threshold_for_a_rate_defers_that_share(rate):
    scores = np.random.default_rng(0).normal(size=1000)
    assert (scores >= for_rate(scores, rate)).mean() == pytest.approx(rate)
    assert deferred_at(scores, rate).sum() == round(rate * 1000)


def test_equal_scores_stay_together():
    scores = np.array([1.0, 1.0, 1.0, 0.0])
    assert (scores >= for_rate(scores, 0.5)).sum() == 0
    assert (scores >= for_rate(scores, 0.75)).sum() == 3


def test_lower_bound_is_that_of_clopper_and_pearson():
    assert lower_bound(20, 20) == pytest.approx(0.05 ** (1 / 20))
    assert lower_bound(0, 20) == 0
    draws = np.random.default_rng(0).binomial(50, 0.8, size=2000)
    assert np.mean([lower_bound(int(draw), 50) <= 0.8 for draw in draws]) >= 0.945


def test_of_few_gains_it_learns_by_where_the_primary_is_wrong():
    chance = np.random.default_rng(0)
    margins = np.linspace(0, 10, 400)
    wrong = chance.random(400) < 0.5 * np.exp(-margins)
    gained = wrong & (chance.random(400) < 0.4)
    assert 3 <= gained.sum() < 15
    rows = [RouteRow({"margin": m}, not w, bool(g or not w)) for m, w, g in zip(margins, wrong, gained, strict=True)]
    router = Router.fit(rows, rate=0.2)
    scores = router.scores([row.signals for row in rows])
    assert (np.diff(scores) < 0).all()
    assert router.threshold.rate == pytest.approx(0.2, abs=0.01)
    assert scores.mean() == pytest.approx(gained.mean(), abs=0.01)


def test_what_can_not_be_learned_is_refused():
    with pytest.raises(TaskError, match="39 rows are too few"):
        Router.fit(ROWS[:39])
    with pytest.raises(TaskError, match="never right where the primary is wrong"):
        Router.fit([replace(row, fallback_right=False) for row in ROWS])
    with pytest.raises(SettingsError, match=r"target=0\.9, rate=0\.3"):
        Router.fit(ROWS, target=0.9, rate=0.3)


def test_router_is_read_back_the_same(router, tmp_path):
    router.save(tmp_path / "a" / "router.json")
    assert Router.open(tmp_path / "a" / "router.json") == router


def test_damaged_router_is_refused(router, tmp_path):
    file = tmp_path / "router.json"
    with pytest.raises(TaskError, match="can be read"):
        Router.open(file)
    router.save(file)
    plain = json.loads(file.read_text())
    for change in ({"format": "x"}, {"names": ["margin"]}, {"gain": 3}):
        file.write_text(json.dumps({**plain, **change}))
        with pytest.raises(TaskError):
            Router.open(file)
    file.write_text(json.dumps(plain)[:200])
    with pytest.raises(TaskError, match="can be read"):
        Router.open(file)


def test_rows_are_read_back_and_bad_ones_named(tmp_path):
    file = tmp_path / "rows.jsonl"
    write_rows(file, ROWS[:50])
    assert read_rows(file) == ROWS[:50]
    good = {"signals": {"margin": 1}, "primary_right": True, "fallback_right": False}
    for bad, said in (
        ({**good, "primary_right": 1}, "line 2: primary_right is 1"),
        ({"signals": {}, "primary_right": True}, "line 2 has no 'fallback_right'"),
        ({**good, "signals": {"margin": "high"}}, "margin is 'high'"),
        ({**good, "primary_cost": math.inf}, "primary_cost is inf"),
        ([], "line 2 is not a row"),
    ):
        file.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n")
        with pytest.raises(TaskError, match=said):
            read_rows(file)


def test_signals_say_what_is_known_and_leave_out_the_rest():
    assert signals() == {}
    shots = [Shot(Example("a", "x"), 0.9, ""), Shot(Example("b", "y"), 0.4, ""), Shot(Example("c", "x"), 0.3, "")]
    found = signals(
        probabilities={"x": 0.5, "y": 0.25, "z": 0.25},
        logprobs=[-0.1] * 10 + [-5.0],
        shots=shots,
        label="x",
        samples=["Paris", "paris ", "Rome", "Oslo"],
        groundedness=0.75,
        used_llm=True,
    )
    assert found["margin"] == pytest.approx(math.log(3))
    assert found["doubt"] == pytest.approx(1.5 * math.log(2))
    assert found["lowest_logprob"] == -5
    assert found["low_logprob"] == pytest.approx(-0.1)
    assert found["shot_agreement"] == pytest.approx(2 / 3)
    assert found["similarity"] == 0.9
    assert found["sample_agreement"] == 0.5
    assert (found["groundedness"], found["used_llm"], found["probability"]) == (0.75, 1.0, 0.5)


def test_plot_is_a_picture_or_a_page(router, tmp_path):
    report = route_report(router, OTHERS)
    plot(report, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    plot(report, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert f"{report.at('router', 0.3):.4f}" in page
    with pytest.raises(SettingsError, match="neither"):
        plot(report, tmp_path / "a.svg")
