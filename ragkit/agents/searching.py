"""Search for a sequence of calls that leads to an accepted answer: a chain, several chains, breadth or depth first.

Depth first is DFSDT of ToolLLM (Qin et al. 2023) with three changes: proposals are ordered by likelihood, a call that
was tried in a branch is masked instead of described to the model, and an answer counts only if it is accepted: for an
agent, if its numbers and names occur in the results of calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ragkit.agents.running import Call, Outcome

Method = Literal["chain", "chains", "breadth", "depth"]


@dataclass(frozen=True, slots=True)
class SearchBudget:
    """Limits of a search; the first that is reached ends it."""

    width: int = 2
    """Maximum proposals of a state in ``breadth`` and ``depth``."""
    depth: int = 6
    """Maximum calls of a branch."""
    calls: int = 12
    """Maximum calls of all branches."""
    seconds: float = 300.0
    """Maximum time."""
    tokens: int = 50_000
    """Maximum tokens of the model, if the policy counts them."""
    chains: int = 3
    """Maximum chains in ``chains``."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call and its outcome."""

    call: Call
    outcome: Outcome


class Policy(Protocol):
    """Proposes what to do next."""

    @property
    def tokens(self) -> int:
        """Tokens used so far."""
        ...

    def propose(self, steps: Sequence[Step], tried: frozenset[str], width: int) -> Sequence[Call | None]:
        """Return up to ``width`` calls, best first; None means to answer now.

        Args:
            steps: calls of this branch with their outcomes.
            tried: keys of calls that must not be proposed.
            width: maximum number of proposals.
        """
        ...

    def answer(self, steps: Sequence[Step]) -> str | None:
        """Return an answer from the outcomes, or None if it would not be accepted."""
        ...


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Result of a search."""

    answer: str | None
    """Accepted answer; None if there is none."""
    steps: tuple[Step, ...]
    """Calls of the branch that led to the answer, or of the longest one."""
    calls: int
    """Calls of all branches."""
    stopped_by: Literal["answer", "exhausted", "calls", "seconds", "tokens"]


class BudgetReachedError(Exception):
    """A limit of a search is reached, whose name is the argument. It ends the search and reaches no caller."""


def search(
    policy: Policy,
    run: Callable[[Call], Outcome],
    method: Method = "depth",
    budget: SearchBudget = SearchBudget(),
    *,
    state: Callable[[Sequence[Step]], Hashable] | None = None,
    restart: Callable[[Sequence[Step]], None] | None = None,
) -> SearchResult:
    """Search for an accepted answer.

    Args:
        policy: proposes calls and answers.
        run: runs a call.
        method: ``chain`` follows the best proposal; ``chains`` starts several chains; ``breadth`` expands all states of
            a depth before the next; ``depth`` follows a branch to its end and then goes back.
        budget: limits.
        state: returns a key of the state after some steps, so that equal states are expanded once; by default the
            successful calls, in any order, which is right for tools that only read.
        restart: called before a branch continues from earlier steps; for tools with a state, it replays them.
    """
    return _Search(policy, run, budget, state or _read_state, restart or (lambda steps: None)).start(method)


def _read_state(steps: Sequence[Step]) -> Hashable:
    return frozenset(step.call.key() for step in steps if step.outcome.ok)


@dataclass(slots=True)
class _Search:
    policy: Policy
    run: Callable[[Call], Outcome]
    budget: SearchBudget
    state: Callable[[Sequence[Step]], Hashable]
    restart: Callable[[Sequence[Step]], None]
    calls: int = 0
    longest: tuple[Step, ...] = ()
    seen: set[Hashable] = field(default_factory=set)
    until: float = 0.0

    def start(self, method: Method) -> SearchResult:
        self.until = time.monotonic() + self.budget.seconds
        reason: Literal["answer", "exhausted", "calls", "seconds", "tokens"] = "exhausted"
        found: tuple[str, tuple[Step, ...]] | None = None
        try:
            if method == "chain":
                found = self._chain()
            elif method == "chains":
                for _ in range(self.budget.chains):
                    self.restart(())
                    found = self._chain()
                    if found is not None:
                        break
            elif method == "breadth":
                found = self._breadth()
            else:
                found = self._depth((), frozenset())
        except BudgetReachedError as error:
            reason = error.args[0]
        if found is not None:
            return SearchResult(found[0], found[1], self.calls, "answer")
        return SearchResult(None, self.longest, self.calls, reason)

    def _chain(self) -> tuple[str, tuple[Step, ...]] | None:
        steps: tuple[Step, ...] = ()
        while len(steps) < self.budget.depth:
            tried = frozenset(step.call.key() for step in steps)
            proposals = self._propose(steps, tried, 1)
            if not proposals:
                return None
            if proposals[0] is None:
                answer = self.policy.answer(steps)
                return None if answer is None else (answer, steps)
            steps = (*steps, self._run(proposals[0], steps))
        answer = self.policy.answer(steps)
        return None if answer is None else (answer, steps)

    def _depth(self, steps: tuple[Step, ...], branch: frozenset[str]) -> tuple[str, tuple[Step, ...]] | None:
        """Expand a state; ``branch`` are the keys of the calls that led to it."""
        key = self.state(steps)
        if key in self.seen:
            return None
        self.seen.add(key)
        tried = branch
        for count in range(self.budget.width):
            # One proposal at a time: what failed is known before the next one.
            proposal = self._propose(steps, tried, 1)
            if not proposal:
                return None
            if proposal[0] is None or len(steps) >= self.budget.depth:
                answer = self.policy.answer(steps)
                return None if answer is None else (answer, steps)
            if count:
                self.restart(steps)
            step = self._run(proposal[0], steps)
            tried |= {step.call.key()}
            if step.outcome.ok:
                found = self._depth((*steps, step), branch | {step.call.key()})
                if found is not None:
                    return found
        return None

    def _breadth(self) -> tuple[str, tuple[Step, ...]] | None:
        level: list[tuple[Step, ...]] = [()]
        while level:
            following: list[tuple[Step, ...]] = []
            for steps in level:
                tried = frozenset(step.call.key() for step in steps)
                for proposal in self._propose(steps, tried, self.budget.width):
                    if proposal is None or len(steps) >= self.budget.depth:
                        answer = self.policy.answer(steps)
                        if answer is not None:
                            return answer, steps
                        continue
                    self.restart(steps)
                    step = self._run(proposal, steps)
                    after = (*steps, step)
                    if step.outcome.ok and self.state(after) not in self.seen:
                        self.seen.add(self.state(after))
                        following.append(after)
            level = following
        return None

    def _propose(self, steps: tuple[Step, ...], tried: frozenset[str], width: int) -> Sequence[Call | None]:
        self._check()
        return self.policy.propose(steps, tried, width)

    def _run(self, call: Call, steps: tuple[Step, ...]) -> Step:
        if self.calls >= self.budget.calls:
            raise BudgetReachedError("calls")
        self._check()
        self.calls += 1
        step = Step(call, self.run(call))
        if len(steps) >= len(self.longest):
            self.longest = (*steps, step)
        return step

    def _check(self) -> None:
        if time.monotonic() > self.until:
            raise BudgetReachedError("seconds")
        if self.policy.tokens > self.budget.tokens:
            raise BudgetReachedError("tokens")
