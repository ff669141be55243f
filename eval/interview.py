"""The interview benchmark: simulated patients talk to triage until it asks no more.

Each vignette is played twice, by a clear and by a noisy patient (eval/simulated_patient.py), and
its final disposition is compared with the one that the whole vignette gets at once. That is our
own answer to full information, not a physician's: this measures the asking, not the rules. Never
reads the diagnosis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.classes import confusion
from eval.estimates import Estimate, bootstrapped, share
from eval.progress import track
from eval.readers import Line
from eval.result import Details, Miss, Scored
from eval.simulated_patient import NoisyPatient, SimulatedPatient, Vignette, vignette
from knowledge_base.lexicon.findings import lexicon
from models.repository import ModelRepository
from models.tasks.triage import Judged
from models.triage.conversation import Conversation
from models.triage.local import LocalTriage
from models.triage.questions import OPEN
from models.triage.request import TriageRequest
from models.triage.result import QuestionResult, TriageResult

_LEVELS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True)
class Played:
    """One interview: levels after the first message, at the end and with everything told."""

    row: str
    first: int
    last: int
    full: int
    questions: tuple[str, ...]
    full_rules: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """The interview ended where full information would have."""
        return self.last == self.full


class Player:
    """Plays patients against one triage task, the department model included."""

    def __init__(self, repository: ModelRepository) -> None:
        self._triage = LocalTriage(repository)
        self.models = self._triage.versions
        self.versions: dict[str, str] = {}

    def whole(self, case: Vignette) -> Judged:
        """The vignette told at once; as in a talk, the story belongs to what is told unasked
        where the first message does not say what is the matter."""
        first = self._triage.judged(TriageRequest(messages=case.whole[:1]))
        unasked = tuple(dict.fromkeys(case.whole[: 1 if first.case.understood else 2]))
        return self._triage.judged(TriageRequest(messages=case.whole, unasked=unasked))

    def play(
        self, case: Vignette, full: Judged, patient: SimulatedPatient, *, volunteers: bool = True
    ) -> Played:
        """One interview; `volunteers` False gives open questions a plain "no"."""
        talk, words = Conversation(), patient.opening()
        levels: list[int] = []
        asked: list[str] = []
        while True:
            talk = talk.hear(words)
            result = self._answer(talk)
            levels.append(result.disposition.level)
            talk = talk.ask(result)
            question = talk.question
            if question is None:
                break
            asked.append(question.code)
            words = patient.reply(question) if volunteers or not _open(question) else "No."
        deciding = [r.id for r in full.verdict.fired if r.disposition == full.level]
        return Played(case.row, levels[0], levels[-1], full.level, tuple(asked), tuple(deciding))

    def _answer(self, talk: Conversation) -> TriageResult:
        request = TriageRequest(
            messages=talk.messages,
            unasked=tuple(m for m in talk.unasked if m in talk.messages),
            answers=dict(talk.answers),
        )
        result = self._triage(request)
        self.versions = result.versions
        return result


def score(lines: Sequence[Line], repository: ModelRepository) -> Scored:
    """Play every line; raises BenchmarkError for a line without the fields of a vignette."""
    cases = [vignette(line) for line in lines]
    player, terms = Player(repository), lexicon()
    clean: list[Played] = []
    noisy: list[Played] = []
    closed: list[Played] = []
    for case in track(cases, len(cases), "interview"):
        full = player.whole(case)
        known = (case, full.case.facts, full.case.readings, terms)
        clean.append(player.play(case, full, SimulatedPatient(*known)))
        noisy.append(player.play(case, full, NoisyPatient(*known)))
        closed.append(player.play(case, full, SimulatedPatient(*known), volunteers=False))
    return Scored(
        n=len(cases),
        estimates=estimates(clean, noisy, closed),
        models={**player.models, **player.versions},
        details=_details(clean, noisy),
    )


def estimates(
    clean: Sequence[Played], noisy: Sequence[Played], closed: Sequence[Played]
) -> dict[str, Estimate]:
    """Every metric; questions are counted over clean interviews unless the name says otherwise."""
    asked = np.array([len(p.questions) for p in clean], dtype=float)
    muddled = np.array([len(p.questions) for p in noisy], dtype=float)
    return {
        "median_questions": bootstrapped(lambda rows: float(np.median(asked[rows])), len(asked)),
        "mean_questions": bootstrapped(lambda rows: float(asked[rows].mean()), len(asked)),
        "median_questions_noisy": bootstrapped(
            lambda rows: float(np.median(muddled[rows])), len(muddled)
        ),
        "agreement_clean": share([p.agrees for p in clean]),
        "agreement_noisy": share([p.agrees for p in noisy]),
        "agreement_closed": share([p.agrees for p in closed]),
        "agreement_first": share([p.first == p.full for p in clean]),
        "under_clean": share([p.last > p.full for p in clean]),
        "under_noisy": share([p.last > p.full for p in noisy]),
        "changed_from_first": share([p.last != p.first for p in clean]),
        "raised": share([p.last < p.first for p in clean]),
        "lowered": share([p.last > p.first for p in clean]),
        "asked_nothing": share([not p.questions for p in clean]),
    }


def _open(question: QuestionResult) -> bool:
    return question.code in OPEN


def _details(clean: Sequence[Played], noisy: Sequence[Played]) -> Details:
    number = Counter(len(p.questions) for p in clean)
    most = Counter(code for p in clean for code in p.questions).most_common(12)
    return Details(
        data=(f"{len(clean)} vignettes, each played clear and noisy.",),
        method=(
            "The first message is age, sex and complaints; replies come from the rest of the "
            "vignette, in words, and only to what was asked. What it does not mention is denied.",
            "An open question gets the next two sentences of the story; agreement_closed is that "
            "of a patient who says no to every open question.",
            "The noisy patient leaves every reply out with probability one half, answers vaguely "
            "and swaps neighbouring words. Seeded by the row.",
            "Agreement: the same level as from the whole vignette at once.",
            "Questions asked: " + ", ".join(f"{k}: {number[k]}" for k in sorted(number)) + ".",
            "Asked most: " + ", ".join(f"{code} {n}" for code, n in most) + ".",
        ),
        confusion=confusion(
            [str(p.first) for p in clean], [str(p.last) for p in clean], _LEVELS, _LEVELS
        ),
        misses=(*_misses("clean", clean), *_misses("noisy", noisy)),
        misses_title="Interviews that ended elsewhere than full information "
        "(the matrix above: first message against end)",
    )


def _misses(name: str, played: Iterable[Played]) -> list[Miss]:
    wrong = sorted((p for p in played if not p.agrees), key=lambda p: p.full - p.last)
    return [
        Miss(
            f"{p.row}, {name}",
            str(p.full),
            str(p.last),
            f"first {p.first}; decided by {', '.join(p.full_rules[:3]) or 'no rule'}; "
            f"asked {', '.join(p.questions) or 'nothing'}",
        )
        for p in wrong
    ]
