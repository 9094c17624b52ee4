"""``ragkit plan``: show the plan for a question, and run it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.asking import NoUpdate, answer_options, opened_index, print_citation
from ragkit.cli.options import Json, TargetName, Where
from ragkit.cli.output import err, one_line, out, print_json
from ragkit.cli.pools import InputField, OutputField
from ragkit.cli.tasks import ModelName, opened_model
from ragkit.serving.names import harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragkit.agents import Plan, Planner, PlannerOptions, PlanQuote, PlanResult
    from ragkit.agents.plans.planner import ConfirmPlan

Question = Annotated[str, typer.Argument(help="The question.", show_default=False)]
PlanFile = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="File with the steps, instead of letting the model write them."),
]


PoolOption = Annotated[
    str | None,
    typer.Option("--pool", "-p", metavar="NAME", help="Example pool with plans that worked, made by `plan refine`."),
]


ActionsFile = Annotated[
    Path | None,
    typer.Option("--actions", metavar="FILE", help="File of further actions, made by `plan mine`."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    plan = typer.Typer(help="Answer questions in several checked steps.", no_args_is_help=True)
    plan.command()(show)
    plan.command()(run)
    plan.command()(refine)
    plan.command()(mine)
    app.add_typer(plan, name="plan")


def show(
    target: TargetName,
    question: Question,
    model: ModelName = None,
    file: PlanFile = None,
    pool: PoolOption = None,
    actions: ActionsFile = None,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Show the plan for a question and its estimated cost, without running it."""
    from ragkit.agents import PlannerOptions
    from ragkit.errors import PlanError

    with _opened(target, model, PlannerOptions(), None, pool, actions, update=not no_update, json=json) as planner:
        plan = _read(file, question)
        attempts = 0
        if plan is None:
            written = planner.plan(question)
            attempts = len(written.attempts)
            if written.plan is None:
                raise PlanError(
                    f"No plan was valid in {attempts} attempts: {written.attempts[-1].problems[0]}",
                    "Use another model, or specify the steps: --plan FILE",
                )
            plan = written.plan
        quote = planner.quote(plan)
    if json:
        print_json({"plan": str(plan).splitlines(), "attempts": attempts, "quote": quote})
    else:
        out.print(harmless(str(plan)), markup=False)
        err.print(_quote_text(quote), markup=False)


def run(
    target: TargetName,
    question: Question,
    model: ModelName = None,
    file: PlanFile = None,
    pool: PoolOption = None,
    actions: ActionsFile = None,
    if_unsure: Annotated[
        bool, typer.Option("--if-unsure", help="Run a plan only if the direct answer is unsure or an abstention.")
    ] = False,
    max_calls: Annotated[int, typer.Option("--max-calls", min=1, help="Maximum calls of the model.")] = 24,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Maximum tokens of the model.")] = 60_000,
    seconds: Annotated[float, typer.Option("--time-limit", metavar="SECONDS", help="Time limit.")] = 600.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Run the plan without asking.")] = False,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Write the trace to a file, for `ragkit trace`.")
    ] = None,
    where: Where = None,
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Answer a question by a plan.

    The direct answer is made first. If the plan fails, it is shown instead, with the reason. The estimated cost is
    shown before the plan runs, and needs a confirmation; with --json, nothing is asked.
    """
    from ragkit.agents import PlanBudget, PlannerOptions

    options = PlannerOptions(
        when="unsure" if if_unsure else "always", budget=PlanBudget(max_calls, max_tokens, seconds)
    )
    asks = not (yes or json)

    def confirm(plan: Plan, quote: PlanQuote) -> bool:
        if not json:
            err.print(harmless(str(plan)), markup=False)
        err.print(_quote_text(quote), markup=False)
        return not asks or quote.calls == 0 or typer.confirm("Run the plan?", default=True, err=True)

    with _opened(target, model, options, confirm, pool, actions, update=not no_update, json=json) as planner:
        result = planner.ask(question, _read(file, question), where=where)
    if trace is not None:
        result.trace.save(trace)
    print_plan_result(result, json)


def refine(
    target: TargetName,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV, TSV or JSON Lines: a question and its answer per row.", show_default=False
        ),
    ],
    pool: Annotated[str, typer.Option("--pool", "-p", metavar="NAME", help="Example pool for the plans.")],
    model: ModelName = None,
    tries: Annotated[int, typer.Option(min=1, help="Maximum plans per question.")] = 3,
    actions: ActionsFile = None,
    input_field: InputField = "question",
    output_field: OutputField = "answer",
    no_update: NoUpdate = False,
    json: Json = False,
) -> None:
    """Keep the plans that give the known answers of questions, as examples for `plan run --pool NAME`."""
    from ragkit.agents import PlannerOptions
    from ragkit.agents import refine as refine_plans
    from ragkit.cli.pools import opened_pool, read_test
    from ragkit.settings import load_settings

    examples = read_test(file, input_field, output_field)
    with (
        opened_pool(pool, load_settings(), create=True) as opened,
        _opened(target, model, PlannerOptions(), None, None, actions, update=not no_update, json=json) as planner,
    ):
        report = refine_plans(planner, examples, opened, tries=tries)
    if json:
        print_json(report)
        return
    out.print(
        f"{report.kept:,} of {report.questions:,} questions have a plan that gives their answer; {report.known:,} were "
        f"in the pool before. The direct answer was right for {report.direct:,}.",
        markup=False,
    )
    for question in report.failed:
        out.print(harmless(f"  no plan: {one_line(question, 160)}"), style="yellow", markup=False)


def mine(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="QUESTIONS",
            help="Text file with a question per line, or CSV, TSV or JSON Lines with a column of questions.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="JSON file of the actions.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Local model that names what questions ask for if the rules find nothing."),
    ] = None,
    least: Annotated[
        int, typer.Option("--min-questions", min=1, help="Minimum number of questions for an action.")
    ] = 3,
    most: Annotated[int, typer.Option("--max-actions", min=1, help="Maximum number of actions.")] = 12,
    input_field: InputField = "question",
    json: Json = False,
) -> None:
    """Propose actions from the questions that people ask, for `plan run --actions FILE`.

    Information that several questions ask for, such as a deadline or a responsible person, becomes a named action.
    Questions that ask for the same in other words are merged. Check the file, and edit names and questions as you like.
    """
    from ragkit.agents import mine_actions, save_actions
    from ragkit.cli.pools import read_questions
    from ragkit.embedding import open_embedder
    from ragkit.errors import SettingsError
    from ragkit.models import ConstrainedModel, open_model
    from ragkit.settings import load_settings

    settings = load_settings()
    namer: ConstrainedModel | None = None
    if model is not None and model != "none":
        found = opened_model(model, settings)
        opened = open_model(found or "auto") if found is None or isinstance(found, str) else found
        if not isinstance(opened, ConstrainedModel):
            raise SettingsError(f"{model} does not follow a grammar.", "Specify a local model, or none.")
        namer = opened
    report = mine_actions(
        read_questions(file, input_field),
        open_embedder(settings.embedding_model),
        model=namer,
        least_support=least,
        most=most,
    )
    save_actions(report.actions, output)
    if json:
        print_json(report)
        return
    for action in report.actions:
        line = f"{action.name} ({action.support:,} questions): {action.question}"
        out.print(harmless(line), markup=False)
        out.print(harmless(f"  such as: {one_line(action.examples[0], 120)}"), style="dim", markup=False)
    for name, count in report.built_in.items():
        err.print(f"Built in: {name} ({count:,} {'question' if count == 1 else 'questions'})", markup=False)
    dropped, unread = len(report.dropped), len(report.unread)
    err.print(f"Asked for too rarely: {dropped:,}. Questions in which nothing was found: {unread:,}.", markup=False)
    out.print(f"{len(report.actions):,} {'action' if len(report.actions) == 1 else 'actions'}: {output}", markup=False)


def print_plan_result(result: PlanResult, json: bool) -> None:
    """Print the answer of a plan with its steps and citations."""
    if json:
        print_json(
            {
                "answer": result.answer,
                "outcome": result.outcome,
                "reason": result.reason,
                "confidence": result.confidence,
                "citations": result.citations,
                "plan": [] if result.plan is None else str(result.plan).splitlines(),
                "steps": [
                    {"number": one.number, "step": str(one.step), "cached": one.cached, "error": one.error,
                     "result": None if one.value is None else one.value.to_dict()}
                    for one in result.steps
                ],
                "tokens": result.trace.tokens,
            }
        )  # fmt: skip
        return
    for one in result.steps:
        said = one.error if one.value is None else one.value.text
        err.print(harmless(f"s{one.number} = {one.step} -> {one_line(said, 160)}"), markup=False)
    if result.reason:
        err.print(harmless(f"{'Direct answer: ' if result.outcome == 'direct' else 'No plan: '}{result.reason}"),
                  markup=False)  # fmt: skip
    out.print(harmless(result.answer), style="bold", markup=False)
    for citation in result.citations:
        print_citation(citation)


@contextmanager
def _opened(
    target: str,
    model: str | None,
    options: PlannerOptions,
    confirm: ConfirmPlan | None,
    pool: str | None,
    actions: Path | None,
    *,
    update: bool,
    json: bool,
) -> Iterator[Planner]:
    from contextlib import ExitStack
    from dataclasses import replace

    from ragkit.agents import ACTIONS, Planner, load_actions
    from ragkit.cli.pools import opened_pool
    from ragkit.settings import load_settings

    settings = load_settings()
    name = model or settings.model
    with opened_index(target, settings, update=update, quiet=json) as index, ExitStack() as stack:
        yield Planner(
            index,
            None if name == "none" else opened_model(name, settings),
            options=replace(options, answers=answer_options(settings)),
            actions=ACTIONS if actions is None else load_actions(actions),
            confirm=confirm,
            demonstrations=None if pool is None else stack.enter_context(opened_pool(pool, settings)),
        )


def _read(file: Path | None, question: str) -> Plan | None:
    from ragkit.agents import Plan
    from ragkit.errors import PlanError

    if file is None:
        return None
    try:
        return Plan.parse(question, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{file} can't be read: {error}.", "Specify a file with one step per line.") from error


def _quote_text(quote: PlanQuote) -> str:
    if not quote.calls:
        return "No calls of a model."
    calls = "1 call" if quote.calls == 1 else f"{quote.calls} calls"
    minutes = "" if quote.minutes is None else f", {quote.minutes:.1f} minutes"
    return f"About {calls} of the model, {quote.tokens:,} tokens{minutes}."
