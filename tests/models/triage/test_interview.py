"""The interview asks what could change the answer, life threats first, and then stops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from knowledge_base.interview.data import companions, groups, only, wordings
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.lexicon.questions import questions
from knowledge_base.rules.ruleset import rules
from models.repository import ModelRepository
from models.triage.case import CaseReader
from models.triage.conversation import MOST_QUESTIONS, Conversation
from models.triage.local import LocalTriage
from models.triage.questions import OPEN, about_quality, of_somebody_else
from models.triage.request import TriageRequest
from models.triage.result import TriageResult
from models.triage.ways import Ways


class Talk:
    """One conversation with the shipped task."""

    def __init__(self, triage: LocalTriage) -> None:
        self._triage = triage
        self.now = Conversation()

    def say(self, text: str = "", **more: object) -> TriageResult:
        answer = more.pop("answer", None)
        self.now = self.now.hear(text, answer)  # type: ignore[arg-type]
        request = TriageRequest(
            messages=self.now.messages,
            answers=dict(self.now.answers),
            **more,  # type: ignore[arg-type]
        )
        result = self._triage(request)
        self.now = self.now.ask(result)
        return result

    def asked(self, text: str, answer: str = "absent", **more: object) -> list[tuple[str, ...]]:
        """Codes of the questions, every one given the same answer; open ones by their key."""
        self.say(text, **more)
        found = []
        while self.now.question is not None:
            found.append(self.now.question.codes or (self.now.question.code,))
            self.say(answer=answer, **more)
        return found


@pytest.fixture(scope="module")
def triage() -> LocalTriage:
    return LocalTriage(ModelRepository())


@pytest.fixture
def talk(triage: LocalTriage) -> Talk:
    return Talk(triage)


@pytest.mark.parametrize(
    ("complaint", "age", "threats"),
    [
        ("头疼两天", 50, {"thunderclap_headache", "neck_stiffness"}),
        ("I have a headache", 50, {"thunderclap_headache", "neck_stiffness"}),
        ("胸口有点闷", 50, {"diaphoresis", "crushing_chest_pain"}),
        ("my chest feels tight", 50, {"diaphoresis", "crushing_chest_pain"}),
        ("肚子疼", 60, {"rigid_abdomen", "severe_abdominal_pain"}),
        ("腰疼", 45, {"saddle_anaesthesia", "urinary_retention"}),
        ("孩子发烧39度", 3, {"difficult_to_rouse", "neck_stiffness"}),
    ],
)
def test_the_life_threats_of_a_complaint_are_asked(
    talk: Talk, complaint: str, age: int, threats: set[str]
) -> None:
    asked = {code for codes in talk.asked(complaint, age_years=age) for code in codes}
    assert threats <= asked


def test_a_woman_with_belly_pain_is_asked_for_a_pregnancy_a_man_is_not(
    triage: LocalTriage,
) -> None:
    def asked(sex: str) -> set[str]:
        found = Talk(triage).asked("小肚子痛，恶心", age_years=28, sex=sex)
        return {code for codes in found for code in codes}

    assert asked("female") & {"pregnancy", "missed_period"}
    assert not asked("male") & (only().female | only().pregnant)


@pytest.mark.parametrize("answer", ["absent", "unknown"])
@pytest.mark.parametrize("complaint", ["头疼两天", "咳嗽发烧", "头晕", "皮疹很痒", "拉肚子"])
def test_nothing_is_asked_twice_and_eight_are_the_most(
    talk: Talk, complaint: str, answer: str
) -> None:
    asked = [code for codes in talk.asked(complaint, answer, age_years=40) for code in codes]
    assert len(asked) == len(set(asked))
    assert talk.now.asked <= MOST_QUESTIONS


def test_what_was_said_or_denied_is_not_asked(talk: Talk) -> None:
    asked = talk.asked("头疼，没有脖子硬，没有发烧，也不呕吐", age_years=40)
    codes = {code for each in asked for code in each}
    assert not codes & {"headache", "neck_stiffness", "fever", "vomiting", "high_fever"}


def test_an_ambulance_case_is_asked_nothing(talk: Talk) -> None:
    assert talk.asked("胸口压榨样疼痛，出冷汗", age_years=60) == []


def test_an_emergency_is_only_asked_what_could_make_it_worse(talk: Talk) -> None:
    talk.say("剧烈腹痛", age_years=40)
    while (question := talk.now.question) is not None:
        assert question.code not in OPEN
        assert question.rule is not None
        assert rules().by_id[question.rule].disposition == 1
        talk.say(answer="absent", age_years=40)


def test_words_that_are_not_understood_are_asked_for_again(talk: Talk) -> None:
    talk.say("呃呃那个嘛就是那样")
    assert talk.now.question is not None
    assert talk.now.question.code == "describe"


def test_low_mood_is_asked_for_suicide_first(talk: Talk) -> None:
    assert talk.asked("最近情绪低落", age_years=30)[0] == ("suicidal_ideation",)


@pytest.mark.parametrize(
    "text", ["最近睡不着，什么都没意思", "I cannot sleep, nothing interests me any more"]
)
def test_loss_of_interest_is_asked_for_suicide_first(talk: Talk, text: str) -> None:
    assert talk.asked(text, age_years=30)[0] == ("suicidal_ideation",)


def test_a_mood_told_late_is_still_asked_for_suicide(talk: Talk) -> None:
    talk.say("头疼两天", age_years=30)
    while talk.now.asked < MOST_QUESTIONS and talk.now.question is not None:
        talk.say(answer="absent", age_years=30)
    talk.say("另外最近情绪低落，提不起劲", age_years=30)
    assert talk.now.question is not None
    assert talk.now.question.codes == ("suicidal_ideation",)
    # Despair may be heard as a crisis at once: then a person is called instead of asking on.
    assert talk.say("我觉得绝望", age_years=30).crisis or talk.now.question is not None


def test_what_a_yes_to_a_quality_says_is_understood_in_both_languages() -> None:
    terms, ways, reader = lexicon(), Ways(rules()), CaseReader(lexicon())
    atoms = {
        atom
        for way in (*ways.alone, *(w for listed in ways.together.values() for w in listed))
        for atom in way.atoms
        if atom.quality and atom.key is not None and atom.key not in wordings().not_asked
    }
    lost = []
    for atom in atoms:
        says = about_quality(atom, terms, None, 4).answers[0].says
        assert says is not None
        for words in says.values():
            facts = reader.read(TriageRequest(text=words)).facts
            if atom.condition.evaluate(facts) is not True:
                lost.append((atom.key, words))
    assert lost == []


def test_a_reason_names_how_soon_and_what_about_but_no_disease() -> None:
    said = " ".join(text for why in (*wordings().why.values(), *wordings().about.values())
                    for text in why.values())  # fmt: skip
    diseases = [c for c in lexicon().values() if c.kind == "condition"]
    named = {c.code for c in diseases if c.zh in said or f" {c.en} " in said}
    assert named <= {"pregnancy", "infection"}


def test_questions_of_a_third_person_have_no_you_left() -> None:
    for words in questions().values():
        english = of_somebody_else({"zh": words.zh, "en": words.en})["en"].lower()
        assert " you " not in f" {english} "
        assert "your" not in english


def test_the_data_names_only_findings_of_the_lexicon() -> None:
    known = lexicon().keys()
    named = {c for g in groups() for c in (*g.of, *g.when, *g.goes_with)}
    named |= {c for band in only().by_age.values() for c in band.codes}
    named |= only().female | only().male | only().pregnant | only().prevalence.keys()
    named |= companions().keys() | {c for shares in companions().values() for c in shares}
    assert named <= known
    ids = [group.id for group in groups()]
    assert len(ids) == len(set(ids))
    assert not known & {*OPEN, "age", "sex"}


def test_a_conversation_without_a_question_takes_no_answer() -> None:
    talk = replace(Conversation(), messages=("头疼",))
    assert talk.hear("没有").answers == {}
