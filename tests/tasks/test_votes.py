"""The neighbours' vote."""

import pytest

from ragkit.errors import SettingsError
from ragkit.examples import Shot
from ragkit.records import Example
from ragkit.tasks.votes import VoteOptions, vote

NEAR = [Shot(Example("", label), score, "") for label, score in (("a", 0.9), ("b", 0.8), ("b", 0.7), ("old", 0.6))]


def test_sharper_votes_heed_the_nearest_more():
    even = vote(NEAR, ["a", "b", "c"], VoteOptions(sharpness=0))
    sharp = vote(NEAR, ["a", "b", "c"], VoteOptions(sharpness=40))
    assert even[1] > even[0] > even[2] > 0
    assert sharp[0] > sharp[1] > sharp[2]
    assert even.sum() == pytest.approx(1)
    assert even[1] / even[0] == pytest.approx(2, rel=0.02)


def test_only_so_many_vote_and_none_for_labels_that_there_are_not():
    assert vote(NEAR, ["a", "b"], VoteOptions(neighbours=1))[0] > 0.99
    assert list(vote(NEAR[3:], ["a", "b"], VoteOptions())) == [0.5, 0.5]


@pytest.mark.parametrize("wrong", [{"neighbours": 0}, {"sharpness": -1}, {"smoothing": 0}])
def test_vote_that_cannot_be_is_refused(wrong):
    with pytest.raises(SettingsError, match="must be"):
        VoteOptions(**wrong)
