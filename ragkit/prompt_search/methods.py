"""Random search over shots, and two methods in which a model writes instructions: APE and OPRO."""

from __future__ import annotations

from functools import partial

from ragkit.prompt_search.base import PromptCandidate
from ragkit.prompt_search.proposals import ask_by_history, ask_for_instruction, ask_for_variation
from ragkit.prompt_search.racing import Entrant, race, race_size
from ragkit.prompt_search.report import Trial
from ragkit.prompt_search.study import PATIENCE, Study

_DRAWS = 50
"""Attempts to sample a new set of shots; small training sets have few."""


def random_shots(study: Study) -> None:
    """Compare random sets of shots in random order, with the instruction of the start.

    Random search is a strong baseline if few of many parameters matter (Bergstra and Bengio, JMLR 2012), and choice and
    order of shots matter much for a small model.
    """
    instruction = study.trials[0].candidate.instruction
    while (wanted := race_size(study)) > 0:
        entrants: list[Entrant] = []
        for _ in range(wanted * _DRAWS):
            drawn = PromptCandidate(instruction, tuple(study.drawn_train(study.options.shots)))
            if study.is_new(drawn):
                entrants.append((drawn, "random shots"))
                if len(entrants) == wanted:
                    break
        if not entrants:
            study.notes.append("Ended early: there are no further sets of shots.")
            return
        race(study, entrants)


def ape(study: Study) -> None:
    """Compare instructions that the proposer infers from training examples, then variations of the best ones.

    After Zhou et al., *Large language models are human-level prompt engineers*, arXiv:2211.01910: forward generation
    from different examples each time, adaptive filtering on dev, and Monte Carlo search around the best candidates. The
    shots of the start are kept.
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
    """Let the proposer improve on earlier instructions, which it sees with their scores, the best last.

    After Yang et al., *Large language models as optimizers*, arXiv:2309.03409: several proposals per step, each scored
    on all dev items. The shots of the start are kept.
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
    """Return the trials with the best instructions, by number of items, then by score."""
    trials = [trial for trial in study.trials if trial.candidate.instruction]
    return sorted(trials, key=lambda trial: (-len(trial.scores), -trial.score, trial.number))[:count]


def _note_barren(study: Study, rounds: int) -> None:
    if rounds >= PATIENCE:
        study.notes.append(f"Ended early: {rounds} consecutive rounds had no new proposals.")
