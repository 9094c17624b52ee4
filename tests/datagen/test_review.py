"""Reviews: they take precedence over gates, survive in the ledger, and label the calibration."""

from dataclasses import replace

import numpy as np
import pytest

from ragkit.datagen import DataRow, Decision, Ledger, TextSpan, add_review, current_reviews, reviewed
from ragkit.datagen.gates import GateScore, calibrate
from ragkit.datagen.gates.calibration import REJECTED
from ragkit.datagen.review import labelled
from ragkit.errors import DataError
from ragkit.records import Document, Message

TEXT = "The shop opens at 9:00. The dome opens at 19:00 and closes at 23:00; on Mondays the shop opens at 10:00."
DOCUMENT = Document("d1", "/docs/a.md", "/docs/a.md", TEXT, "A", "0" * 64, "text/markdown")


def row(question="When does the dome open?", answer="19:00"):
    at = TEXT.index(answer)
    passage = TextSpan.of(DOCUMENT, 24, len(TEXT))
    return DataRow("qa", (Message("user", question),), answer, TextSpan.of(DOCUMENT, at, at + len(answer)), (passage,))


def test_decision_of_a_person_overrides_the_gates_and_can_be_undone(tmp_path):
    one = row().decided(Decision("retrieval", False, 0.2, 0.5, "Found second."))
    with Ledger(tmp_path / "x.sqlite") as ledger:
        assert not reviewed(one, current_reviews(ledger)).kept
        add_review(ledger, one, "keep", "ada")
        add_review(ledger, one, "reject", "bob", reason="Too easy.")
    with Ledger(tmp_path / "x.sqlite") as ledger:
        decided = reviewed(one, current_reviews(ledger))
        assert not decided.kept
        assert decided.decisions[-1] == Decision("review", False, reason="Rejected by bob. Too easy.")
        add_review(ledger, one, "undo", "bob")
        decided = reviewed(decided, current_reviews(ledger))
        assert decided.kept
        assert [decision.gate for decision in decided.decisions] == ["retrieval", "review"]
        add_review(ledger, one, "undo", "ada")
        assert reviewed(decided, current_reviews(ledger)) == one
        assert len(ledger.reviews()) == 4


def test_edited_row_has_an_exact_span_and_names_its_parent(tmp_path):
    one = row()
    with Ledger(tmp_path / "x.sqlite") as ledger:
        with pytest.raises(DataError, match="'20:00' is not in the passage"):
            add_review(ledger, one, "keep", "ada", answer="20:00")
        with pytest.raises(DataError, match="empty"):
            add_review(ledger, one, "keep", "ada", question=" ")
        add_review(ledger, one, "keep", "ada", question="When does it close?", answer="23:00")
        edited = reviewed(one, current_reviews(ledger))
        assert (edited.question, edited.answer, edited.parents, edited.kept) == (
            "When does it close?",
            "23:00",
            (one.id,),
            True,
        )
        assert TEXT[edited.answer_span.start : edited.answer_span.end] == "23:00"
        # The edited row can be reviewed itself.
        add_review(ledger, edited, "reject", "bob")
        assert not reviewed(one, current_reviews(ledger)).kept
        assert [len(rows) for rows in labelled(current_reviews(ledger).values())] == [0, 2]


class LengthGate:
    """Measures the length of questions, which planted corruptions here say little about."""

    name = "length"
    threshold = None

    def scores(self, rows):
        return [GateScore(float(len(one.question))) for one in rows]


def test_reviews_change_the_calibration():
    def spread(count, text, start):
        return [
            replace(row(f"{text} {number}?"), evidence=(replace(row().evidence[0], document_id=f"d{start + number}"),))
            for number in range(count)
        ]

    rows = spread(20, "When does the dome open on day", 0)
    kept, rejected = spread(40, "Short", 100), spread(40, "When is it that the dome opens " * 4, 200)
    before = calibrate([LengthGate()], rows)
    after = calibrate([LengthGate()], rows, kept=kept, rejected=rejected)
    assert after.reviewed == 80
    assert after.auroc_by_kind[REJECTED] > 0.9
    assert np.sign(after.weights["length"]) == -1
    assert after.weights != before.weights
