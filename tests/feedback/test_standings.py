"""How configurations fare: counted by hand, the interval by its textbook values."""

import pytest

from ragkit._stats import wilson_interval
from ragkit.feedback import FeedbackLog
from ragkit.feedback.records import Configuration
from ragkit.feedback.standings import standings
from tests.feedback.events import LARGE, SMALL, compared, corrected, thumb


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, score method without continuity correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_agrees_with_published_intervals(successes, trials, low, high):
    assert wilson_interval(successes, trials) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_standings_count_votes_thumbs_and_corrections(tmp_path):
    with FeedbackLog.open(tmp_path / "feedback.sqlite") as log:
        for number, winner in enumerate(["b", "b", "b", "a", "tie", "neither"]):
            log.add(compared("When?", "small", "large", winner, str(number)))
        log.add(compared("When?", "one", "two", "a", "self", SMALL, SMALL))
        log.add(thumb("When?", "small", "up", message="m1"))
        log.add(thumb("When?", "small", "down", person="bob", message="m1"))
        log.add(thumb("Who?", "large", None, config=LARGE, message="m2"))
        log.add(corrected("Who?", "Bob.", "Ann.", message="m1"))
        first, second = standings(log.events())
    assert (first.config, first.wins, first.losses, first.ties, first.rate) == (LARGE, 3, 1, 2, 4 / 6)
    assert (second.config, second.wins, second.losses, second.ties, second.rate) == (SMALL, 1, 3, 2, 2 / 6)
    assert (first.low, first.high) == wilson_interval(4, 6)
    assert (second.up, second.down, second.corrected) == (1, 1, 1)
    assert (first.answers, second.answers) == (6, 7)


def test_a_configuration_that_was_never_compared_has_no_rate_and_comes_last():
    events = [thumb("When?", "x", config=Configuration("a", "chat")), compared("When?", "s", "l", "a")]
    *_, last = standings(events)
    assert (last.config.model, last.rate, last.low, last.high, last.up) == ("a", None, None, None, 1)
