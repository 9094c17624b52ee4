"""Training data from documents: rows with exact spans, checked without asking a model to judge them."""

from typing import TYPE_CHECKING

from ragkit._lazy import lazy_names
from ragkit.datagen.ledger import Ledger
from ragkit.datagen.review import Review, add_review, current_reviews, reviewed
from ragkit.datagen.rows import DataRow, Decision, Generator, TextSpan, read_data_rows, write_rows
from ragkit.datagen.verify import SpanFault, VerifiedRows, verify_rows

if TYPE_CHECKING:
    from ragkit.datagen.generate import QuestionPlan, generate_questions, plan_questions
    from ragkit.datagen.question_run import QuestionOptions
    from ragkit.datagen.report import GenerationReport

__all__ = [
    "DataRow",
    "Decision",
    "GenerationReport",
    "Generator",
    "Ledger",
    "QuestionOptions",
    "QuestionPlan",
    "Review",
    "SpanFault",
    "TextSpan",
    "VerifiedRows",
    "add_review",
    "current_reviews",
    "generate_questions",
    "plan_questions",
    "read_data_rows",
    "reviewed",
    "verify_rows",
    "write_rows",
]
__getattr__ = lazy_names(
    __name__,
    {
        "GenerationReport": "ragkit.datagen.report",
        "QuestionOptions": "ragkit.datagen.question_run",
        "QuestionPlan": "ragkit.datagen.generate",
        "generate_questions": "ragkit.datagen.generate",
        "plan_questions": "ragkit.datagen.generate",
    },
)
