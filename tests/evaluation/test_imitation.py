"""Style beside facts: distances that ignore content, and the verdicts."""

import json

import pytest
from typer.testing import CliRunner

from ragkit.cli.main import app
from ragkit.errors import SettingsError
from ragkit.evaluation import EvalReport, Question
from ragkit.evaluation.imitation import imitation_report
from ragkit.evaluation.outcome import QuestionResult
from ragkit.evaluation.style import masked, style_distances

ABOUT = {"path": "x", "fingerprint": "f", "documents": 1, "chunks": 1, "embedding_model": "m"}
CITIES = ("Bergen", "Lima", "Accra", "Turin", "Osaka", "Quito", "Graz", "Perth", "Lyon", "Cork", "Pune", "Kyiv")


def short(name):
    return f"{name}, in {len(name)} words"


def fluent(name):
    return f"It is the city of {name}, and that is what the guide has to say: “{name} has a harbour.”"


def run(name, texts, right):
    outcomes = tuple(
        QuestionResult(
            Question(f"Where is {n}?", str(n), ("a",)),
            shown=1,
            text=text,
            scores={"right": value, "f1": value, "contained": value},
        )
        for n, (text, value) in enumerate(zip(texts, right, strict=True))
    )
    return EvalReport(name, {"model": name}, ABOUT, outcomes)


def test_style_does_not_depend_on_content():
    assert masked("The Harbour of Bergen opened in 1070.") == masked("The Castle of Lima closed in 1535.")
    own, other = [fluent(city) for city in CITIES], [fluent(city) for city in reversed(CITIES)]
    exact, drawn = style_distances([other, [short(city) for city in CITIES]], own)
    assert exact[0] == pytest.approx(0, abs=1e-9)
    assert exact[1].min() > 0.2
    assert drawn.min() >= 0
    assert drawn.max() <= 1


@pytest.mark.parametrize(
    ("after", "right", "verdict"),
    [
        (fluent, [1.0, 0.0] * 6, "style moved, facts did not"),
        (fluent, [1.0] * 12, "style moved, facts improved"),
        (short, [1.0, 0.0] * 6, "neither style nor facts moved"),
        (short, [1.0] * 12, "style did not move, facts improved"),
        (fluent, [0.0] * 12, "style moved, facts got worse"),
    ],
)
def test_verdict_sets_style_beside_facts(after, right, verdict):
    before = run("before", map(short, CITIES), [1.0, 0.0] * 6)
    report = imitation_report(
        before, run("after", map(after, CITIES), right), run("t", map(fluent, CITIES), [1.0] * 12)
    )
    assert report.verdict == verdict
    assert report.style.feature == "style"
    assert report.facts[0].teacher.mean == 1
    assert ("can't be excluded" in report.explanation) == (right == [1.0, 0.0] * 6)


def test_command_prints_the_verdict_and_too_few_replies_are_refused(tmp_path):
    runs = {"before": (short, [1.0, 0.0] * 6), "after": (fluent, [1.0, 0.0] * 6), "teacher": (fluent, [1.0] * 12)}
    files = []
    for name, (style, right) in runs.items():
        files.append(str(tmp_path / f"{name}.json"))
        run(name, map(style, CITIES), right).write(files[-1])
    printed = CliRunner().invoke(app, ["eval", "imitation", *files])
    assert printed.exit_code == 0, printed.output
    assert "Verdict: style moved, facts did not." in printed.output
    told = json.loads(CliRunner().invoke(app, ["eval", "imitation", *files, "--json"]).output)
    assert told["verdict"] == "style moved, facts did not"
    with pytest.raises(SettingsError, match="2 or more are needed"):
        imitation_report(*[run(name, ["", "x"], [0.0, 1.0]) for name in "abc"])
