"""The patient's own findings as a list to read to the doctor, in the language of the answer.

Only what was said, answered or measured, in lay names; nothing is concluded from it, and no
line is a diagnosis. Illnesses and medicines keep the patient's own words where they can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from knowledge_base.language import Language
from knowledge_base.lexicon.findings import COMPLAINTS, HISTORY, Concept, Lexicon
from knowledge_base.lexicon.grammar import Site, grammar
from knowledge_base.rules.facts import Facts, Observation
from knowledge_base.safety_net import Text, Words
from models.text.findings import Finding
from models.triage.case import Case

_MOST_LISTED = 8
_COURSE = "worsening_condition"
"""Says how the others go, so it has no details of its own."""
_OF_PERSON = frozenset({"pregnancy", "postpartum"})
"""Stands beside the age."""
_DAY = 24.0
_NAMED_IN_WEEKS = 21 * _DAY
_CHILD_YEARS = 2


def doctor_list(case: Case, terms: Lexicon, words: Words, language: Language) -> tuple[str, ...]:
    """One line per complaint, and one per other kind of thing; empty kinds are left out."""
    complaints = list(dict.fromkeys(_complaints(case, terms, words, language)))[:_MOST_LISTED]
    lists: tuple[tuple[Text, Iterable[str]], ...] = (
        (words.person, _person(case.facts, words, language)),
        *((words.symptoms, [complaint]) for complaint in complaints),
        (words.denied, _denied(case, terms, language)),
        (words.known, _known(case, terms, language)),
        (words.past, _past(case, terms, language)),
        (words.family, _family(case, terms, language)),
        (words.values, _values(case.facts, words, language)),
    )
    lines = []
    for heading, entries in lists:
        listed = list(dict.fromkeys(entries))[:_MOST_LISTED]
        if listed:
            lines.append(heading[language].format(list=words.comma[language].join(listed)))
    return tuple(lines)


def _told(case: Case) -> Iterator[Finding]:
    """What somebody has or had, in order of mention."""
    return (f for r in case.readings for f in r.findings if f.status == "present")


def _past(case: Case, terms: Lexicon, language: Language) -> Iterator[str]:
    for finding in _told(case):
        if finding.temporality == "past" and finding.experiencer != "family":
            yield _name(terms[finding.code], language)


def _family(case: Case, terms: Lexicon, language: Language) -> Iterator[str]:
    """Illnesses of the family, and a relative's that the case did not take for the patient's."""
    for finding in _told(case):
        others = finding.experiencer == "relative" and finding.code not in case.facts.history
        illness = terms[finding.code].kind in HISTORY
        if finding.experiencer == "family" or (others and illness):
            yield _name(terms[finding.code], language)


def _complaints(case: Case, terms: Lexicon, words: Words, language: Language) -> Iterator[str]:
    """Each complaint with where it is, how it began and goes on, how long and how bad it is."""
    present = [c for c in case.present if terms[c].kind in COMPLAINTS]
    broader = frozenset().union(*(terms.implied(c) for c in present))
    told = {code: _said_of(case, code, terms) for code in present if code not in broader}
    courses = {f.course for code, some in told.items() if code != _COURSE for f in some}
    for code, some in told.items():
        if code == _COURSE:
            if "worsening" not in courses:
                yield _name(terms[code], language)
            continue
        name = _name(terms[code], language)
        details = [*_places(some, terms[code], words, language)]
        details += _details(code, _observed(case, code, terms), some, words, language)
        details = list(dict.fromkeys(details))
        if details:
            listed = words.comma[language].join(details)
            name = words.detail[language].format(name=name, list=listed)
        yield name


def _said_of(case: Case, code: str, terms: Lexicon) -> list[Finding]:
    """What the patient's words say is there now: of the finding, else of a broader one."""
    now = [f for f in _told(case) if f.temporality == "now"]
    own = [f for f in now if f.code == code]
    return own or [f for f in now if f.code in terms.implied(code)]


def _observed(case: Case, code: str, terms: Lexicon) -> Observation:
    """What is known of a finding; how long it has lasted may have been said of a broader one."""
    observation = case.facts.observations[code]
    if observation.duration_hours is not None:
        return observation
    broader = (case.facts.observations.get(b) for b in sorted(terms.implied(code)))
    hours = next((o.duration_hours for o in broader if o and o.duration_hours is not None), None)
    return replace(observation, duration_hours=hours)


def _places(
    told: Iterable[Finding], concept: Concept, words: Words, language: Language
) -> Iterator[str]:
    """Every site with its side, but what the finding's name says already."""
    for finding in told:
        site = grammar().sites.get(finding.site or "")
        if site is None:
            if finding.side is not None:
                yield words.side[finding.side][language]
            continue
        name = site.zh[0] if language == "zh" else site.en[0]
        if finding.side is not None:
            yield words.side_of[finding.side][language].format(site=name)
        elif not _says(concept, site):
            yield name


def _says(concept: Concept, site: Site) -> bool:
    return any(word in concept.zh for word in site.zh) or any(w in concept.en for w in site.en)


def _details(
    code: str, observation: Observation, told: list[Finding], words: Words, language: Language
) -> Iterator[str]:
    """Onset, time, severity and course, but what the finding itself says (severe_headache)."""
    onset = next((f.onset for f in reversed(told) if f.onset is not None), None)
    onset = "sudden" if observation.sudden else onset
    if onset is not None and not code.startswith("sudden_"):
        yield words.onset[onset][language]
    since = _since(observation.duration_hours, told)
    if since is not None:
        yield since
    elif observation.duration_hours is not None:
        time = _duration(observation.duration_hours, words)[language]
        yield words.lasting[language].format(time=time)
    if observation.severity is not None and not code.startswith("severe_"):
        yield words.severity[observation.severity.name][language]
    course = next((f.course for f in reversed(told) if f.course is not None), None)
    course = "worsening" if observation.worsening else course
    if course is not None:
        yield words.course[course][language]


def _since(hours: float | None, told: Iterable[Finding]) -> str | None:
    """The patient's own words where they name a day or an hour of it: no number is made up."""
    return next((f.since for f in told if f.since and f.duration_hours == hours), None)


def _duration(hours: float, words: Words) -> Text:
    """The time in the unit that people would use."""
    for unit, size, most in (
        (words.minutes, 1 / 60, 1.5),
        (words.hours, 1.0, 2 * _DAY),
        (words.days, _DAY, _NAMED_IN_WEEKS),
        (words.weeks, 7 * _DAY, float("inf")),
    ):
        if hours < most:
            number = _plain(round(hours / size))
            return {language: text.format(n=number) for language, text in unit.items()}
    raise AssertionError("every duration is below infinity")


def _denied(case: Case, terms: Lexicon, language: Language) -> Iterator[str]:
    """What the patient's own words or answers deny; what follows from it is left out."""
    said = [f.code for r in case.readings for f in r.findings if f.status == "absent"]
    said += [code for code, status in case.request.answers.items() if status == "absent"]
    for code in said:
        observation = case.facts.observations.get(code)
        if code in terms and observation is not None and observation.status == "absent":
            yield _name(terms[code], language)


def _known(case: Case, terms: Lexicon, language: Language) -> Iterator[str]:
    """Illnesses and medicines, in the patient's own words where they are in that language."""
    for reading in case.readings:
        for finding in reading.findings:
            now = finding.status == "present" and finding.temporality == "now"
            mine = now and finding.experiencer != "family" and finding.code in case.facts.history
            if mine and terms[finding.code].kind in HISTORY and finding.code not in _OF_PERSON:
                same = reading.language == language
                yield finding.text if same else _name(terms[finding.code], language)
    for named in (*case.request.conditions, *case.request.medicines):
        yield _name(terms[named], language) if named in terms else named


def _values(facts: Facts, words: Words, language: Language) -> Iterator[str]:
    for name, text in words.quantities.items():
        if name in facts.values:
            yield text[language].format(n=_plain(facts.values[name]))


def _person(facts: Facts, words: Words, language: Language) -> Iterator[str]:
    age = facts.age_years
    if age is not None and age < _CHILD_YEARS:
        yield words.months_old[language].format(n=round(age * 12))
    elif age is not None:
        yield words.years_old[language].format(n=round(age))
    if facts.pregnant:
        yield words.pregnant[language]
    if facts.postpartum:
        yield words.postpartum[language]


def _name(concept: Concept, language: Language) -> str:
    return concept.zh if language == "zh" else concept.en


def _plain(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")
