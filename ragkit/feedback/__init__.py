"""People's feedback on answers, in one log that the example pool, the evaluation set and tuning read.

``FeedbackLog.open(path).add(Rating(...))``, then ``examples_of(log)``, ``questions_of(log)``, ``records_of(log)`` and
``rankings_of(log)``; a question reserved for measurement is in no training data.
"""

from ragkit.feedback.evaluation_set import questions_of
from ragkit.feedback.log import FeedbackLog
from ragkit.feedback.pool import examples_of
from ragkit.feedback.records import Comparison, Correction, ExampleChoice, Rating, Reply
from ragkit.feedback.tuning_data import rankings_of, records_of

__all__ = [
    "Comparison",
    "Correction",
    "ExampleChoice",
    "FeedbackLog",
    "Rating",
    "Reply",
    "examples_of",
    "questions_of",
    "rankings_of",
    "records_of",
]
