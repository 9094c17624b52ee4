"""One index of the sample documents, and questions on them, for all tests of the room."""

import shutil
from pathlib import Path

import pytest

from ragkit import Index
from ragkit.evaluation import GoldSource, Question

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
def samples(sample_index, tmp_path_factory):
    folder = shutil.copytree(sample_index, tmp_path_factory.mktemp("evaluation") / "index")
    with Index.open(folder) as index:
        yield index
