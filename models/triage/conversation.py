"""A conversation with a patient as a value: what was said, answered and asked. Pure.

Each turn gives a new conversation and the request that triage judges; the question that follows
is triage's. No clock, no storage: the server keeps it, the evaluation plays it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from knowledge_base.interview.data import wordings
from knowledge_base.language import Language
from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.rules.facts import Status
from models.text.findings import Reader, Reading
from models.text.normalise import language_of
from models.triage.case import tells
from models.triage.interview import in_mental_distress
from models.triage.questions import (
    DESCRIBE,
    GREETED,
    OPEN,
    SUICIDE_RISK,
    UNWELL,
    Question,
    open_question,
)
from models.triage.replies import Reply, asks_for_meaning, read_reply
from models.triage.result import Choice, QuestionResult, TriageResult

MOST_QUESTIONS = 8
_MOST_ANSWERS = 64
"""As many as a request takes."""
_AMBULANCE, _ROUTINE = 1, 4
_LONG = 40
"""Characters from which words answer an open question whatever they say."""
_BARE_NO = 16
"""Characters up to which a no to "what is wrong" says nothing more."""
_FREE = frozenset({DESCRIBE, GREETED, UNWELL})
"""Questions for what is the matter: the answer is the complaint, as if nobody had asked."""
_NUMBER = re.compile(r"^\D{0,8}(\d{1,3})(?:\D{0,10})$")


@dataclass(frozen=True)
class Conversation:
    """`messages` are the patient's words and what quick replies stand for, in order.

    A greeting, thanks and a question back are no messages, unless they also tell something;
    but what is said first is one until there is better. `unasked` are those of them that came
    while no question was open, or only the one for what is the matter.

    `answers` are quick replies by finding or question; `asked` counts questions; `question` is
    the open one, `answered` the last one that got an answer; `missed` are keys of questions that
    were passed over once. `kept` says that the open question stays, `asked_back` that the patient
    wants to know why it is asked.
    """

    messages: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    answers: Mapping[str, Status] = field(default_factory=dict)
    asked: int = 0
    question: QuestionResult | None = None
    answered: QuestionResult | None = None
    missed: frozenset[str] = frozenset()
    kept: bool = False
    asked_back: bool = False

    def hear(
        self, text: str = "", answer: Status | None = None, ticked: Iterable[str] = ()
    ) -> Conversation:
        """The conversation after the patient's words, quick reply, or both.

        `ticked` are the findings chosen of a question for several. Without an open question an
        answer says nothing.
        """
        said, reply, question = _Said(text), read_reply(text), self.question
        about = question is not None and said.asks_about()
        # "I'm not sure" tells nothing, whatever was asked.
        free = question is None or (
            question.code in _FREE and reply.status is None and tells(said.reading)
        )
        told = replace(
            self,
            messages=self._with(said, reply, about),
            unasked=tuple(dict.fromkeys((*self.unasked, text))) if text and free else self.unasked,
            kept=False,
            asked_back=False,
        )
        if question is None:
            return told
        if answer is None and (reply.social or about):
            return replace(told, kept=True, asked_back=about)
        mentioned = said.mentioned(question.codes) if text else {}
        if answer is not None:
            return told._settle(question, answer, tuple(ticked), mentioned)
        if reply.takes_back and self.answered is not None and reply.status is not None:
            before = told._settle(self.answered, reply.status, (), {})
            return replace(before, question=question, kept=True)
        if reply.asks_back:
            return replace(told, kept=True, asked_back=True)
        return told._read(question, reply, said, mentioned)

    def _with(self, said: _Said, reply: Reply, asks_about: bool) -> tuple[str, ...]:
        """The messages with new words, where these tell something of the patient."""
        if not said.text:
            return self.messages
        before = tuple(m for m in self.messages if not read_reply(m).social)
        idle = reply.social or asks_about or (reply.asks_back and not said.tells_the_rules())
        return before if before and idle else (*before, said.text)

    def _read(
        self, question: QuestionResult, reply: Reply, said: _Said, mentioned: Mapping[str, Status]
    ) -> Conversation:
        """An answer in the patient's own words."""
        text = said.text
        if question.code == "age" and (number := _NUMBER.match(text)):
            says = wordings().age.says[self._language()].format(number=number.group(1))
            told = replace(self, messages=(*self.messages, says))
            return told._settle(question, "present", (), {})
        if question.code == DESCRIBE and reply.status == "absent" and len(text) > _BARE_NO:
            # "No, it just feels odd all over": the rest may be what is wrong.
            return self._settle(question, "present", (), {})
        if reply.status is not None:
            return self._settle(question, reply.status, (), mentioned)
        if question.code in OPEN and (question.code in self.missed or said.says_something()):
            return self._settle(question, "present", (), {})
        if mentioned:
            first: Status = "present" if "present" in mentioned.values() else "absent"
            return self._settle(question, first, (), mentioned)
        if question.code in self.missed:
            return self._settle(question, "unknown", (), {})
        return replace(self, missed=self.missed | {question.code}, kept=True)

    def _settle(
        self,
        question: QuestionResult,
        status: Status,
        ticked: tuple[str, ...],
        mentioned: Mapping[str, Status],
    ) -> Conversation:
        """The question answered: what was said in words of a finding stays with the words."""
        given = dict.fromkeys(question.codes, status)
        if len(question.codes) > 1 and status == "present":
            chosen = {c for c in ticked if c in question.codes}
            said = {c for c, s in mentioned.items() if s == "present"}
            # A bare yes to a question for several counts as the weightiest of them.
            chosen = chosen or said or set(question.codes[:1])
            rest: Status = "absent" if ticked else "unknown"
            given = {c: "present" if c in chosen else rest for c in question.codes}
        given = {c: s for c, s in given.items() if c not in mentioned}
        if not question.codes:
            given[question.code] = status
        says = next((c.says for c in question.choices if c.value == status and c.says), None)
        messages = self.messages if says is None else (*self.messages, says[self._language()])
        answers = {**self.answers, **given}
        if len(answers) > _MOST_ANSWERS:
            answers = dict(list(answers.items())[-_MOST_ANSWERS:])
        return replace(self, messages=messages, answers=answers, question=None, answered=question)

    def ask(self, result: TriageResult) -> Conversation:
        """The conversation with the next question, none when it is over.

        A question that was passed over or asked back is asked again and not counted again.
        """
        if result.disposition.level == _AMBULANCE or result.crisis:
            return replace(self, question=None, kept=False)
        following = result.next_question
        check = following is not None and following.code == SUICIDE_RISK
        if self.kept and self.question is not None and not check:
            return self
        if not check and self.polite:
            following = asked(open_question(GREETED))
        if not check and _only_requests(result) and not _yes(self.answers):
            # Papers or prices are no complaint: one question whether somebody is ill is enough.
            following = None if UNWELL in self.answers else asked(open_question(UNWELL))
        if not check and self.answers.get(DESCRIBE) == "absent" and not _somebody_ill(result):
            following = None
        if self.asked >= MOST_QUESTIONS and following is not None:
            # Nobody in distress leaves without this one, however long it took.
            following = following if check else None
        return replace(self, question=following, asked=self.asked + (following is not None))

    @property
    def polite(self) -> bool:
        """Whether nothing was said yet but a greeting or thanks."""
        return all(read_reply(m).social for m in self.messages)

    def _language(self) -> Language:
        for message in reversed(self.messages):
            found = language_of(message)
            if found != "unknown":
                return "en" if found == "en" else "zh"
        return "zh"


def asked(question: Question) -> QuestionResult:
    """A question as it is sent."""
    return QuestionResult(
        code=question.key,
        codes=question.codes,
        text=question.text,
        choices=tuple(
            Choice(value=a.value, name=a.name, code=a.code, says=a.says) for a in question.answers
        ),
        reason=question.reason,
        rule=question.rule,
    )


def _only_requests(result: TriageResult) -> bool:
    """Whether nothing was said but what a desk is asked for, and nothing of it is urgent."""
    present = [f for f in result.findings if f.status == "present"]
    asks = bool(present) and all(f.kind == "request" for f in present)
    return asks and result.disposition.level >= _ROUTINE


def _somebody_ill(result: TriageResult) -> bool:
    """Whether anything but requests was heard, or a rule or model is worried."""
    heard = any(f.status == "present" and f.kind != "request" for f in result.findings)
    return heard or bool(result.red_flags) or bool(result.values)


def lacks_suicide_check(result: TriageResult, answers: Mapping[str, Status]) -> bool:
    """Whether the case is one of mental distress in which nothing was said of suicide.

    A crisis is in a person's hands already.
    """
    if result.crisis or SUICIDE_RISK in answers:
        return False
    said = {f.code for f in result.findings if f.status != "unknown" and f.temporality == "now"}
    present = {f.code for f in result.findings if f.status == "present"}
    first = {department.code for department in result.departments[:1]}
    return in_mental_distress(first, present | _yes(answers)) and SUICIDE_RISK not in said


def _yes(answers: Mapping[str, Status]) -> set[str]:
    return {code for code, status in answers.items() if status == "present"}


@lru_cache(maxsize=1)
def _reader() -> tuple[Reader, Lexicon]:
    return Reader(), lexicon()


@dataclass(frozen=True)
class _Said:
    """New words of the patient, read at most once: reading is most of a turn's work."""

    text: str

    @cached_property
    def reading(self) -> Reading:
        """What the reader finds in them."""
        return _reader()[0].read(self.text)

    def tells_the_rules(self) -> bool:
        """Whether the rules could learn something of the patient."""
        reading = self.reading
        known = any(f.status != "unknown" for f in reading.findings)
        return known or bool(reading.values or reading.ages_years or reading.sex)

    def asks_about(self) -> bool:
        """Whether they only ask what a finding's name means."""
        if len(self.text) > _LONG * 2:
            return False
        return asks_for_meaning(self.text, [(f.start, f.end) for f in self.reading.findings])

    def says_something(self) -> bool:
        """Whether they name a finding or are long enough to be told for their own sake."""
        return len(self.text) > _LONG or bool(self.reading.findings)

    def mentioned(self, codes: tuple[str, ...]) -> dict[str, Status]:
        """Those of the codes that they speak of, by themselves or by a special form."""
        if not codes:
            return {}
        terms = _reader()[1]
        found: dict[str, Status] = {}
        for finding in self.reading.findings:
            of = {finding.code}
            if finding.status == "present":
                of |= terms.implied(finding.code)
            for code in of.intersection(codes):
                if found.get(code) != "present":
                    found[code] = finding.status
        return found
