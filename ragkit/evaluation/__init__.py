"""Questions with known answers to a report: retrieval, answers, citations, abstention, time and cost."""

from ragkit.evaluation.questions import GoldSource, Question, read_questions, squad_documents, write_questions

__all__ = ["GoldSource", "Question", "read_questions", "squad_documents", "write_questions"]
