"""Fusion against numbers worked out by hand."""

import numpy as np
import pytest

from ragkit.retrieval.fusion import convex_combination, min_max_normalize, reciprocal_rank_fusion

HALVES = {"dense": 0.5, "keyword": 0.5}


def scored(keys, scores):
    return np.array(keys, dtype=np.int64), np.array(scores, dtype=np.float32)


EMPTY = scored([], [])


def test_rrf_adds_weighted_reciprocal_ranks():
    lists = {"dense": scored([7, 3, 9], [0.9, 0.5, 0.1]), "keyword": scored([3, 4], [12.0, 2.0])}
    fused = reciprocal_rank_fusion(lists, {"dense": 0.25, "keyword": 0.75})
    assert fused == pytest.approx({7: 0.25 / 61, 3: 0.25 / 62 + 0.75 / 61, 9: 0.25 / 63, 4: 0.75 / 62}, rel=1e-12)


def test_rrf_constant_is_the_callers():
    fused = reciprocal_rank_fusion({"dense": scored([1, 2], [1, 0])}, {"dense": 1.0}, constant=1)
    assert fused == {1: 1 / 2, 2: 1 / 3}


def test_rrf_looks_at_ranks_only():
    near, far = scored([1, 2], [0.5, 0.4999]), scored([1, 2], [50.0, -3.0])
    assert reciprocal_rank_fusion({"dense": near}, {"dense": 1.0}) == reciprocal_rank_fusion(
        {"dense": far}, {"dense": 1.0}
    )


def test_rrf_one_list_empty():
    lists = {"dense": scored([4, 2], [0.9, 0.5]), "keyword": EMPTY}
    assert reciprocal_rank_fusion(lists, HALVES) == {4: 0.5 / 61, 2: 0.5 / 62}
    assert reciprocal_rank_fusion({"dense": EMPTY, "keyword": EMPTY}, HALVES) == {}


def test_convex_full_lists_count_what_they_lack_as_their_last():
    lists = {"dense": scored([1, 2, 3], [0.8, 0.4, 0.2]), "keyword": scored([2, 4, 5], [10.0, 5.0, 2.0])}
    fused = convex_combination(lists, HALVES, depth=3)
    # Relative: dense 1, 1/2, 1/4, the rest 1/4; keyword 1, 1/2, 1/5, the rest 1/5.
    expected = {1: 0.5 + 0.1, 2: 0.25 + 0.5, 3: 0.125 + 0.1, 4: 0.125 + 0.25, 5: 0.125 + 0.1}
    assert fused == pytest.approx(expected, rel=1e-6)


def test_convex_list_shorter_than_the_depth_counts_what_it_lacks_as_0():
    lists = {"dense": scored([1, 2, 3], [0.8, 0.4, 0.2]), "keyword": scored([2, 4], [10.0, 5.0])}
    fused = convex_combination(lists, {"dense": 0.75, "keyword": 0.25}, depth=3)
    expected = {1: 0.75, 2: 0.375 + 0.25, 3: 0.1875, 4: 0.1875 + 0.125}
    assert fused == pytest.approx(expected, rel=1e-6)


def test_convex_one_list_empty():
    lists = {"dense": scored([4, 2], [0.5, 0.25]), "keyword": EMPTY}
    assert convex_combination(lists, HALVES, depth=2) == {4: 0.5, 2: 0.25}
    assert convex_combination({"dense": EMPTY, "keyword": EMPTY}, HALVES, depth=2) == {}


@pytest.mark.parametrize("depth", [3, 10])
def test_convex_negative_cosines_keep_their_order_and_are_not_beaten_by_absence(depth):
    lists = {"dense": scored([1, 2, 3], [-0.1, -0.2, -0.4]), "keyword": scored([9], [3.0])}
    fused = convex_combination(lists, HALVES, depth)
    # Relative to 0.4: -1/4, -1/2, -1; a chunk that dense lacks is at most -1.
    assert fused == pytest.approx({1: -0.125, 2: -0.25, 3: -0.5, 9: 0.5 - 0.5}, rel=1e-6)


def test_convex_scores_of_both_signs_are_relative_to_the_largest_in_size():
    lists = {"dense": scored([1, 2], [0.2, -0.4]), "keyword": EMPTY}
    assert convex_combination(lists, {"dense": 1.0, "keyword": 0.0}, depth=9) == pytest.approx({1: 0.5, 2: -1.0})


def test_convex_scores_all_0_stay_0():
    lists = {"dense": scored([1, 2], [0.0, 0.0]), "keyword": scored([2], [4.0])}
    assert convex_combination(lists, HALVES, depth=2) == {1: 0.0, 2: 0.5}


def test_convex_does_not_depend_on_a_lists_unit():
    dense, keyword = scored([1, 2, 3], [0.8, 0.4, 0.2]), scored([3, 2], [8.0, 2.0])
    fused = convex_combination({"dense": dense, "keyword": keyword}, HALVES, depth=3)
    scaled = {"dense": dense, "keyword": (keyword[0], keyword[1] * 64)}
    assert convex_combination(scaled, HALVES, depth=3) == fused


def test_stretched_runs_from_0_to_1():
    assert min_max_normalize([3.0, -1.0, 1.0]).tolist() == [1.0, 0.0, 0.5]
    assert min_max_normalize([5.0, 5.0]).tolist() == [1.0, 1.0]
    assert min_max_normalize([-2.0]).tolist() == [1.0]
    assert min_max_normalize([]).tolist() == []
