"""Random search over shots, and two ways of having a model write instructions: APE and OPRO."""

from __future__ import annotations

from functools import partial

from ragkit.prompt_search.base import PromptCandidate
from ragkit.prompt_search.proposals import ask_by_history, ask_for_instruction, ask_for_variation
from ragkit.prompt_search.racing import Entrant, race, race_size
from ragkit.prompt_search.report import Trial
from ragkit.prompt_search.study import PATIENCE, Study

_DRAWS = 50
"""Tries at drawing a set of shots that is new; small training sets have few."""


def random_shots(study: Study) -> None:
    """Race sets of training examples, drawn and ordered by chance; the start's instruction stays.

    Random search is hard to beat where few of many choices matter (Bergstra and Bengio, JMLR 2012), and the choice and
    order of shots matter much to a small model.
    """
    instruction = study.trials[0].candidate.instruction
    while (wanted := race_size(study)) > 0:
        entrants: list[Entrant] = []
        for _ in range(wanted * _DRAWS):
            drawn = PromptCandidate(instruction, tuple(study.drawn_train(study.options.shots)))
            if study.is_new(drawn):
                entrants.append((drawn, "shots by chance"))
                if len(entrants) == wanted:
                    break
        if not entrants:
            study.notes.append("Ended early: no further set of shots can be drawn.")
            return
        race(study, entrants)


def ape(study: Study) -> None:
    """Race instructions that the proposer induces from training examples, then variations of the best ones.

    After Zhou et al., *Large language models are human-level prompt engineers*, arXiv:2211.01910: forward generation
    from other examples each time, adaptive filtering on dev, and Monte Carlo search around what did well. The start's
    shots stay.
    """
    shots = study.trials[0].candidate.shots
    barren = 0
    while barren < PATIENCE and (wanted := race_size(study, each=1)) > 0:
        induce = barren > 0 or len(study.trials) == 1
        parents = [] if induce else _best_instructions(study, max(1, wanted // 2))
        entrants: list[Entrant] = []
        for number in range(wanted):
            if parents:
                parent = parents[number % len(parents)]
                reply = study.propose(ask_for_variation(parent.candidate.instruction))
                origin = f"variation of {parent.number}"
            else:
                demos = study.drawn_train(study.options.demos)
                reply = study.propose(study.fitting(ask_for_instruction, demos))
                origin = "induced"
            candidate = study.screened(reply, shots)
            if candidate is not None:
                entrants.append((candidate, origin))
        if entrants:
            race(study, entrants)
        barren = 0 if entrants else barren + 1
    _note_barren(study, barren)


def opro(study: Study) -> None:
    """Have the proposer better the instructions it sees with their scores, the best last.

    After Yang et al., *Large language models as optimizers*, arXiv:2309.03409: several proposals a step, each scored on
    all of dev. The start's shots stay.
    """
    shots = study.trials[0].candidate.shots
    barren = step = 0
    while barren < PATIENCE:
        wanted = min(study.options.proposals, study.left // (1 + len(study.dev)))
        if wanted < 1:
            break
        step += 1
        ranked = sorted(study.trials, key=lambda trial: (trial.score, -trial.number))
        scored = [(trial.candidate.instruction, trial.score) for trial in ranked if trial.candidate.instruction]
        scored = scored[-study.options.history :]
        demos = study.drawn_train(study.options.demos)
        messages = study.fitting(partial(ask_by_history, demos=demos), scored)
        read = [study.screened(study.propose(messages), shots) for _ in range(wanted)]
        found = [candidate for candidate in read if candidate is not None]
        for candidate in found:
            study.score(candidate, range(len(study.dev)))
            study.settle(candidate, f"step {step}")
        barren = 0 if found else barren + 1
    _note_barren(study, barren)


def _best_instructions(study: Study, count: int) -> list[Trial]:
    """Return the trials with the best instructions: those that were tried longest, and of them by score."""
    told = [trial for trial in study.trials if trial.candidate.instruction]
    return sorted(told, key=lambda trial: (-len(trial.scores), -trial.score, trial.number))[:count]


def _note_barren(study: Study, rounds: int) -> None:
    if rounds >= PATIENCE:
        study.notes.append(f"Ended early: {rounds} rounds of proposals in a row held nothing new to try.")
