"""Two classifiers in a row: who answers, why, and on the command line."""

import json

import pytest

from ragkit.errors import TaskError
from ragkit.records import Example
from ragkit.routing import FallbackClassifier, Router, RouteRow, prediction_signals, read_rows, route_rows
from ragkit.routing.fallback_classifier import blended
from ragkit.routing.rows import write_rows
from ragkit.tasks import Classifier, ClassifierOptions, Prediction
from ragkit.tuning.heads.classifier import HeadClassifier
from ragkit.tuning.heads.fit import HeadOptions
from tests.cli.conftest import here  # noqa: F401
from tests.cli.test_examples import FIELDS, write_csv
from tests.examples.conftest import EXAMPLES

ASKED = [
    Example(f"{before}{example.input}{after}", example.output)
    for example in EXAMPLES
    for before, after in (("please: ", ""), ("hello, ", " thanks"), ("", " as soon as possible"))
]
TEXTS = [example.input for example in ASKED]


def known(shares):
    order = dict(sorted(shares.items(), key=lambda item: -item[1]))
    label = next(iter(order))
    return Prediction(label, order[label], order, False, ())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A task whose examples of one label are mostly called something else, and a head that has all of them right."""
    folder = tmp_path_factory.mktemp("route")
    wrong = [
        Example(e.input, "card_arrival") if e.output == "lost_card" and n % 5 < 4 else e for n, e in enumerate(EXAMPLES)
    ]
    options = ClassifierOptions(llm_mode="none")
    Classifier.fit(folder / "task", wrong, options=options).close()
    HeadClassifier.fit(folder / "head", EXAMPLES, options=HeadOptions(tune=False, val_fraction=0.2))
    write_csv(folder / "asked.csv", [(example.input, example.output) for example in ASKED])
    return folder


@pytest.fixture(scope="module")
def pair(folders):
    with Classifier.open(folders / "task") as primary:
        yield primary, HeadClassifier.open(folders / "head")


def test_fallback_answers_where_that_gains_and_says_why(pair):
    primary, fallback = pair
    first, second = primary.predict(TEXTS), fallback.predict(TEXTS)
    rows, blend = route_rows(first, second, ASKED, blend=0.0)
    assert blend == 0
    both = FallbackClassifier(primary, fallback, Router.fit(rows, rate=0.4))
    found = both.predict(TEXTS)
    deferred = both.router.defers([prediction_signals(one) for one in first])
    assert 0.2 < deferred.mean() <= 0.45
    for routed, one, other, asked in zip(found, first, second, deferred, strict=True):
        assert routed.answered == ("fallback" if asked else "primary")
        assert routed.label == (other if asked else one).label
        assert routed.prediction.probability == pytest.approx((other if asked else one).probability, rel=1e-3)
        assert (routed.score >= both.router.threshold.score) == asked
        assert f"threshold {both.router.threshold.score:.3f}" in routed.why
    right = sum(routed.label == example.output for routed, example in zip(found, ASKED, strict=True))
    assert right > sum(one.label == example.output for one, example in zip(first, ASKED, strict=True)) + 3
    assert both.predict([]) == []


def test_fallback_is_not_asked_where_nothing_is_deferred(pair):
    class Unasked:
        def predict(self, inputs):
            assert not inputs
            return []

    rows = [RouteRow({"margin": float(n)}, n % 3 > 0, n % 2 > 0) for n in range(60)]
    routed = FallbackClassifier(pair[0], Unasked(), Router.fit(rows, rate=0.0)).predict(TEXTS[:3])
    assert [one.answered for one in routed] == ["primary"] * 3


def test_blend_weighs_both_and_is_found_where_it_helps():
    unsure, sure = known({"a": 0.5, "b": 0.3, "c": 0.2}), known({"b": 0.6, "a": 0.38, "c": 0.02})
    assert blended(unsure, sure, 0.0).label == "b"
    assert blended(unsure, sure, 1.0).label == "a"
    half = blended(unsure, sure, 0.5)
    assert sum(half.probabilities.values()) == pytest.approx(1)
    assert half.probabilities["a"] / half.probabilities["b"] == pytest.approx((0.5 * 0.38 / (0.3 * 0.6)) ** 0.5)
    with pytest.raises(TaskError, match="different labels: d"):
        blended(unsure, known({"a": 0.5, "b": 0.2, "c": 0.2, "d": 0.1}), 0.5)
    first = [known({"a": 0.9, "b": 0.1}), known({"a": 0.6, "b": 0.4})]
    second = [known({"b": 0.6, "a": 0.4}), known({"b": 0.9, "a": 0.1})]
    rows, blend = route_rows(first, second, [Example("x", "a"), Example("y", "b")])
    assert 0 < blend < 1
    assert [row.fallback_right for row in rows] == [True, True]
    _, none = route_rows(first, second, [Example("x", "b"), Example("y", "b")])
    assert none == 0


def test_blended_answers_say_that_both_were_asked(pair):
    primary, fallback = pair
    rows, _ = route_rows(primary.predict(TEXTS), fallback.predict(TEXTS), ASKED, blend=0.5)
    found = FallbackClassifier(primary, fallback, Router.fit(rows, rate=0.4, blend=0.5)).predict(TEXTS[:20])
    assert {one.answered for one in found} <= {"primary", "both"}
    for routed, one, other in zip(found, primary.predict(TEXTS[:20]), fallback.predict(TEXTS[:20]), strict=True):
        wanted = blended(one, other, 0.5) if routed.answered == "both" else one
        assert routed.label == wanted.label
        assert routed.prediction.probability == pytest.approx(wanted.probability, rel=1e-3)


def test_commands_fit_and_report(here, folders):  # noqa: F811
    fitted = here(
        *("route", "fit", "router.json", "--task", "task", "--head", "head", "asked.csv", *FIELDS),
        *("--rate", 0.3, "--blend", 0, "--save-rows", "rows.jsonl", "--json"),
        cwd=folders,
    )
    told = json.loads(fitted.stdout)
    assert told["rows"] == len(ASKED)
    assert told["threshold"]["rate"] == pytest.approx(0.3, abs=0.1)
    assert len(read_rows(folders / "rows.jsonl")) == len(ASKED)
    again = here("route", "fit", "again.json", "--rows", "rows.jsonl", "--rate", 0.3, cwd=folders)
    assert "60 rows" in again.stdout
    assert json.loads((folders / "again.json").read_text()) == json.loads((folders / "router.json").read_text())
    words = ("route", "report", "router.json", "--rows", "rows.jsonl")
    shown = here(*words, "--plot", "report.png", cwd=folders).stdout
    assert "always primary" in shown
    assert (folders / "report.png").stat().st_size > 1000
    report = json.loads(here(*words, "--json", cwd=folders).stdout)
    assert {curve["name"] for curve in report["curves"]} == {"router", "margin", "random", "best possible"}
    assert report["accuracy"] > report["primary"]["accuracy"]


def test_commands_say_what_is_missing(here, folders):  # noqa: F811
    nothing = here("route", "fit", "r.json", "--task", "task", cwd=folders, check=2)
    assert "--rows FILE" in nothing.stderr
    rows = [RouteRow({"margin": float(n)}, n % 3 > 0, n % 2 > 0) for n in range(60)]
    write_rows(folders / "few.jsonl", rows)
    unkept = here("route", "fit", "r.json", "--rows", "few.jsonl", "--target", 1, cwd=folders, check=3)
    assert "can't be guaranteed" in unkept.stdout
