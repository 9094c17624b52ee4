"""``ragkit plan`` and ``ragkit trace``."""

import json

QUESTION = "How many more visitors came in the third quarter than in the first?"
STEPS = """\
s1 = find_section("Visitors")
s2 = extract_value("How many visitors came in the third quarter?", s1)
s3 = extract_value("How many visitors came in the first quarter?", s1)
s4 = difference(s2, s3)
s5 = answer(s4)
"""


def test_a_plan_is_shown_run_and_replayed(sample_index, tmp_path, here):
    (tmp_path / "steps.txt").write_text(STEPS)
    words = (sample_index, QUESTION, "--plan", "steps.txt", "--model", "none", "--json")
    shown = json.loads(here("plan", "show", *words, cwd=tmp_path).stdout)
    assert shown["plan"] == STEPS.splitlines()
    assert shown["quote"] == {"calls": 0, "tokens": 0, "minutes": 0.0}
    made = here("plan", "run", *words, "--trace", "trace.json", cwd=tmp_path)
    assert "No calls of a model." in made.stderr
    result = json.loads(made.stdout)
    assert (result["answer"], result["outcome"]) == ("7,240 [1] [2]", "plan")
    assert [citation["title"] for citation in result["citations"]] == ["Annual Report 2025"] * 2
    assert json.loads(here("trace", "replay", "trace.json", "--json", cwd=tmp_path).stdout) == result
    trace = here("trace", "show", "trace.json", cwd=tmp_path).stdout
    assert "s4 = difference(s2, s3)" in trace
    assert "-> 7,240" in trace


def test_without_a_model_a_plan_is_not_written(sample_index, tmp_path, here):
    words = (sample_index, QUESTION, "--model", "none")
    result = json.loads(here("plan", "run", *words, "--json", cwd=tmp_path).stdout)
    assert result["outcome"] == "fallback"
    assert "needs a language model" in result["reason"]
    here("plan", "show", *words, cwd=tmp_path, check=1)
    (tmp_path / "steps.txt").write_text("s1 = find_section")
    here("plan", "run", *words, "--plan", "steps.txt", cwd=tmp_path, check=1)
    here("plan", "run", *words, "--plan", "missing.txt", cwd=tmp_path, check=1)
