"""Thresholds fitted on questions whose answers are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragkit import Assistant
from ragkit.answering import AnswerOptions
from ragkit.errors import SettingsError
from ragkit.evaluation import Question, evaluate
from ragkit.evaluation.calibrate import Scored, Thresholds, calibrate, fit
from ragkit.records import Message
from tests.evaluation.calibration_questions import QUESTIONS


def scored(answerable, relevance, evidence):
    none = np.zeros(len(answerable), dtype=bool)
    return Scored(np.array(answerable), np.array(relevance), np.array(evidence), none, none, none, none)


@pytest.fixture(scope="module")
def found(samples):
    return calibrate(Assistant(samples, model=None), QUESTIONS)


def test_fitted_thresholds_catch_more_within_the_limits(found):
    before, after = found.at_present, found.at_fitted
    assert after.answerable.refused <= 0.05 * after.answerable.total
    assert after.answerable.unsure <= 0.3 * after.answerable.total
    assert after.answerable.total == before.answerable.total == found.held_out.answerable.total == 12
    assert after.unanswerable.total == 12
    assert after.unanswerable.answered <= before.unanswerable.answered
    assert found.within_limits == (
        found.held_out.answerable.refused <= 0.05 * 12 and found.held_out.answerable.unsure <= 0.3 * 12
    )


def test_counts_are_those_of_the_assistant_with_the_same_thresholds(found, samples):
    for thresholds, split in ((found.present, found.at_present), (found.fitted, found.at_fitted)):
        options = AnswerOptions(threshold=thresholds.threshold, unsure_below=thresholds.unsure_below)
        report = evaluate(Assistant(samples, model=None, options=options), QUESTIONS)
        for group, unanswerable in ((split.answerable, False), (split.unanswerable, True)):
            own = [one for one in report.outcomes if one.question.unanswerable == unanswerable]
            assert group.refused == sum(one.abstained for one in own)
            assert group.unsure == sum(one.unsure for one in own)


def test_question_in_another_language_and_one_with_history_are_counted_as_they_are_answered(samples):
    asked = [
        *QUESTIONS,
        Question("Wann f\u00e4hrt der letzte Bus zur\u00fcck nach Ostrava ab?", "de", ("23:10",)),
        Question("And on Sundays?", "on", ("22:00",), history=(Message("user", "When does the centre close?"),)),
    ]
    options = AnswerOptions(threshold=0.9, unsure_below=0.5)
    split = calibrate(Assistant(samples, model=None, options=options), asked).at_present
    report = evaluate(Assistant(samples, model=None, options=options), asked)
    own = [one for one in report.outcomes if not one.question.unanswerable]
    assert split.answerable.refused == sum(one.abstained for one in own)
    assert split.answerable.unsure == sum(one.unsure for one in own)


def test_separable_scores_are_separated():
    answerable = [True] * 20 + [False] * 20
    scores = [0.7 + 0.01 * n for n in range(20)] + [0.1 + 0.01 * n for n in range(20)]
    thresholds, held_out = fit(scored(answerable, scores, scores), 0.05, 0.3)
    assert held_out.unanswerable.answered == 0
    assert held_out.answerable.refused <= 1
    assert max(thresholds.threshold, thresholds.unsure_below) > 0.29


def test_zero_limits_leave_all_answerable_questions_answered():
    random = np.random.default_rng(1)
    answerable = [True] * 30 + [False] * 30
    scores = random.random(60)
    data = scored(answerable, scores, scores)
    thresholds, _ = fit(data, 0.0, 0.0)
    refused, unsure = data.outcomes(thresholds)
    assert not (refused | unsure)[:30].any()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.05, 0.2]), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=15)
def test_limits_hold_on_the_questions_that_were_fitted(seed, max_refused, max_unsure):
    random = np.random.default_rng(seed)
    data = scored([True] * 15 + [False] * 12, random.random(27), random.random(27))
    thresholds, held_out = fit(data, max_refused, max_unsure)
    refused, unsure = data.outcomes(thresholds)
    assert refused[:15].sum() <= max_refused * 15
    assert unsure[:15].sum() <= max_unsure * 15
    assert thresholds == Thresholds(round(thresholds.threshold, 4), round(thresholds.unsure_below, 4))
    assert held_out.answerable.total == 15


def test_too_few_questions_say_which_are_missing(samples):
    assistant = Assistant(samples, model=None)
    with pytest.raises(SettingsError, match="at least 10 unanswerable questions, got 3") as caught:
        calibrate(assistant, QUESTIONS[:15])
    assert "unanswerable" in caught.value.hint
    with pytest.raises(SettingsError, match=r"at least 10 answerable questions, got 2.* 10 have neither"):
        unknown = [Question(f"Is this question {n} known?", f"u{n}") for n in range(10)]
        calibrate(assistant, [*QUESTIONS[:2], *QUESTIONS[12:], *unknown])
    with pytest.raises(SettingsError, match="max_refused must be between 0 and 1, got 2"):
        calibrate(assistant, QUESTIONS, max_refused=2)
