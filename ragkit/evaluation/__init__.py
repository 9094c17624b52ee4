"""Questions with known answers to a report: retrieval, answers, citations, abstention, time and cost."""

from ragkit.evaluation.compare import Comparison, compare
from ragkit.evaluation.questions import GoldSource, Question, read_questions, squad_documents, write_questions
from ragkit.evaluation.report import EvalReport, read_report
from ragkit.evaluation.run import evaluate

__all__ = [
    "Comparison",
    "EvalReport",
    "GoldSource",
    "Question",
    "compare",
    "evaluate",
    "read_questions",
    "read_report",
    "squad_documents",
    "write_questions",
]
