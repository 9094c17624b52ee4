"""Reward models: they learn what is preferred, are kept only where they are better, and are read back."""

import json
import random

import numpy as np
import pytest

from ragkit._stats import wilson_interval
from ragkit.embedding import open_embedder
from ragkit.errors import ExamplePoolError, IndexLockedError, ModelFileError, SettingsError, TaskError
from ragkit.indexing.writing import writer_lock
from ragkit.models.adapters import AdapterStore
from ragkit.records import Message
from ragkit.tuning.lora.training import LoraOptions
from ragkit.tuning.rewards.features import NAMES, Features, taken_apart
from ragkit.tuning.rewards.light import LIGHT, LightReward
from ragkit.tuning.rewards.measure import accuracy, by_prompt
from ragkit.tuning.rewards.rankings import Ranking
from ragkit.tuning.rewards.tuning import RewardOptions, open_reward, tune_reward
from tests.tuning.tiny import COLOURS, write_tiny_model

TOWNS = ("Arden", "Brill", "Corva", "Delph", "Eston", "Farrow", "Galt", "Harsk", "Ilmen", "Jarrow", "Kelso", "Lorne")
TRADES = {"salt": "mines", "wool": "farms", "glass": "kilns", "paper": "mills", "tin": "pits"}


def prompts(first, count):
    """Questions on made-up passages, each with its answer and one that the passage does not bear out."""
    chance = random.Random(first)
    for number in range(first, first + count):
        town, other = chance.sample(TOWNS, 2)
        ware, year = chance.choice(list(TRADES)), 1500 + 3 * number
        passage = (
            f"The town of {town} {number} lies by a lake. Its {TRADES[ware]} have sold {ware} since {year}. "
            f"People of {other} come to its market."
        )
        yield f"{passage}\nQuestion: Since when has {town} {number} sold {ware}?", f"since {year}", f"since {year + 7}"


def rankings(first, count, swapped=False):
    found = [Ranking(*row) for row in prompts(first, count)]
    return [Ranking(one.prompt, one.rejected, one.chosen) for one in found] if swapped else found


@pytest.fixture(scope="module")
def embedder():
    return open_embedder()


@pytest.fixture(scope="module")
def model(embedder):
    return LightReward.fit(rankings(0, 40), embedder)


def column(features, name, prompt, answer):
    return features.of(prompt, [answer])[0, NAMES.index(name)]


def test_it_prefers_what_the_passage_bears_out(model):
    held = rankings(1000, 30)
    found = accuracy(model, held)
    assert found.share > 0.9
    assert found.low < found.share <= found.high
    assert model.fitted.loss < np.log(2)
    assert accuracy(model, rankings(1000, 30, swapped=True)).share == pytest.approx(1 - found.share)


def test_it_learns_the_other_way_round_too(embedder):
    turned = LightReward.fit(rankings(0, 40, swapped=True), embedder)
    assert accuracy(turned, rankings(1000, 30)).share < 0.1


def test_what_carries_no_preference_is_not_learned(embedder):
    chance = random.Random(0)
    noise = [one if chance.random() < 0.5 else Ranking(one.prompt, one.rejected, one.chosen) for one in rankings(0, 60)]
    assert LightReward.fit(noise, embedder).fitted.loss > 0.6


def test_score_of_messages_is_that_of_the_question_in_them(model):
    prompt, good, bad = next(prompts(2000, 1))
    alone = model.score(prompt, [good, bad])
    shots = (Message("user", "Question: Who?"), Message("assistant", "Ada"), Message("user", prompt))
    np.testing.assert_allclose(model.score(shots, [good, bad]), alone)
    assert alone.shape == (2,)
    assert model.score(prompt, []).shape == (0,)
    assert np.isfinite(model.score(prompt, ["", "word " * 3000, "日本語"])).all()


def test_it_is_read_back_the_same_and_refused_when_damaged(model, embedder, tmp_path):
    model.save(tmp_path)
    prompt, good, bad = next(prompts(2000, 1))
    again = LightReward.open(tmp_path, embedder)
    np.testing.assert_array_equal(again.score(prompt, [good, bad]), model.score(prompt, [good, bad]))
    assert again.fitted == model.fitted
    file = tmp_path / LIGHT
    content = file.read_bytes()
    for wrong in (content[:200], content.replace(b'"words"', b'"wards"'), content.replace(b"MiniLM", b"Other")):
        file.write_bytes(wrong)
        with pytest.raises(TaskError, match=r"can't be read|other signals"):
            LightReward.open(tmp_path, embedder)


@pytest.mark.parametrize(
    ("prompt", "question", "passage"),
    [
        ("Who?", "Who?", ""),
        ("Text here.\nQuestion: Who did\nShort answer:", "Who did", "Text here."),
        ("First part. Who came? Answer briefly.", "Who came?", "First part."),
        ("A passage.\n\nName the river", "Name the river", "A passage."),
        ("", "", ""),
    ],
)
def test_prompt_is_taken_apart(prompt, question, passage):
    found = taken_apart(prompt)
    assert found.question == question
    assert found.passage.startswith(passage)


def test_signals_are_what_their_names_say(embedder):
    features = Features(embedder)
    prompt = "The mill was built in 1911 by Clara Voss.\nQuestion: Who built the mill?"
    assert column(features, "verbatim", prompt, "Clara Voss") == 1
    assert column(features, "verbatim", prompt, "Voss Clara") == 0
    assert column(features, "longest_run", prompt, "by Clara Voss indeed") == pytest.approx(0.75)
    assert column(features, "numbers_not_found", prompt, "in 1912") == pytest.approx(np.log(2))
    assert column(features, "numbers_found", prompt, "in 1911") == pytest.approx(np.log(2))
    assert column(features, "name_where_asked", prompt, "Clara Voss") == 1
    assert column(features, "echo", prompt, "Someone built the mill") == 1
    assert column(features, "empty", prompt, "") == 1
    assert features.of(prompt, ["a", "b"]).shape == (2, features.count)


def test_too_few_prompts_are_refused(embedder):
    with pytest.raises(ExamplePoolError, match="4 distinct prompts"):
        LightReward.fit(rankings(0, 4) * 5, embedder)


def test_wilson_interval_is_that_of_the_book():
    low, high = wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)
    assert wilson_interval(0, 10)[0] == pytest.approx(0.0)


class _Length:
    name = "length"

    def score(self, prompt, answers):
        return np.array([float(len(answer)) for answer in answers])


def test_equal_scores_count_half_and_prompts_count_alike():
    found = [Ranking("a", "long", "no"), Ranking("a", "x", "yy"), Ranking("a", "xx", "yy"), Ranking("b", "aa", "b")]
    assert accuracy(_Length(), found).right == 2.5
    assert by_prompt(_Length(), found) == [0.5, 1.0]


def test_version_is_promoted_where_it_is_better_and_only_there(embedder, tmp_path):
    held = rankings(1000, 22)
    worse = tune_reward("taste", rankings(0, 20, swapped=True), held, folder=tmp_path, embedder=embedder)
    assert not worse.version.promoted
    assert "random guessing" in worse.why
    good = tune_reward("taste", rankings(0, 20), held, folder=tmp_path, embedder=embedder)
    assert good.version.promoted
    assert good.gain.low > 0
    same = tune_reward("taste", rankings(0, 20), held, folder=tmp_path, embedder=embedder)
    assert not same.version.promoted
    assert "version 2 stays in use" in same.why
    assert [one.promoted for one in AdapterStore(tmp_path).versions("taste")] == [False, True, False]
    assert sorted(file.name for file in good.version.folder.iterdir()) == ["card.json", "card.md", LIGHT]
    opened = open_reward("taste", tmp_path, embedder)
    assert accuracy(opened, held).share == good.held_out.share
    assert accuracy(open_reward("taste@1", tmp_path, embedder), held).share < 0.5


def test_card_holds_data_and_scores(embedder, tmp_path):
    train, held = rankings(0, 30), rankings(1000, 25)
    report = tune_reward("taste", [*train, *held[:5]], held, folder=tmp_path, embedder=embedder)
    card = report.version.card
    assert report.leaked == card["data"]["leaked"] >= 5
    assert card["data"]["trained_on"] == 35 - card["data"]["leaked"]
    assert len(card["data"]["sha256"]) == 64
    assert card["scores"]["held_out"]["pairs"] == 25
    assert card["scores"]["held_out"]["low"] < card["scores"]["held_out"]["share"]
    told = (report.version.folder / "card.md").read_text()
    assert card["data"]["sha256"] in told
    assert "Wilson" in told


def test_few_held_out_prompts_promote_nothing(embedder, tmp_path):
    report = tune_reward("taste", rankings(0, 30), rankings(1000, 6), folder=tmp_path, embedder=embedder)
    assert not report.version.promoted
    assert "needs at least" in report.why


def test_adapter_of_another_kind_and_a_second_writer_are_refused(embedder, tmp_path):
    place = tmp_path / "other" / "1"
    place.mkdir(parents=True)
    (place / "card.json").write_text(json.dumps({"kind": "lora", "base": {"name": "x"}}))
    with pytest.raises(ModelFileError, match="not a reward model"):
        open_reward("other@1", tmp_path)
    (tmp_path / "taste").mkdir()
    with writer_lock(tmp_path / "taste"), pytest.raises(IndexLockedError):
        tune_reward("taste", rankings(0, 10), rankings(1000, 5), folder=tmp_path, embedder=embedder)
    with pytest.raises(SettingsError, match="light, lora"):
        RewardOptions(kind="heavy")


@pytest.mark.slow
def test_lora_reward_learns_and_is_read_back(tmp_path):
    base = str(write_tiny_model(tmp_path / "tiny"))
    colours = list(COLOURS.values())

    def pairs(*forms, key):
        return [
            Ranking(form.format(word), colour, other, {"key": key.format(word)})
            for form in forms
            for word, colour in COLOURS.items()
            for other in colours
            if other != colour
        ]

    forms = ("what colour is {} ?", "what is the colour of {} ?", "tell me the colour {} is ?")
    held = pairs("tell me what colour is {} ?", key="an exam about {}")
    report = tune_reward(
        "taste",
        pairs(*forms, key="lesson: {} and its hue"),
        held,
        RewardOptions(
            kind="lora", base=base, lora=LoraOptions(epochs=20, rank=4, alpha=8, batch_size=8, learning_rate=3e-3)
        ),
        folder=tmp_path / "adapters",
    )
    assert report.leaked == 0
    # Of six words one may be learned the wrong way round; by chance half of the pairs are in order.
    assert report.held_out.share > 0.75
    assert sorted(file.name for file in report.version.folder.iterdir()) == ["adapter", "card.json", "card.md"]
    assert all(file.suffix != ".bin" for file in (report.version.folder / "adapter").iterdir())
    opened = open_reward("taste@1", tmp_path / "adapters")
    assert accuracy(opened, held).share == pytest.approx(report.held_out.share)
