"""Answerable and unanswerable questions on the sample documents."""

from ragkit.evaluation import Question

_ANSWERABLE = {
    "When does the last bus back leave?": "23:10",
    "What does a family ticket cost?": "46.00",
    "Who founded the observatory?": "Ilse Marrow",
    "How many parking places are there?": "36",
    "How many steps lead to the dome?": "52",
    "How many people came in 2025?": "41,870",
    "Who leads the programme on variable stars?": "Okafor",
    "What does telescope hire cost?": "65.00",
    "When was the spectrograph bought?": "2019",
    "How many people watched the Perseids?": "640",
    "What does the star map cost?": "4.20",
    "When do evening tours start in winter?": "19:30",
}
_UNANSWERABLE = (
    "Who won the football world cup in 2014?",
    "What is the capital of Mongolia?",
    "How do I bake sourdough bread?",
    "What does a senior ticket cost?",
    "How many seats does the planetarium have?",
    "Which company built the lift?",
    "What is the director's telephone number?",
    "When does the first train to Prague leave?",
    "How many employees work at the observatory?",
    "What is the boiling point of mercury?",
    "Who wrote War and Peace?",
    "How much does the cafe charge for coffee?",
)
QUESTIONS = [
    *(Question(text, f"a{number}", (answer,)) for number, (text, answer) in enumerate(_ANSWERABLE.items())),
    *(Question(text, f"n{number}", unanswerable=True) for number, text in enumerate(_UNANSWERABLE)),
]
