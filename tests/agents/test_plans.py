"""Plans are checked before they run, cite what their steps read, fall back to the direct answer, and replay."""

import json
from dataclasses import replace

import pytest

from ragkit import Index
from ragkit.agents import (
    ACTIONS,
    Action,
    AgentTrace,
    Item,
    MinedAction,
    Parameter,
    Plan,
    PlanBudget,
    Planner,
    PlannerOptions,
    Value,
    load_actions,
    mine_actions,
    refine,
    replay_plan,
    save_actions,
)
from ragkit.agents.plans.computing import quantity_of
from ragkit.agents.plans.demonstrations import DEMONSTRATIONS, SHOWN, demonstrations_for
from ragkit.agents.plans.plan import PlanStep, Ref
from ragkit.agents.plans.writing import step_grammar, write_plan
from ragkit.answering import AnswerOptions, ExtractOptions
from ragkit.errors import PlanError, ToolError
from ragkit.examples import ExamplePool
from ragkit.models import ScriptedModel
from ragkit.records import Example

VISITORS = "How many more visitors came in the third quarter than in the first?"
VISITORS_PLAN = """\
s1 = find_section("Visitors")
s2 = extract_value("How many visitors came in the third quarter?", s1)
s3 = extract_value("How many visitors came in the first quarter?", s1)
s4 = difference(s2, s3)
s5 = answer(s4)
"""


@pytest.fixture(scope="module")
def index(sample_index):
    with Index.open(sample_index) as opened:
        yield opened


def as_json(*steps):
    return json.dumps({"steps": [{"action": action, "arguments": arguments} for action, *arguments in steps]})


def same(one, other):
    return replace(one, trace=None) == replace(other, trace=None)


def replayed(result):
    return replay_plan(AgentTrace.from_json(result.trace.to_json()))


def test_a_plan_is_read_as_it_is_written():
    text = '1. first = find_passages("a, b = \\"c\\" (d)")\n```\nlast = answer(first);'
    plan = Plan.parse("?", text)
    assert plan.steps == (PlanStep("find_passages", ('a, b = "c" (d)',)), PlanStep("answer", (Ref(1),)))
    assert Plan.parse("?", str(plan)) == plan
    for plan in DEMONSTRATIONS:
        assert plan.problems(ACTIONS) == []
        # A question is shown the plan for its form last.
        assert demonstrations_for(plan.question)[-1] == plan
        assert len(set(demonstrations_for(plan.question))) == SHOWN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no steps"),
        ('s1 = invented("x")\ns2 = answer(s1)', "unknown action 'invented'"),
        ('s1 = find_passages("x", "y")\ns2 = answer(s1)', "got 2 arguments"),
        ('s1 = find_passages("x")\ns2 = count_items(s1)\ns3 = answer(s2)', "must be items, got s1"),
        ('s1 = find_passages("x")\ns2 = list_items("x", "y")\ns3 = answer(s2)', "must be an earlier step"),
        ('s1 = find_passages("x")\ns2 = find_passages("x")\ns3 = answer(s1, s2)', "s2 repeats s1"),
        ('s1 = find_passages("x")\ns2 = find_passages("y")\ns3 = answer(s2)', "No later step uses s1"),
        ('s1 = find_passages("x")', "The last step must be answer"),
        ('s1 = find_passages(" ")\ns2 = answer(s1)', "query is empty"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(text, says):
    [problem, *_] = Plan.parse("?", text).problems(ACTIONS)
    assert says in problem


@pytest.mark.parametrize("line", ["find_passages", "s1 = f(s1)", 's1 = f("x)', "s1 = f(‘x’)"])
def test_a_line_that_is_not_a_step_is_refused(line):
    with pytest.raises(PlanError):
        Plan.parse("?", line)


def test_a_loop_is_refused():
    loop = Plan("?", (PlanStep("find_linked", ("x", Ref(2))), PlanStep("extract_value", ("y", Ref(1)))))
    assert "s1 uses s2, which is not an earlier step." in loop.problems(ACTIONS)


def test_the_grammar_allows_only_steps_that_fit():
    first = step_grammar(ACTIONS, [], [], last=False)
    assert {name for name in ACTIONS if f'"{name}(' in first} == {"find_passages", "find_section", "read_document"}
    third = step_grammar(ACTIONS, ["passages", "items"], [2], last=False)
    assert '"answer(s2)"' in third
    assert '"count_items(" ("s2") ")"' in third
    assert '"largest_item(" ("s2") (", " text)? ")"' in third
    assert "difference" not in third
    assert "find_passages" not in step_grammar(ACTIONS, ["passages"], [1], last=False)
    # Passages are read before the answer, unless no step is left.
    assert '"answer' not in step_grammar(ACTIONS, ["passages"], [1], last=False)
    assert step_grammar(ACTIONS, ["passages"], [1], last=True).startswith('root ::= "answer(s1)"\n')


def test_a_small_model_writes_a_valid_plan(smollm2):
    few = {name: ACTIONS[name] for name in ("find_passages", "extract_value", "answer")}
    written = write_plan(smollm2, "What does the family ticket cost?", few, (), max_steps=3)
    assert written.plan is not None
    assert written.plan.problems(few, 3) == []
    assert len(written.attempts) == 1
    # What the form of a question needs is in the plan, whatever the model prefers.
    steps = ("find_passages", "extract_value", "compare", "difference", "answer")
    few = {name: ACTIONS[name] for name in steps}
    [shown] = [plan for plan in DEMONSTRATIONS if plan.steps[-2].action == "difference"]
    question = "How many more tours were there in May than in April?"
    written = write_plan(smollm2, question, few, (shown,), max_steps=6)
    assert written.plan is not None
    assert [step.action for step in written.plan.steps][-2:] == ["difference", "answer"]


def test_a_small_model_extracts_from_a_part_of_a_document(index, smollm2):
    plan = Plan.parse(
        "What is the focal length of the telescope?",
        's1 = read_document("Meridian 40 telescope manual")\n'
        's2 = extract_value("What is the focal length of the Meridian 40?", s1)\n'
        "s3 = answer(s2)",
    )
    answers = AnswerOptions(extract=ExtractOptions(shots=1, sentences=1))
    result = Planner(index, smollm2, options=PlannerOptions(answers=answers)).ask(plan.question, plan)
    assert result.outcome == "plan"
    [citation] = result.citations
    assert citation.quote in index.document(citation.document_id).text
    assert "3,200" in citation.quote
    [event] = [event for event in result.trace.events if event.tokens]
    assert event.inputs["step"].startswith("s2")
    assert event.tokens < 1000
    assert same(replayed(result), result)


def test_problems_are_sent_back_to_a_model_without_a_grammar():
    replies = [
        "no JSON",
        as_json(("find_passages", "visitors"), ("answer", "s2")),
        as_json(("find_passages", "visitors"), ("answer", "s1")),
    ]
    prompts = []

    def reply(messages):
        prompts.append(messages[-1].content)
        return replies[len(prompts) - 1]

    written = write_plan(ScriptedModel(reply), "Visitors?", ACTIONS)
    assert str(written.plan) == 's1 = find_passages("visitors")\ns2 = answer(s1)'
    assert [bool(attempt.problems) for attempt in written.attempts] == [True, True, False]
    assert "s2 uses s2, which is not an earlier step." in prompts[2]
    refused = write_plan(ScriptedModel("no JSON"), "Visitors?", ACTIONS, retries=1)
    assert refused.plan is None
    assert len(refused.attempts) == 2


def test_a_plan_answers_with_the_citations_of_its_steps_and_replays(index, tmp_path):
    planner = Planner(index, None)
    result = planner.ask(VISITORS, Plan.parse(VISITORS, VISITORS_PLAN))
    assert (result.answer, result.outcome, result.reason) == ("7,240 [1] [2]", "plan", "")
    for citation in result.citations:
        text = index.document(citation.document_id).text
        assert text[citation.start : citation.end] == citation.quote
    assert ["14,650" in citation.quote for citation in result.citations] == [True, False]
    result.trace.save(tmp_path / "trace.json")
    trace = AgentTrace.load(tmp_path / "trace.json")
    assert same(replay_plan(trace), result)
    again = planner.ask(VISITORS, Plan.parse(VISITORS, VISITORS_PLAN))
    assert [step.cached for step in result.steps] == [False] * 5
    assert [step.cached for step in again.steps] == [True] * 5
    assert again.answer == result.answer
    # What a step only computes is computed again, so that a changed value does not go unnoticed.
    changed = next(event for event in trace.events if event.inputs.get("step", "").startswith("s4"))
    changed.output["value"]["items"][0]["text"] = "9,999"
    with pytest.raises(ToolError, match="can't be replayed"):
        replay_plan(trace)


def test_independent_steps_run_at_the_same_time_with_an_api_model(index):
    said = "7,240 more visitors came in the third quarter."
    result = Planner(index, ScriptedModel(said)).ask(VISITORS, Plan.parse(VISITORS, VISITORS_PLAN))
    assert (result.answer, result.outcome) == (f"{said} [1] [2]", "plan")
    assert [step.number for step in result.steps] == [1, 2, 3, 4, 5]
    assert same(replayed(result), result)


def test_the_direct_answer_comes_first(index):
    sure = Planner(index, ScriptedModel("The planetarium show costs 7.50 euros."))
    result = sure.ask("How much does the planetarium show cost?")
    assert result.outcome == "direct"
    assert [event.kind for event in result.trace.events] == ["direct"]
    assert same(replayed(result), result)


WORDS = {
    "Question: How many quarters are listed?": as_json(
        ("find_section", "Visitors"), ("list_items", "quarters", "s1"), ("count_items", "s2"), ("answer", "s3")
    ),
    "Task: Answer the question": "There are 4 quarters.",
}


def test_a_model_writes_plan_and_answer_and_the_plan_can_be_declined(index):
    asked = []

    def confirm(plan, quote):
        asked.append((str(plan), quote.calls))
        return len(asked) == 1

    options = PlannerOptions(when="always")
    planner = Planner(index, ScriptedModel(WORDS), options=options, confirm=confirm)
    result = planner.ask("How many quarters are listed?")
    assert result.outcome == "plan"
    assert result.answer.startswith("There are 4 quarters. [1]")
    assert asked[0][1] == 1
    assert same(replayed(result), result)
    declined = planner.ask("How many quarters are listed?")
    assert (declined.outcome, declined.reason) == ("fallback", "The plan was not confirmed.")
    assert same(replayed(declined), declined)


@pytest.mark.parametrize(
    ("text", "budget", "reason"),
    [
        ('s1 = find_passages("cabins")\ns2 = extract_value("Who built the Fjord cabin?", s1)\ns3 = answer(s2)',
         PlanBudget(), "s2 = extract_value"),
        ('s1 = invented("x")\ns2 = answer(s1)', PlanBudget(), "unknown action 'invented'"),
        (VISITORS_PLAN, PlanBudget(seconds=-1), "limit of seconds"),
        (None, PlanBudget(calls=1), "limit of calls"),
        (None, PlanBudget(), "No plan was valid"),
    ],
)  # fmt: skip
def test_a_plan_that_fails_gives_the_direct_answer_and_says_why(index, text, budget, reason):
    model = None if text else ScriptedModel("The observatory had 41,870 visitors.")
    planner = Planner(index, model, options=PlannerOptions(when="always", budget=budget, retries=0))
    result = planner.ask(VISITORS, Plan.parse(VISITORS, text) if text else None)
    assert result.outcome == "fallback"
    assert reason in result.reason
    assert result.answer
    assert same(replayed(result), result)


def test_an_own_action_runs_beside_the_built_in_ones(index):
    def shout(bench, value):
        if "7,240" in value.text:
            raise KeyError("7,240")
        return Value.single(value.text.upper(), value)

    own = {**ACTIONS, "shout": Action("shout", (Parameter("text", ("value",)),), "value", "Write in capitals.", shout)}
    planner = Planner(index, None, actions=own)
    result = planner.ask(
        "?", Plan.parse(VISITORS, VISITORS_PLAN.replace("answer(s4)", "shout(s3)\ns6 = answer(s4, s5)"))
    )
    assert "FIRST, VISITORS: 7,410" in result.answer
    assert same(replay_plan(result.trace, own), result)
    with pytest.raises(ToolError, match="not known: "):
        replay_plan(result.trace)
    failed = planner.ask("?", Plan.parse(VISITORS, VISITORS_PLAN.replace("answer(s4)", "shout(s4)\ns6 = answer(s5)")))
    assert "KeyError" in failed.reason


def items(*texts):
    return Value("items", tuple(Item(text) for text in texts))


@pytest.mark.parametrize(
    ("action", "arguments", "text"),
    [
        ("intersect", (items("Star map", "Tour"), items("Tour, 9 euros", "Lift")), "Tour"),
        ("combine", (items("Star map"), items("star map", "Lift")), "Star map\nLift"),
        ("count_items", (items("a", "b", "c"),), "3"),
        ("largest_item", (items("Tour: 9 euros", "Show: 12.50 EUR"),), "Show: 12.50 EUR"),
        ("largest_item", (items("third, visitors: 9,650, tours: 81", "first, visitors: 7,410, tours: 92"), "tours"),
         "first, visitors: 7,410, tours: 92"),
        ("smallest_item", (items("opened 3 May 1999", "rebuilt on March 16, 1987"),), "rebuilt on March 16, 1987"),
        ("difference", (items("3 May 1999"), items("1 May 1999")), "2 days"),
        ("difference", (items("2 hours"), items("30 minutes")), "1.5 hours"),
        ("difference", (items("built in 1987"), items("1979")), "8 years"),
        ("keep_items", ("less than 10 euros", items("Tour: 9 euros", "Show: 12.50 euros")), "Tour: 9 euros"),
        ("compare", ("Which is cheaper, the tour or the show?", items("9 euros"), items("12 euros")),
         "The tour (the tour: 9 euros; the show: 12 euros)"),
    ],
)  # fmt: skip
def test_actions_compute_with_values(index, action, arguments, text):
    bench = Planner(index, None)._bench("?", None)
    assert ACTIONS[action].run(bench, *arguments).text == text


def test_values_without_a_common_unit_are_not_compared(index):
    for action, arguments in [
        ("difference", (items("9 euros"), items("3 km"))),
        ("largest_item", (items("9 euros", "3 km"),)),
        ("largest_item", (items("third, visitors: 9,650", "first, visitors: 7,410"), "price")),
        ("count_items", (replace(items("a"), note="More rows follow."),)),
    ]:
        with pytest.raises(PlanError):
            ACTIONS[action].run(None, *arguments)
    assert quantity_of("no number") is None


def test_plans_that_worked_become_demonstrations(index, tmp_path):
    question = "How many quarters are listed?"
    prompts = []

    def reply(messages):
        prompts.append(messages)
        text = messages[-1].content
        if "Task:" in text:
            return "There are 4 quarters."
        if "Question: How many quarters" in text and "wrong answer" not in text:
            return as_json(("find_section", "Science"), ("answer", "s1"))
        return WORDS[f"Question: {question}"]

    with ExamplePool.create(tmp_path / "pool") as pool:
        planner = Planner(index, ScriptedModel(reply), demonstrations=pool)
        asked = [Example(question, "4 quarters"), Example("Who flew to the Moon?", "Neil Armstrong")]
        report = refine(planner, asked, pool, tries=2)
        assert (report.kept, report.failed) == (1, ("Who flew to the Moon?",))
        [kept] = pool
        assert kept.output.splitlines()[2] == "s3 = count_items(s2)"
        assert refine(planner, asked[:1], pool).known == 1
        prompts.clear()
        planner.plan("How many prices are listed?")
        [messages] = prompts
        assert messages[-3].content == f"Question: {question}"
        assert len(messages) == 2 + 2 * SHOWN


def test_a_document_longer_than_the_window_is_cited_exactly(tmp_path):
    lines = [f"Locker {number} belongs to guest {number * 7}." for number in range(150)]
    (tmp_path / "lockers.md").write_text("# Lockers\n\n" + "\n\n".join(lines))
    plan = Plan.parse(
        "Which guest has locker 120?",
        's1 = read_document("Lockers")\ns2 = extract_value("Which guest has locker 120?", s1)\ns3 = answer(s2)',
    )
    with Index.create(tmp_path / "index") as made:
        made.add(tmp_path / "lockers.md")
        text = made.document(made.documents()[0].id).text
        for reply in ("guest 21", "guest 840"):
            result = Planner(made, ScriptedModel(reply, window=1000)).ask(plan.question, plan)
            values = [value for step in result.steps if (value := step.value) is not None]
            for citation in (citation for value in values for citation in value.citations()):
                assert text[citation.start : citation.end] == citation.quote
    assert values[1].text == "guest 840"


QUESTIONS = """\
What is the price of the evening tour?
What's the price for a school visit?
What is the cost of the star map?
What is the price of the membership?
How do I submit a time card?
How can I request a new laptop?
How do we book a meeting room?
Summarise the visitor rules.
What is the colour of the dome?
"""


def test_actions_are_mined_from_questions_and_run_in_plans(index, tmp_path):
    report = mine_actions(QUESTIONS.splitlines(), index.embedder)
    assert [(one.name, one.returns, one.support) for one in report.actions] == [
        ("find_price", "value", 4),
        ("find_steps", "items", 3),
    ]
    assert report.actions[0].question == "What is the price for {subject}?"
    assert "cost" in report.actions[0].purpose
    assert (report.built_in, report.dropped) == ({"summarise": 1}, {"colour": 1})
    visitors = MinedAction("find_quarter", "value", "Find the visitors.", "How many visitors came in the {subject}?")
    save_actions([*report.actions, visitors], tmp_path / "actions.json")
    actions = load_actions(tmp_path / "actions.json")
    plan = Plan.parse(
        "How many visitors came in the third quarter?",
        's1 = find_section("Visitors")\ns2 = find_quarter("third quarter", s1)\ns3 = answer(s2)',
    )
    result = Planner(index, None, actions=actions).ask(plan.question, plan)
    assert result.outcome == "plan", result.reason
    assert "14,650" in result.answer
    assert "14,650" in result.citations[0].quote
    again = replay_plan(result.trace, actions)
    assert (again.answer, again.citations) == (result.answer, result.citations)
    with pytest.raises(ToolError, match="not known: "):
        replay_plan(result.trace)
    with pytest.raises(PlanError, match="Invalid action name: 'answer'"):
        MinedAction("answer", "value", "", "What is {subject}?")
    (tmp_path / "actions.json").write_text("[]")
    with pytest.raises(PlanError, match="not a file of actions"):
        load_actions(tmp_path / "actions.json")


def test_a_model_that_writes_answers_a_mined_action_with_citations(index):
    action = MinedAction(
        "find_bus", "value", "Find the last bus.", "When does the last bus to {subject} leave?"
    ).action()
    plan = Plan.parse("Last bus?", 's1 = find_passages("last bus back")\ns2 = find_bus("town", s1)\ns3 = answer(s2)')
    model = ScriptedModel("The last bus back leaves at 23:10 [1].", window=100_000)
    result = Planner(index, model, actions={**ACTIONS, "find_bus": action}).ask(plan.question, plan)
    assert result.outcome == "plan", result.reason
    assert "23:10" in result.answer
    assert any("23:10" in citation.quote for citation in result.citations)
