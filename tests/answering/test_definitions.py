"""Terms that questions want defined, and texts that define them."""

import pytest

from ragkit.answering.definitions import defined_term, defines


@pytest.mark.parametrize(
    ("question", "term"),
    [
        ("whats a GACA account", "GACA account"),
        ("What is an interagency agreement?", "interagency agreement"),
        ("What does \u201cIDP\u201d stand for?", "IDP"),
        ("What's the meaning of flexible working?", "flexible working"),
        ("Define azimuth.", "azimuth"),
        ("Where is the office?", None),
        ("", None),
    ],
)
def test_defined_term(question, term):
    assert defined_term(question) == term


@pytest.mark.parametrize(
    ("text", "term"),
    [
        (
            "Staff may be able to create a GSA Affiliated Customer Account\n  (GACA). This allows sharing.",
            "GACA account",
        ),
        ("- **API** - Application programming interface.", "API"),
        ("Azimuth is the angle along the horizon.", "azimuth"),
        ("The azimuth: an angle.", "azimuth"),
        ("An IDP (individual development plan) helps you plan.", "IDP"),
        ("By definition, IDP stands for individual development plan.", "IDP"),
    ],
)
def test_text_defines(text, term):
    assert defines(text, term)


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("You should refer to these instructions for setting up a GACA account.", "GACA account"),
        ("Ask for an API key.", "API"),
        ("Set the azimuth before you start.", "azimuth"),
        ("We met the team (IDP) on Monday.", "IDP"),
        ("", "IDP"),
    ],
)
def test_text_does_not_define(text, term):
    assert not defines(text, term)
