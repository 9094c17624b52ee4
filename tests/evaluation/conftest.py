"""One index of the sample documents, and questions on them, for all tests of the room."""

from pathlib import Path

import pytest

from ragkit import Index
from ragkit.evaluation import GoldSource, Question
from ragkit.models import open_model

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
QUESTIONS = [
    Question(
        "When does the last bus back leave?",
        "bus",
        ("23:10",),
        (GoldSource("faq.html", "23:10"),),
    ),
    Question("What does error E27 mean?", "e27", (), (GoldSource("telescope-manual.pdf", "kilometres an hour"),)),
    Question("What does a family ticket cost?", "ticket", ("46.00",), (GoldSource("prices.csv#row-3"),)),
    Question("Who won the football world cup in 2014?", "football", unanswerable=True),
]


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    with Index.create(tmp_path_factory.mktemp("evaluation") / "index") as index:
        assert index.add(SAMPLES).complete
        yield index


@pytest.fixture(scope="session")
def smollm2():
    return open_model("smollm2", threads=1)
