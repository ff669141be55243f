"""Messages with their urgency: what the learned half of triage learns from.

No public set says how urgent a Chinese complaint is, so the messages are our own
(`training/text/messages`): written by topic, each with the disposition that a cautious telephone
nurse would give, and as many harmless cousins that share their words. The ESI handbook's
practice cases have experts' levels. Real consults and bare names of findings carry the verdict of
the rules and a small weight: they show how patients write, and how short.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from knowledge_base.lexicon.findings import lexicon
from knowledge_base.rules.ruleset import Rule, rules
from models.triage.case import CaseReader
from models.triage.request import TriageRequest
from training.text.readers import rows, text_of

MESSAGES = Path(__file__).parent / "messages"
CRISIS = "crisis"
_ROUTINE = 4
_NO_COMPLAINT = frozenset({"request", "medicine", "state"})
_OF_ESI = {1: 1, 2: 2, 3: 3, 4: 4, 5: 4}


@dataclass(frozen=True)
class Message:
    """One text. `level` None and `crisis` None: not known, and not learned from this row."""

    text: str
    level: int | None
    crisis: bool | None
    source: str


class RuleVerdict:
    """What the rules say of a text: its level, and whether a mental-health rule fired."""

    def __init__(self) -> None:
        self._reader = CaseReader(lexicon())
        self._rules = rules()

    def __call__(self, text: str) -> tuple[int | None, bool]:
        """The level, None where nothing was understood; and the crisis flag."""
        case = self._reader.read(TriageRequest(text=text))
        verdict = self._rules.judge(case.facts)
        crisis = any(map(_of_the_mind, verdict.fired))
        if not case.understood:
            return None, crisis
        return verdict.disposition or _ROUTINE, crisis


def _of_the_mind(rule: Rule) -> bool:
    return rule.text.topic == "mental_health"


def own_messages(verdict: RuleVerdict, limit: int | None = None) -> Iterator[Message]:
    """Our messages; what may be a crisis by the rules teaches the level alone."""
    for path in track(sorted(MESSAGES.glob("*.jsonl")), "messages"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if limit is not None and number >= limit:
                break
            row = json.loads(line)
            if path.stem.startswith(CRISIS):
                yield Message(row["text"], None, bool(row["crisis"]), "crisis")
            else:
                crisis = None if verdict(row["text"])[1] else False
                yield Message(row["text"], int(row["level"]), crisis, "message")


def wordings(verdict: RuleVerdict, limit: int | None = None) -> Iterator[Message]:
    """Names of findings as bare complaints, with the rules' level: how short a message may be."""
    known = lexicon()
    for code in track(list(known)[:limit], "wordings"):
        concept = known[code]
        if concept.kind in _NO_COMPLAINT:
            continue
        for name in (concept.zh, *concept.synonyms_zh[:2], concept.en, *concept.synonyms_en[:2]):
            level, crisis = verdict(name)
            if level is not None:
                yield Message(name, level, None if crisis else False, "wording")


def practice_cases(data_dir: Path, limit: int | None = None) -> Iterator[Message]:
    """The ESI handbook's cases, as dispositions."""
    for row in rows(data_dir, "esi_handbook.train", limit):
        yield Message(text_of(row, "text"), _OF_ESI[int(str(row["esi"]))], None, "practice")


def consults(data_dir: Path, verdict: RuleVerdict, most: int) -> Iterator[Message]:
    """Real complaints with the rules' level, spread over the file; only those understood."""
    every = list(rows(data_dir, "zh_consult_internal.train"))
    for row in track(every[:: max(1, len(every) // most)][:most], "consults"):
        text = text_of(row, "text") or text_of(row, "title")
        level, crisis = verdict(text) if text.strip() else (None, False)
        if level is not None:
            yield Message(text, level, None if crisis else False, "consult")
