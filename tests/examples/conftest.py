"""One pool for all tests of the room: bank queries of four intents, in words of our own."""

import pytest

from ragkit.examples import ExamplePool
from ragkit.records import Example

QUERIES = {
    "lost_card": [
        "I lost my card yesterday",
        "my card is gone, I can't find it",
        "where do I report that my card is lost",
        "I think I left my card in a taxi",
        "card lost, please block it",
    ],
    "card_arrival": [
        "when will my new card arrive",
        "my card has not come in the post",
        "how long does it take until the card is here",
        "still waiting for the card you sent",
        "track the delivery of my card",
    ],
    "exchange_rate": [
        "what is your exchange rate for dollars",
        "the exchange rate you used is wrong",
        "how do you work out exchange rates",
        "is the rate for euros better on weekdays",
        "which rate applies when I pay abroad",
    ],
    "change_pin": [
        "how can I change my PIN",
        "I want a new PIN for my card",
        "where do I set the PIN",
        "can the PIN be changed at a cash machine",
        "my PIN is easy to guess, let me change it",
    ],
}
EXAMPLES = [
    Example(text, label, {"lang": "en", "length": len(text)}) for label, texts in QUERIES.items() for text in texts
]


@pytest.fixture(scope="session")
def pool(tmp_path_factory):
    with ExamplePool.create(tmp_path_factory.mktemp("examples") / "pool") as opened:
        report = opened.add(EXAMPLES)
        assert report.added == len(EXAMPLES)
        assert report.complete
        yield opened
