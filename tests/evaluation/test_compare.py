"""Two runs, compared, and the pages of both."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ragkit import Assistant
from ragkit.answering import AnswerOptions
from ragkit.errors import SettingsError
from ragkit.evaluation import EvalReport, Question, compare, evaluate
from ragkit.evaluation.compare_page import comparison_page
from ragkit.evaluation.outcome import QuestionResult, SeenCitation, SeenHit
from ragkit.evaluation.page import report_page
from tests.evaluation.conftest import QUESTIONS

ABOUT = {"path": "x", "fingerprint": "f", "documents": 1, "chunks": 1, "embedding_model": "m"}


def report(scores, **settings):
    outcomes = tuple(
        QuestionResult(
            Question(f"{identity}?", identity, ("a",)), shown=1, text="t", scores={"f1": f1, "contained": 0.0}
        )
        for identity, f1 in scores.items()
    )
    return EvalReport("run", {"k": 1, **settings}, ABOUT, outcomes)


def test_gain_is_of_the_questions_in_both_runs():
    found = compare(
        report({"a": 0.0, "b": 1.0, "c": 0.5, "d": 0.2}), report({"b": 0.4, "a": 1.0, "c": 0.5, "e": 0.9}, k=2)
    )
    (f1,) = [one for one in found.gains if one.info.name == "f1"]
    assert f1.gain.mean == pytest.approx((1.0 - 0.6) / 3)
    assert (f1.better, f1.worse, f1.equal) == (1, 1, 1)
    assert f1.gain.low < 0 < f1.gain.high
    assert not f1.significant
    assert [change.before.question.id for change in found.changes] == ["b", "c", "a"]
    assert [change.difference for change in found.changes] == pytest.approx([-0.6, 0.0, 1.0])
    assert (found.only_before, found.only_after) == (("d",), ("e",))
    assert found.settings == {"k": (1, 2)}


def test_gain_on_every_question_is_shown():
    before = {str(number): number / 100 for number in range(30)}
    found = compare(report(before), report({identity: f1 + 0.1 for identity, f1 in before.items()}))
    (f1,) = [one for one in found.gains if one.info.name == "f1"]
    assert f1.significant
    assert f1.gain.mean == pytest.approx(0.1)
    row = json.loads(json.dumps(found.to_dict()))["gains"]
    assert {one["metric"]: one["significant"] for one in row} == {"f1": True, "contained": False}


def test_different_questions_under_one_id_are_refused():
    other = report({"a": 0.0})
    changed = replace(other, outcomes=(replace(other.outcomes[0], question=Question("other?", "a")),))
    with pytest.raises(SettingsError, match="different questions under the id 'a'"):
        compare(other, changed)
    with pytest.raises(SettingsError, match="no question in common"):
        compare(other, report({"b": 0.0}))


def test_two_thresholds_are_compared(samples):
    runs = [
        evaluate(Assistant(samples, None, options=AnswerOptions(threshold=threshold)), QUESTIONS)
        for threshold in (0.4, 1.0)
    ]
    found = compare(*runs)
    assert found.settings == {"threshold": (0.4, 1.0)}
    answered = next(one for one in found.gains if one.info.name == "answered")
    assert (answered.gain.mean, answered.worse, answered.significant) == (-1.0, 3, True)
    page = comparison_page(found)
    assert "Worse: 3" in page
    assert "found, but abstained" in page


class Page(HTMLParser):
    """Collects what a page would load or run, its text, and whether its tags close."""

    VOID = frozenset({"meta", "br", "line", "circle", "rect"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


HOSTILE = "</title></style><script>alert(1)</script><img src='http://x/y' onerror=\"a()\">&amp;"


def hostile_report():
    hit = SeenHit("d", f"/docs/{HOSTILE}", HOSTILE, 0, 9, 1, 0.5, HOSTILE, True)
    cited = SeenCitation(1, "d", HOSTILE, HOSTILE, 0, 9, None, HOSTILE, False)
    outcome = QuestionResult(
        Question(HOSTILE, HOSTILE, (HOSTILE,)),
        (HOSTILE,),
        (hit,),
        1,
        HOSTILE,
        "chat",
        citations=(cited,),
        unsupported=((2, 30),),
        model=HOSTILE,
        why_model=HOSTILE,
        seconds={HOSTILE: 1.0},
        scores={"f1": 0.0, "contained": 0.0, "mrr": 1.0, "recall@1": 1.0},
    )
    return EvalReport(HOSTILE, {HOSTILE: HOSTILE}, ABOUT | {"embedding_model": HOSTILE}, (outcome,))


@pytest.mark.parametrize("kind", ["report", "comparison"])
def test_page_loads_nothing_runs_nothing_and_shows_hostile_text_as_text(kind):
    first = hostile_report()
    second = replace(first, outcomes=(replace(first.outcomes[0], scores={"f1": 1.0, "contained": 1.0}),))
    text = report_page(first) if kind == "report" else comparison_page(compare(first, second))
    page = Page(text)
    assert page.open == []
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(page.tags)
    links = [value for _, name, value in page.attributes if name in ("href", "src", "xlink:href", "action")]
    assert all(link.startswith("#") for link in links)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "default-src 'none'" in text
    # What a reader sees is the text as it was.
    shown = re.sub(r"\s+", " ", "".join(page.words))
    assert shown.count("<script>alert(1)</script>") >= 8
    names = [value for tag, name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    assert {link[1:] for link in links} <= set(names)


def test_notebooks_show_both_as_tables():
    first = hostile_report()
    for shown in (first._repr_html_(), compare(first, first)._repr_html_()):
        page = Page(shown)
        assert page.open == []
        assert "script" not in page.tags
        assert "Token F1" in page.words


def test_report_page_has_every_question_with_failures_first(samples):
    found = evaluate(Assistant(samples, None, options=AnswerOptions(threshold=0.0)), QUESTIONS)
    page = report_page(found)
    places = [
        page.index(f"<summary><span class='score'>{o.score:.2f}</span>{o.question.question}") for o in found.ordered
    ]
    assert places == sorted(places)
    assert found.ordered[0].question.id == "football"
    assert page.count("<svg") == 7
    assert "Recall@10" in page
    # An interval is where the numbers say.
    f1 = found.metrics["f1"]
    assert f"{f1.low:.2f} – {f1.high:.2f}" in page
