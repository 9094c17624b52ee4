"""Classes by examples: only labels come out, the model reads where neighbours disagree, and a folder holds it all."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ragkit.errors import ModelNotFoundError, QueryError, SettingsError, TaskError
from ragkit.examples import ExamplePool, FixedSelector
from ragkit.models import open_model
from ragkit.models.scripted import ScriptedModel
from ragkit.records import Example
from ragkit.tasks import Classifier, ClassifierOptions, Extractor, FitBudget, ShotSetting
from ragkit.tasks.calibration import Anchor, anchored, batch, contextual
from ragkit.tasks.probe import LinearProbe
from ragkit.tasks.votes import Weights, together
from tests.examples.conftest import EXAMPLES

LABELS = ("card_arrival", "change_pin", "exchange_rate", "lost_card")
NEW = {
    "somebody took my card, I have lost it": "lost_card",
    "the post has still not brought my card": "card_arrival",
    "what do I get for 100 dollars, which exchange rate": "exchange_rate",
    "give me another PIN": "change_pin",
}
ALL = ClassifierOptions(labels=LABELS, llm_mode="all")


@pytest.fixture(scope="module")
def task(smollm2, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "task"
    settings = [ShotSetting(k=2), ShotSetting(k=4)]
    budget = FitBudget(max_calls=16, held_out=8)
    with Classifier.fit(folder, EXAMPLES, model=smollm2, options=ALL, settings=settings, budget=budget) as made:
        yield made


@pytest.fixture(scope="module")
def pool(task):
    return task.pool


@pytest.mark.slow
def test_new_inputs_get_their_labels(task):
    predictions = task.predict(list(NEW))
    assert [p.label for p in predictions] == list(NEW.values())
    for prediction in predictions:
        assert prediction.used_llm
        assert set(prediction.probabilities) == set(LABELS)
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert (
            prediction.probability
            == max(prediction.probabilities.values())
            == prediction.probabilities[prediction.label]
        )
        assert len(prediction.shots) == task.options.setting.k


def test_predictions_come_in_the_order_of_the_inputs_and_equal_inputs_are_read_once(task):
    texts = [*NEW, *reversed(NEW), *NEW]
    told = []
    predictions = task.predict(texts, progress=told.append)
    assert [p.label for p in predictions] == [NEW[text] for text in texts]
    assert [p.done for p in told] == [1, 2, 3, 4]


def test_prediction_does_not_depend_on_what_was_read_before(task):
    together_ = task.predict(list(NEW))
    alone = [task.predict([text])[0] for text in reversed(NEW)][::-1]
    assert [p.label for p in alone] == [p.label for p in together_]
    np.testing.assert_allclose([p.probability for p in alone], [p.probability for p in together_], atol=0.02)


def test_fit_reports_what_it_tried(task):
    report = task.report
    assert report.added.added == len(EXAMPLES)
    assert report.voters == len(EXAMPLES)
    assert report.calls == 16
    assert {trial.setting.setting.k for trial in report.race.trials} == {2, 4}
    assert report.race.best == task.options
    assert 0.5 < report.vote_accuracy <= 1
    assert 0.5 < report.prior_accuracy <= 1


@pytest.mark.parametrize(("calls", "ways"), [(12, 2), (300, 3)])
def test_few_calls_try_few_ways_of_reading(tmp_path, calls, ways):
    with Classifier.fit(
        tmp_path, EXAMPLES, model=ScriptedModel("lost_card"), budget=FitBudget(max_calls=calls)
    ) as made:
        assert len(made.report.race.trials) == ways


def test_model_that_tells_nothing_is_not_asked(tmp_path):
    given = {"options": ClassifierOptions(labels=LABELS), "settings": [ShotSetting(k=2)]}
    with Classifier.fit(
        tmp_path, EXAMPLES, model=ScriptedModel("no label"), budget=FitBudget(max_calls=len(EXAMPLES)), **given
    ) as made:
        assert made.report.calls == len(EXAMPLES)
        assert made.options.weights.model == 0
        assert made.options.llm_mode == "none"
        assert [p.label for p in made.predict(list(NEW))] == list(NEW.values())


def test_opened_again_it_says_the_same(task, smollm2, tmp_path):
    asked = list(NEW)
    before = [p.probabilities for p in task.predict(asked)]
    task.save(tmp_path / "copy")
    for path in (task.path, tmp_path / "copy"):
        with Classifier.open(path, smollm2) as opened:
            assert opened.options == task.options
            after = [p.probabilities for p in opened.predict(asked)]
        for first, second in zip(before, after, strict=True):
            assert second == pytest.approx(first, abs=0.02)


def test_fit_that_was_killed_does_not_ask_again(task, smollm2, tmp_path):
    lines = (task.path / "fit.jsonl").read_text().splitlines(keepends=True)
    log = tmp_path / "fit.jsonl"
    log.write_text("".join(lines[:13]) + lines[13][:20])
    settings = [ShotSetting(k=2), ShotSetting(k=4)]
    given = {"options": ALL, "settings": settings, "budget": FitBudget(max_calls=16, held_out=8)}
    with Classifier.fit(tmp_path, EXAMPLES, model=smollm2, **given) as again:
        assert again.options == task.options
    rows = log.read_text().splitlines(keepends=True)
    assert rows[:13] == lines[:13]
    assert [json.loads(row)["question"] for row in rows[14:]] == [json.loads(line)["question"] for line in lines[13:]]


def test_model_reads_only_where_neighbours_disagree(pool, smollm2):
    texts = ["where can I report that my card is lost", "a new card"]
    sure, unsure = (Classifier(pool.index.path, pool, ALL).look(text).prior.max() for text in texts)
    options = ClassifierOptions(labels=LABELS, llm_mode="uncertain", confidence=(sure + unsure) / 2)
    clear, unclear = Classifier(pool.index.path, pool, options, smollm2).predict(texts)
    assert sure > unsure + 0.2
    assert (clear.used_llm, unclear.used_llm) == (False, True)
    assert clear.label == "lost_card"
    assert clear.shots[-1].score == max(shot.score for shot in clear.shots)


def test_vote_alone_needs_no_model(pool):
    options = ClassifierOptions(labels=LABELS, llm_mode="none", model="no-such-model")
    classifier = Classifier(pool.index.path.parent, pool, options)
    assert [p.label for p in classifier.predict(list(NEW))] == list(NEW.values())
    reading = Classifier(pool.index.path.parent, pool, replace(options, llm_mode="all"))
    with pytest.raises(ModelNotFoundError, match="no-such-model"):
        reading.predict(["x"])


def test_guard_hides_the_input_itself_in_evaluation_only(tmp_path):
    wrong = Example("please close my account", "lost_card")
    with ExamplePool.create(tmp_path / "pool") as pool:
        pool.add([*EXAMPLES, wrong])
        classifier = Classifier(tmp_path, pool, ClassifierOptions(labels=LABELS, llm_mode="none"))
        (known,) = classifier.predict([wrong.input])
        assert known.shots[-1].example.input == wrong.input
        assert (known.label, known.probability > 0.9) == ("lost_card", True)
        (hidden,) = classifier.predict([wrong.input], exclude_self=True)
        assert wrong.input not in {shot.example.input for shot in hidden.shots}
        assert hidden.probability < known.probability


def test_evaluation_counts_and_shows_what_is_wrong(task):
    examples = [Example(text, label) for text, label in NEW.items()]
    twisted = [*examples[:3], replace(examples[3], output="lost_card")]
    evaluation = task.evaluate(twisted)
    assert (evaluation.accuracy, evaluation.count, evaluation.llm_share) == (0.75, 4, 1.0)
    ((example, prediction),) = evaluation.wrong
    assert (example.output, prediction.label) == ("lost_card", "change_pin")


def test_explanation_shows_the_prompt_with_the_names_of_labels(task):
    explanation = task.explain("give me another PIN")
    assert explanation.messages[-1].content == "give me another PIN"
    shown = [message.content for message in explanation.messages if message.role == "assistant"]
    assert shown == [shot.example.output.replace("_", " ") for shot in explanation.shots]
    assert "change pin" in shown
    assert max(explanation.scores, key=explanation.scores.get) == "change_pin"


def test_examples_may_be_the_same_for_all_inputs(pool, smollm2):
    options = replace(ALL, candidates=0, weights=Weights(model=1.0, prior=0.0))
    classifier = Classifier(pool.index.path.parent, pool, options, smollm2, FixedSelector(EXAMPLES[::5]))
    predictions = classifier.predict(list(NEW))
    assert all([s.example for s in p.shots] == EXAMPLES[::5] for p in predictions)
    assert len({p.probability for p in predictions}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("calibration", ["contextual", "batch", "knn"])
def test_calibrated_classifier_is_fitted_saved_and_opened(smollm2, tmp_path, calibration):
    options = replace(ALL, calibration=calibration, candidates=0)
    with Classifier.fit(
        tmp_path,
        EXAMPLES,
        model=smollm2,
        options=options,
        settings=[ShotSetting(k=4)],
        budget=FitBudget(max_calls=6),
    ) as made:
        predictions = made.predict(list(NEW)[::3])
        assert [p.label for p in predictions] == ["lost_card", "change_pin"]
        assert bool(made.options.bias) == (calibration == "batch")
        assert bool(made.options.anchors) == (calibration == "knn")
    with Classifier.open(tmp_path, smollm2) as opened:
        assert opened.options == made.options
        assert opened.predict(list(NEW)[:1])[0].probability == pytest.approx(predictions[0].probability, abs=0.02)


def test_contextual_calibration_takes_a_planted_leaning_away():
    honest, leaning = np.log([0.5, 0.3, 0.2]), np.array([0.0, 2.0, 1.0])
    free = np.array([leaning, leaning])
    np.testing.assert_allclose(np.exp(contextual(honest + leaning, free)), [0.5, 0.3, 0.2], atol=1e-9)
    known = np.array([0.0, 2.0, np.nan])
    assert np.argmax(batch(np.log([0.3, 0.5, 0.2]), known)) == 0


def test_knn_prompting_votes_as_the_anchors_that_were_answered_most_alike():
    labels = ["a", "b", "c"]
    # The model says "c" to everything that is an "a", and "b" to all else.
    said = {"a": [-3.0, -3.0, -0.1], "b": [-3.0, -0.1, -3.0], "c": [-3.0, -0.2, -2.5]}
    anchors = [Anchor(label, dict(zip(labels, said[label], strict=True))) for label in labels for _ in range(3)]
    assert labels[int(np.argmax(anchored(np.array([-2.8, -3.2, -0.1]), labels, anchors, nearest=3)))] == "a"
    assert labels[int(np.argmax(anchored(np.array([-3.0, -0.2, -2.5]), labels, anchors, nearest=3)))] == "c"


def test_model_moves_probability_only_among_the_labels_it_was_asked_about():
    prior = np.array([0.5, 0.3, 0.15, 0.05])
    found = together(prior, [0, 1], np.log([0.01, 0.99]), Weights(model=1.0))
    assert found[1] > found[0]
    np.testing.assert_allclose([found[:2].sum(), *found[2:]], [0.8, 0.15, 0.05])
    np.testing.assert_allclose(together(prior, (), None, Weights()), prior)


def test_only_labels_that_have_a_chance_are_asked_about(pool):
    def asked(prior, candidates):
        classifier = Classifier(pool.index.path, pool, replace(ALL, candidates=candidates))
        return classifier.look("a card", prior=np.array(prior)).asked

    assert asked([0.3, 0.4, 0.295, 0.005], 8) == (1, 0, 2)
    assert asked([0.3, 0.4, 0.2, 0.1], 3) == (1, 0, 2)
    assert asked([0.001, 0.997, 0.001, 0.001], 8) == (1, 0)
    assert asked([0.001, 0.997, 0.001, 0.001], 0) == (1, 0, 2, 3)


@pytest.mark.slow
def test_channel_asks_how_likely_the_input_is_among_examples_of_each_label(pool, smollm2):
    options = replace(ALL, direction="channel", candidates=2, setting=ShotSetting(k=3))
    classifier = Classifier(pool.index.path, pool, options, smollm2)
    predictions = classifier.predict(list(NEW))
    assert [p.label for p in predictions] == list(NEW.values())
    for prediction in predictions:
        shown = [shot.example.output for shot in prediction.shots]
        assert len(shown) == 6
        assert len(set(shown)) == 2
        assert prediction.label in shown
    explanation = classifier.explain("give me another PIN")
    assert [m.content for m in explanation.messages if m.role == "user"] == ["change pin"] * 4
    only = replace(options, weights=Weights(model=1.0, prior=0.0), candidates=0)
    alone = Classifier(pool.index.path, pool, only, smollm2).predict(list(NEW))
    assert sum(p.label == label for p, label in zip(alone, NEW.values(), strict=True)) >= 3


def test_channel_needs_a_model_that_scores_and_no_calibration(pool):
    options = replace(ALL, direction="channel")
    with pytest.raises(SettingsError, match="does not return log-probabilities"):
        Classifier(pool.index.path, pool, options, ScriptedModel("x")).predict(["a card"])
    with pytest.raises(SettingsError, match="Calibration is not supported"):
        Classifier(pool.index.path, pool, replace(options, calibration="batch"))


def test_probe_is_weighed_saved_and_opened_with_the_task(tmp_path, smollm2):
    texts = [f"{text}, {extra}" for text in ("my card", "a PIN", "the rate") for extra in "abcdefghijklmnopqrst"]
    rows = [Example(text, text.split(",")[0].replace(" ", "_")) for text in texts]
    options = ClassifierOptions(llm_mode="none")
    with Classifier.fit(tmp_path / "task", rows, options=options) as made:
        # Whether the fit gives it weight depends on the votes; here it must have some.
        weighed = replace(made.options, weights=Weights(neighbours=0.0, probe=1.0))
        vectors = made.pool.index.embedder.embed(texts, "document")
        probe = LinearProbe.fit(vectors, [made.options.labels.index(row.output) for row in rows], 3)
        classifier = Classifier(made.path, made.pool, weighed, probe=probe)
        expected = classifier.predict(["my card, please"])[0].probabilities
        classifier.save(tmp_path / "copy")
    with Classifier.open(tmp_path / "copy") as opened:
        assert opened.predict(["my card, please"])[0].probabilities == pytest.approx(expected)
    (tmp_path / "copy" / "probe.npz").unlink()
    with pytest.raises(TaskError, match=r"probe\.npz can't be read"):
        Classifier.open(tmp_path / "copy")


def test_model_without_scores_answers_with_labels_only(pool):
    replies = {"PIN": "Change PIN.", "card": "no label at all"}
    classifier = Classifier(pool.index.path.parent, pool, ALL, ScriptedModel(replies))
    changed, lost = classifier.predict(["give me another PIN", "my card is lost"])
    assert (changed.label, lost.label) == ("change_pin", "lost_card")
    assert changed.used_llm
    assert lost.used_llm


def test_input_that_does_not_fit_loses_examples_and_then_is_left_to_the_neighbours(pool):
    small = open_model("smollm2", window=128, threads=1)
    classifier = Classifier(pool.index.path.parent, pool, replace(ALL, setting=ShotSetting(k=8)), small)
    short, long = classifier.predict(["give me another PIN", "my card is lost " * 60])
    assert (short.label, short.used_llm) == ("change_pin", True)
    assert 0 < len(short.shots) < 8
    assert (long.label, long.used_llm) == ("lost_card", False)
    small.close()


def test_empty_input_is_refused_before_anything_is_asked(task):
    with pytest.raises(QueryError, match="Input 2 is empty"):
        task.predict(["a card", "  "])


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        ([], "no training examples"),
        ([Example("a", "x"), Example("b", "x")], "2 or more labels"),
        ([Example("a", " ")], "no output"),
    ],
)
def test_too_little_to_learn_from_is_an_error(tmp_path, examples, told):
    with pytest.raises(TaskError, match=told):
        Classifier.fit(tmp_path, examples)


def test_folder_that_holds_no_classifier_is_refused(task, tmp_path):
    with pytest.raises(TaskError, match="contains no task"):
        Classifier.open(tmp_path)
    with pytest.raises(TaskError, match="'classifier'"):
        Extractor.open(task.path)
    for text in ("{", '{"format": 1, "kind": "classifier", "confidence": "very"}', "[]"):
        (tmp_path / "task.json").write_text(text)
        with pytest.raises(TaskError, match="damaged"):
            Classifier.open(tmp_path)
    (tmp_path / "task.json").write_text('{"format": 99, "kind": "classifier"}')
    with pytest.raises(TaskError, match="format 99"):
        Classifier.open(tmp_path)


def test_options_that_cannot_be_are_refused():
    with pytest.raises(SettingsError, match="Two labels have the name 'lost card'"):
        ClassifierOptions(labels=("lost_card", "lost card"))
    assert ClassifierOptions(labels=("lost_card", "lost card"), names={"lost_card": "gone"}).name("lost_card") == "gone"
    with pytest.raises(SettingsError, match="uncertain, all, none"):
        ClassifierOptions(llm_mode="some")
    with pytest.raises(SettingsError, match="confidence=2"):
        ClassifierOptions(confidence=2)
    with pytest.raises(SettingsError, match="got max_calls=-1"):
        FitBudget(max_calls=-1)
