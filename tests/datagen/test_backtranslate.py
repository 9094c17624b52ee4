"""Sections become answers, models write instructions to them, and only instructions that fit are kept."""

import pytest
from typer.testing import CliRunner

from ragkit.cli.main import app
from ragkit.datagen import DataRow
from ragkit.datagen.backtranslate import CopyGate, InstructionGate, sections, write_instructions
from ragkit.datagen.gates import apply
from ragkit.datagen.ledger import Ledger
from ragkit.errors import SettingsError
from ragkit.indexing import Index
from ragkit.models import ScriptedModel
from ragkit.records import Message

WATERING = (
    "Water the trays from below every second morning, and in summer check the soil in the evening as well. Empty the "
    "saucers after an hour, since standing water rots the roots. Plants in clay pots need water more often than those "
    "in plastic, because clay dries out through its sides."
)
BRIDGE = (
    "The first bridge over the river was built of oak in 1742 and burnt down eight years later. The present one, of "
    "sandstone, took eleven years and was paid for by a toll on salt. During the flood of 1845 two of its arches "
    "collapsed, and the town rebuilt them within a single winter."
)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sections")
    table = "\n".join(f"| {n} | {n * n} | {n**3} |" for n in range(30))
    (folder / "guide.md").write_text(
        f"# Garden\n\n## Watering\n\n{WATERING}\n\n## Table\n\n{table}\n\n## Short\n\nNone.\n"
    )
    (folder / "town.txt").write_text(f"{BRIDGE}\n\nShort.\n")
    with Index.open(folder / "index", create=True) as index:
        assert index.add(folder / "guide.md", folder / "town.txt").complete
        yield list(index.each_document())


def test_sections_are_prose_of_useful_length_with_exact_spans(documents):
    found = {document.text[start:end] for document in documents for start, end in sections(document)}
    assert found == {WATERING, BRIDGE}


def test_rows_have_the_section_as_answer_and_finished_work_is_not_repeated(documents, tmp_path):
    asked = []

    def reply(messages):
        asked.append(messages[-1].content)
        return "How do I water plants?\nMore text."

    with Ledger(tmp_path / "ledger") as ledger:
        rows = write_instructions(documents, ScriptedModel(reply), ledger=ledger)
        again = write_instructions(documents, ScriptedModel(reply), ledger=ledger)
    assert rows == again
    assert len(asked) == 2
    assert {row.question for row in rows} == {"How do I water plants?"}
    for row in rows:
        document = next(one for one in documents if one.id == row.answer_span.document_id)
        assert document.text[row.answer_span.start : row.answer_span.end] == row.answer
    assert any(text.startswith("Topic: Garden > Watering\n") for text in asked)


def row(question, answer):
    return DataRow("instruction", (Message("user", question),), answer)


def test_instruction_that_copies_its_answer_is_rejected():
    kept, copied = apply(
        [CopyGate()], [row("How do I water plants?", WATERING), row(f"Explain {BRIDGE[:90]}.", BRIDGE)]
    )
    assert kept.kept
    assert not copied.kept
    assert "words from the answer" in copied.decisions[-1].reason


def test_text_is_likelier_after_its_own_instruction(smollm2):
    watering = "Explain how the plants have to be watered in summer."
    bridge = "What is the history of the stone bridge over the river?"
    scores = InstructionGate(smollm2).scores([row(watering, WATERING), row(bridge, BRIDGE)])
    assert min(score.value for score in scores) > 0
    assert sum(score.value for score in scores) > 0.2


def test_model_without_likelihoods_makes_the_gate_abstain():
    (decided, _) = apply([InstructionGate(ScriptedModel("x"))], [row("a", WATERING), row("b", BRIDGE)])
    assert decided.kept
    assert decided.decisions[-1].score is None


def test_documents_without_sections_are_refused(documents):
    with pytest.raises(SettingsError, match="No section has 40 to 400 words"):
        write_instructions([], ScriptedModel("x"))


def test_command_needs_a_model(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "town.txt").write_text(BRIDGE)
    command = ["data", "instructions", str(tmp_path / "docs"), "-o", str(tmp_path / "rows.jsonl"), "--model", "none"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, SettingsError)
    assert "none is set" in str(result.exception)
