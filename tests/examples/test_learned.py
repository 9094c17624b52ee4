"""What a learned selector has learned shows on queries it was not taught with, and survives the disk."""

import json
import math

import numpy as np
import pytest

from ragkit.errors import ExamplePoolError, QueryError, SettingsError
from ragkit.examples import DynamicSelector, ExamplePool, ExampleSelector, SelectorOptions, TokenBudget
from ragkit.examples.learned import LearnedSelector
from ragkit.indexing import Field
from ragkit.prompting import ShotTemplate
from ragkit.records import Example
from ragkit.tasks.gains import model_gain
from tests.examples.conftest import EXAMPLES

PLACES = ["in the app", "at a shop", "on holiday", "at the weekend", "from abroad", "with a friend"]
ROWS = [Example(f"{example.input} {place}", example.output) for example in EXAMPLES for place in PLACES]
OPTIONS = SelectorOptions(candidates=40)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    with ExamplePool.create(tmp_path_factory.mktemp("learned") / "pool") as opened:
        assert opened.add(ROWS).added == len(ROWS)
        yield opened


def good(example):
    """Return whether an example helps whoever it is shown to: nothing that its words or vector tell."""
    return sum(map(ord, example.input)) % 3 == 0


def planted(query, candidates):
    return [2.0 * good(c) + 1.0 * (c.output == query.output) for c in candidates]


@pytest.fixture(scope="module")
def learned(wide):
    return LearnedSelector.fit(wide, planted, queries=100, candidates=12, options=OPTIONS)


def test_planted_gain_is_learned_on_held_out_queries(learned):
    report = learned.report
    assert report.queries > 80
    assert report.gains == 12 * report.queries
    assert report.correlation_before < 0.5
    assert report.correlation_after > report.correlation_before + 0.25
    assert report.gain_before + 0.3 < report.gain_after <= report.gain_best <= 3


def test_selection_prefers_what_helped_and_says_why(learned, wide):
    assert isinstance(learned, ExampleSelector)
    shots = learned.select("the PIN of my card has to be changed today", 6)
    base = DynamicSelector(wide, OPTIONS).select("the PIN of my card has to be changed today", 6)
    assert sum(good(s.example) for s in shots) > sum(good(s.example) for s in base)
    assert [shot.score for shot in shots] == sorted(shot.score for shot in shots)
    assert all(shot.reason.startswith(f"expected gain {shot.score:+.2f}: ") for shot in shots)
    assert any("helped with other inputs" in shot.reason for shot in shots)
    assert all("cosine 0." in shot.reason for shot in shots)
    assert all(shot.example in ROWS for shot in shots)


def test_gains_by_chance_teach_nothing(wide):
    # A leak of a query's own gains into what it is ranked by would show here.
    random = np.random.default_rng(5)
    report = LearnedSelector.fit(
        wide, lambda query, candidates: random.normal(size=len(candidates)), queries=100, candidates=12, options=OPTIONS
    ).report
    assert abs(report.correlation_after) < 0.1


def test_own_example_is_neither_candidate_nor_shot(wide, learned):
    def gain(query, candidates):
        assert query.input not in [candidate.input for candidate in candidates]
        assert len({c.input for c in candidates}) == len(candidates) == 6
        return planted(query, candidates)

    options = SelectorOptions(candidates=30, exclude_self=False)
    LearnedSelector.fit(wide, gain, queries=20, candidates=6, options=options)
    for row in ROWS[::29]:
        assert row.input not in [shot.example.input for shot in learned.select(row.input, 30)]


def test_set_choice_order_room_and_k_hold_after_ranking(wide, learned):
    varied = LearnedSelector(
        wide,
        learned.ranker,
        learned.report,
        SelectorOptions(candidates=120, choice="balanced", order="best_first"),
    )
    assert len({shot.example.output for shot in varied.select("a question on my card", 4)}) == 4
    best = LearnedSelector(wide, learned.ranker, learned.report, SelectorOptions(candidates=40, order="best_first"))
    assert best.select("lost my card", 5) == learned.select("lost my card", 5)[::-1]
    assert len(best.select("lost my card", 60)) == 60
    budget = TokenBudget(40, lambda example: len(example.input.split()))
    fitting = best.select("lost my card", 30, budget)
    assert 0 < sum(len(shot.example.input.split()) for shot in fitting) <= 40
    assert fitting[0] == best.select("lost my card", 1)[0]
    with pytest.raises(QueryError):
        best.select("  ", 3)


def test_saved_selector_chooses_the_same(wide, learned, tmp_path):
    learned.save(tmp_path / "selector.json")
    opened = LearnedSelector.open(tmp_path / "selector.json", wide)
    assert opened.options == learned.options
    assert opened.report == learned.report
    for text in ("lost card", "new PIN please", "how dear is the dollar", "我的卡丢了"):
        assert opened.select(text, 8) == learned.select(text, 8)
    assert [file.name for file in tmp_path.iterdir()] == ["selector.json"]
    where = Field("output") == "lost_card"
    LearnedSelector(wide, learned.ranker, learned.report, OPTIONS, where).save(tmp_path / "filtered.json")
    filtered = LearnedSelector.open(tmp_path / "filtered.json")
    assert {shot.example.output for shot in filtered.select("change my PIN", 9)} == {"lost_card"}
    filtered.pool.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda saved: saved.update(format="ragkit learned selector 9"), "format"),
        (lambda saved: saved.update(signals=["cosine"]), "signals"),
        (lambda saved: saved["weights"].pop(), "signals"),
        (lambda saved: saved["weights"].__setitem__(0, math.nan), "weights"),
        (lambda saved: saved["axes"].append([1.0]), "signals|dimensions"),
        (lambda saved: saved.pop("centre"), "centre"),
        (lambda saved: saved.update(more=1), "more"),
        (lambda saved: saved.update(where={"magic": 1}), "magic|filter"),
        (lambda saved: saved["options"].update(by="magic"), "magic|options"),
        (lambda saved: saved.update(embedder="other@1"), "other@1"),
        (lambda saved: saved.update(helped=dict.fromkeys("abcd", 1.0)), "4 of 4"),
    ],
)
def test_file_that_can_not_be_used_is_refused(wide, learned, tmp_path, change, says):
    learned.save(tmp_path / "s.json")
    saved = json.loads((tmp_path / "s.json").read_text())
    change(saved)
    (tmp_path / "s.json").write_text(json.dumps(saved))
    with pytest.raises(ExamplePoolError, match=says):
        LearnedSelector.open(tmp_path / "s.json", wide)


def test_missing_and_torn_files_are_refused(wide, learned, tmp_path):
    with pytest.raises(ExamplePoolError, match="no file"):
        LearnedSelector.open(tmp_path / "none.json", wide)
    learned.save(tmp_path / "s.json")
    data = (tmp_path / "s.json").read_bytes()
    (tmp_path / "s.json").write_bytes(data[: len(data) // 2])
    with pytest.raises(ExamplePoolError, match="Fit it again"):
        LearnedSelector.open(tmp_path / "s.json", wide)


def test_broken_off_fit_goes_on_from_its_log(wide, learned, tmp_path):
    asked = []

    def failing(query, candidates):
        if len(asked) == 30:
            raise KeyboardInterrupt
        asked.append(query.input)
        return planted(query, candidates)

    settings = {"queries": 100, "candidates": 12, "options": OPTIONS, "log": tmp_path / "gains.jsonl"}
    with pytest.raises(KeyboardInterrupt):
        LearnedSelector.fit(wide, failing, **settings)
    with (tmp_path / "gains.jsonl").open("a") as file:
        file.write('{"query": "torn')
    again = []

    def counting(query, candidates):
        again.append(query.input)
        return planted(query, candidates)

    resumed = LearnedSelector.fit(wide, counting, **settings)
    assert len(again) == 70
    assert not set(again) & set(asked)
    assert resumed.report == learned.report
    assert resumed.select("lost card", 5) == learned.select("lost card", 5)
    with pytest.raises(ExamplePoolError, match="another candidates"):
        LearnedSelector.fit(wide, counting, queries=5, candidates=8, options=OPTIONS, log=tmp_path / "gains.jsonl")
    (tmp_path / "gains.jsonl").write_text("no json\n")
    with pytest.raises(ExamplePoolError, match="line 1"):
        LearnedSelector.fit(wide, counting, **settings)


def test_gain_that_is_not_known_is_left_out(wide):
    def gain(query, candidates):
        return [math.nan, *planted(query, candidates)[1:]]

    report = LearnedSelector.fit(wide, gain, queries=30, candidates=8, options=OPTIONS).report
    assert report.gains == 7 * report.queries


@pytest.mark.parametrize("wrong", [[1.0], [math.inf] * 8])
def test_gain_that_can_not_be_is_refused(wide, wrong):
    with pytest.raises(SettingsError, match="gain gave"):
        LearnedSelector.fit(wide, lambda query, candidates: wrong, candidates=8, options=OPTIONS)


@pytest.mark.parametrize("wrong", [{"queries": 0}, {"candidates": 1}, {"candidates": 41}])
def test_numbers_that_can_not_be_are_refused(wide, wrong):
    with pytest.raises(SettingsError):
        LearnedSelector.fit(wide, planted, options=OPTIONS, **wrong)


def test_too_little_to_learn_from_is_an_error(wide, tmp_path):
    with pytest.raises(ExamplePoolError, match="0 of 9 queries"):
        LearnedSelector.fit(wide, lambda query, candidates: [1.0] * len(candidates), queries=9, options=OPTIONS)
    with ExamplePool.create(tmp_path / "p") as small:
        with pytest.raises(ExamplePoolError, match="empty"):
            LearnedSelector.fit(small, planted)
        small.add(ROWS[:1])
        for by in ("dense", "keyword"):
            with pytest.raises(ExamplePoolError, match="0 of 0 queries"):
                LearnedSelector.fit(small, planted, options=SelectorOptions(by=by))


def test_model_is_asked_and_finds_examples_of_the_same_kind_helpful(pool, smollm2):
    template = ShotTemplate("Name the intent of the bank customer's message.", style="lines")
    gain = model_gain(smollm2, template)
    query = EXAMPLES[0]
    same, other = gain(query, [EXAMPLES[4], EXAMPLES[12]])
    assert same > other + 1
    assert math.isnan(gain(query, [Example("word " * 9000, "long")])[0])
    selector = LearnedSelector.fit(pool, gain, queries=6, candidates=3, options=SelectorOptions(candidates=19))
    assert selector.report.gains == 18
    assert selector.report.gain_best > 0
    assert selector.select("somebody has my card", 3)
