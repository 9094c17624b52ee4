"""``ragkit adapt``: division by document, stages, decisions, an interrupted run, undo, and bad input."""

import json
import shutil
from types import SimpleNamespace

import pytest

from ragkit import Index
from ragkit.adaptation import AdaptOptions, adapt_index, undo_adaptation
from ragkit.adaptation.changes import Changes, read_json
from ragkit.adaptation.embedder import adapt_embedder
from ragkit.adaptation.material import divide
from ragkit.adaptation.page import adaptation_page
from ragkit.adaptation.report import AdaptReport, compared
from ragkit.adaptation.teacher import mine
from ragkit.datagen import Ledger, QuestionOptions, generate_questions, read_data_rows
from ragkit.datagen.gates import standard_gates
from ragkit.embedding.model_files import locate
from ragkit.errors import DataError, ModelOutputError, SettingsError
from ragkit.evaluation.questions import GoldSource, Question
from ragkit.models import ScriptedModel
from ragkit.models.adapters import AdapterStore
from tests.datagen.test_questions import asking


@pytest.fixture(scope="module")
def adapted(sample_index, tmp_path_factory):
    """The samples, adapted with questions of their own words, checked by the gates that need no model."""
    folder = tmp_path_factory.mktemp("adaptation")
    shutil.copytree(sample_index, folder / "index")
    with Index.open(folder / "index") as index:
        yield SimpleNamespace(index=index, folder=folder / "adapted", report=adapt(index, folder / "adapted"))


@pytest.fixture
def rows(adapted):
    return list(read_data_rows(adapted.folder / "rows.jsonl"))


def adapt(index, folder):
    options = AdaptOptions(number=60, stages=("thresholds",))
    return adapt_index(index, ScriptedModel(asking), folder, options, name="samples", gates=standard_gates(index))


def test_documents_are_never_on_both_sides_and_those_with_peoples_questions_are_held_out(adapted, rows):
    index = adapted.index
    bus = Question("When does the last bus back leave?", "1", ("23:10",), (GoldSource(quote="23:10"),))
    material = divide(index, rows, [bus, Question("Who?", "2", ("nobody",))], 0.3)
    trained = {row.answer_span.document_id for row in material.answered}
    held = {place.document_id for case in material.generated for place in case.places}
    assert trained and held and not trained & held
    assert [case.question for case in material.people] == [bus.question]
    assert {place.document_id for case in material.people for place in case.places} <= held
    assert material.people_left_out == 1
    assert material.deciding()[0] == "generated"  # one question of people is too few to decide
    assert len(material.train) + len(material.generated) == len(rows)


def test_single_document_is_divided_by_passages_and_a_short_one_is_refused(tmp_path):
    texts = [f"In {1900 + n} the town of Kellmouth built {n + 3} stone bridges over the river Ash." for n in range(80)]
    for name, text in (("long", "\n\n".join(texts)), ("short", texts[0])):
        with Index.create(tmp_path / name) as index:
            (tmp_path / f"{name}.txt").write_text(text)
            index.add(tmp_path / f"{name}.txt")
            gates = [gate for gate in standard_gates(index) if gate.name == "form"]
            call = (index, ScriptedModel(asking), tmp_path / f"{name}-adapted", AdaptOptions(number=40, stages=()))
            if name == "long":
                report = adapt_index(*call, name=name, gates=gates)
                assert report.counts["held-out generated questions"] > 0
                rows = list(read_data_rows(tmp_path / "long-adapted" / "rows.jsonl"))
                material = divide(index, rows, [], 0.3)
                assert material.divided
                last = max(row.answer_span.start for row in material.answered)
                assert all(place.start > last for case in material.generated for place in case.places)
            else:
                with pytest.raises(DataError, match="too few to hold some out"):
                    adapt_index(*call, name=name, gates=gates)
                assert list(read_data_rows(tmp_path / "short-adapted" / "rows.jsonl"))  # what was done is kept


def test_silent_model_and_empty_index_are_errors(adapted, tmp_path):
    with pytest.raises(ModelOutputError, match="returned no text"):
        adapt_index(adapted.index, ScriptedModel(""), tmp_path / "adapted", name="samples")
    with Index.create(tmp_path / "empty") as empty, pytest.raises(DataError, match="has no documents"):
        adapt_index(empty, ScriptedModel(asking), tmp_path / "adapted", name="empty")
    with pytest.raises(SettingsError, match="Unknown stage 'writer'"):
        AdaptOptions(stages=("writer",))


def test_thresholds_are_decided_on_held_out_documents_and_the_report_is_written(adapted):
    report = adapted.report
    (questions, thresholds) = report.stages
    assert questions.details["kept"] > 60  # near misses are added
    assert thresholds.status in ("promoted", "kept"), thresholds.why
    assert thresholds.gain.count == report.counts["held-out generated questions"]
    assert 0 <= thresholds.before.mean <= 1
    told = json.loads((adapted.folder / "report.json").read_text())
    assert [stage["name"] for stage in told["stages"]] == ["questions", "thresholds"]
    page = (adapted.folder / "report.html").read_text()
    assert "<svg" in page and "<script" not in page and "Thresholds of answering" in page
    # The same call again reads the results of the finished stages.
    assert adapt(adapted.index, adapted.folder).to_dict() == report.to_dict()


def test_negatives_never_hold_the_answer(adapted, rows, tmp_path):
    answered = [row for row in rows if row.answer_span is not None]
    with Ledger(tmp_path / "ledger") as ledger:
        mined = mine(adapted.index, answered, ScriptedModel(""), ledger, seconds=1)
    assert mined.guarded > 0 and mined.taught == 0  # the scripted model has no likelihoods
    for row, found in zip(answered, mined.rows, strict=True):
        assert row.answer in found.passage
        assert not any(row.answer.casefold() in text.casefold() for text in found.negatives)
    assert any(found.negatives for found in mined.rows)


@pytest.fixture
def towns(tmp_path):
    """Open a small index, with rows of its own."""
    for n in range(8):
        (tmp_path / f"{n}.txt").write_text(f"The town number {n} has {n + 30} bridges and {n + 50} wells.")
    with Index.create(tmp_path / "towns") as index:
        index.add(*(tmp_path / f"{n}.txt" for n in range(8)))
        with Ledger(tmp_path / "towns.sqlite") as ledger:
            gates = [gate for gate in standard_gates(index) if gate.name == "form"]
            report = generate_questions(index, ScriptedModel(asking), ledger, QuestionOptions(16), gates=gates)
        yield index, report.rows


def test_promoted_embedder_is_used_and_undone(towns, tmp_path):
    index, _ = towns
    # Another model by its folder, with the graph of the first one.
    other = shutil.copytree(locate("default").folder, tmp_path / "other").resolve()
    (other / "onnx").mkdir()
    (other / "int8.onnx").rename(other / "onnx" / "model.onnx")
    details = {"version": str(other), "previous": "default"}
    result = compared("embedder", "nDCG@10", [0.0] * 20, [1.0] * 20, decided_by="generated", seconds=0, details=details)
    changes = Changes(tmp_path / "adapted")
    for _ in range(2):  # the second time, nothing is left to do
        changes.apply(result, index, None, None)
    assert index.embedder.location == str(other)
    assert read_json(tmp_path / "adapted" / "changes.json") == {"embedder": "default"}
    assert undo_adaptation(index, tmp_path / "adapted", name="towns") == ["embedder"]
    assert index.embedder.location == "default"
    with pytest.raises(DataError, match="no changes to undo"):
        undo_adaptation(index, tmp_path / "adapted", name="towns")


@pytest.mark.slow
def test_embedder_is_trained_and_not_promoted_without_enough_questions(towns, tmp_path):
    pytest.importorskip("torch", reason="pip install 'ragkit[tune]'")
    index, rows = towns
    material = divide(index, rows, [], 0.3)
    with Ledger(tmp_path / "ledger") as ledger:
        result = adapt_embedder(index, material, ScriptedModel(""), ledger, tmp_path / "embedders", seconds=2)
    assert (result.status, result.before.count) == ("kept", len(material.generated))
    assert result.details["steps"] > 0 and "a promotion needs at least 20" in result.why
    assert not list((tmp_path / "embedders").iterdir())  # neither the model nor the trial index is left
    assert index.embedder.location == "default"


def test_nothing_is_promoted_on_few_questions_or_without_a_significant_gain_or_against_a_veto():
    few = compared("reader", "F1", [0.0] * 19, [1.0] * 19, decided_by="people", seconds=0)
    assert (few.status, few.why) == ("kept", "There are 19 held-out questions; a promotion needs at least 20.")
    even = compared("reader", "F1", [0.0, 1.0] * 20, [1.0, 0.0] * 20, decided_by="people", seconds=0)
    assert even.status == "kept" and "not significant" in even.why
    veto = compared("reader", "F1", [0.0] * 20, [1.0] * 20, decided_by="people", seconds=0, veto="It is slower.")
    assert (veto.status, veto.why) == ("kept", "It is slower.")


def test_page_shows_an_interval_that_ends_beyond_the_possible_values(tmp_path):
    # Two near misses of twenty questions weigh five times as much as the others.
    result = compared("thresholds", "accuracy", [0.0] * 20, [5.0, 5.0] + [0.5] * 18, decided_by="people", seconds=0)
    assert result.gain.high > 1
    page = adaptation_page(AdaptReport("towns", tmp_path, (result,), {}))
    assert "Thresholds of answering" in page and "Decided by questions of people." in page


def test_demoted_adapter_has_no_version_in_use(tmp_path):
    place = tmp_path / "adapters" / "own" / "1"
    place.mkdir(parents=True)
    (place / "card.json").write_text(json.dumps({"kind": "lora"}))
    store = AdapterStore(tmp_path / "adapters")
    assert store.promote("own@1").promoted
    store.demote("own")
    assert [one.promoted for one in store.versions("own")] == [False]
