"""An emergency stays one however it is told: order, manner, detail, sex, age, payer, language.

Metamorphic: nothing here says what the right answer is beyond the seed's own floor; each
test changes what must not matter and compares the two answers.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from knowledge_base.language import Language
from knowledge_base.rules.facts import Sex
from knowledge_base.yaml_files import read_yaml
from models.repository import ModelRepository
from models.tasks.triage import TriageTask
from models.triage.request import TriageRequest

LANGUAGES: tuple[Language, ...] = ("zh", "en")
Manner = Literal["minimising", "payer", "polite", "filler", "detail", "emoji"]


class Seed(BaseModel):
    """One emergency in two sentences per language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    most: int
    age: float
    sex: Sex | None = None
    zh: tuple[str, str]
    en: tuple[str, str]

    def sentences(self, language: Language) -> tuple[str, str]:
        return self.zh if language == "zh" else self.en


class Seeds(BaseModel):
    """The data file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    seeds: tuple[Seed, ...]
    paraphrases: dict[str, tuple[str, str]]
    around: dict[Manner, dict[Language, tuple[str, ...]]]


DATA = Seeds.model_validate(read_yaml(Path(__file__).parent / "metamorphic_seeds.yaml"))
END: dict[Language, str] = {"zh": "。", "en": ". "}
seeds = pytest.mark.parametrize("seed", [pytest.param(s, id=s.id) for s in DATA.seeds])
languages = pytest.mark.parametrize("language", LANGUAGES)


@lru_cache(maxsize=1)
def task() -> TriageTask:
    return TriageTask(ModelRepository().get("department"))


@lru_cache(maxsize=8192)
def level(text: str, age: float | None = None, sex: Sex | None = None) -> int:
    return task().read(TriageRequest(text=text, age_years=age, sex=sex)).level


def told(seed: Seed, language: Language) -> str:
    first, second = seed.sentences(language)
    end = END[language]
    return f"{first}{end}{second}{end}".strip()


def plain(seed: Seed, language: Language) -> int:
    """The urgency of the case told plainly."""
    return level(told(seed, language))


def test_there_are_enough_cases_and_each_has_a_paraphrase() -> None:
    assert len(DATA.seeds) >= 40
    assert {s.id for s in DATA.seeds} == set(DATA.paraphrases)


@seeds
@languages
def test_the_case_is_an_emergency(seed: Seed, language: Language) -> None:
    assert plain(seed, language) <= seed.most


@seeds
def test_both_languages_get_the_same_urgency(seed: Seed) -> None:
    assert plain(seed, "zh") == plain(seed, "en")


@seeds
@languages
def test_other_words_for_the_same_case_are_an_emergency(seed: Seed, language: Language) -> None:
    assert level(DATA.paraphrases[seed.id][LANGUAGES.index(language)]) <= seed.most


@seeds
@languages
@pytest.mark.parametrize("manner", ["payer", "polite", "filler", "emoji"])
def test_payer_and_manner_change_nothing(seed: Seed, language: Language, manner: Manner) -> None:
    alone = plain(seed, language)
    before, *_, after = DATA.around[manner][language]
    for text in (before + told(seed, language), told(seed, language) + " " + after):
        assert level(text) == alone, text


@seeds
@languages
def test_playing_it_down_never_lowers_it(seed: Seed, language: Language) -> None:
    for words in DATA.around["minimising"][language]:
        assert level(words + told(seed, language)) <= plain(seed, language), words


@seeds
@languages
def test_irrelevant_detail_never_lowers_it(seed: Seed, language: Language) -> None:
    first, second = seed.sentences(language)
    end = END[language]
    before, between, after, _ = DATA.around["detail"][language]
    for text in (
        f"{before}{first}{end}{second}",
        f"{first}{end}{second}{end}{after}",
        f"{first}{end}{between}{second}",
    ):
        assert level(text) <= plain(seed, language), text


@seeds
@languages
def test_the_order_of_sentences_does_not_matter(seed: Seed, language: Language) -> None:
    first, second = seed.sentences(language)
    end = END[language]
    assert level(f"{second}{end}{first}{end}".strip()) <= plain(seed, language)


@seeds
@languages
def test_lost_or_other_punctuation_does_not_matter(seed: Seed, language: Language) -> None:
    first, second = seed.sentences(language)
    for mark in (" ", ", ", "\n", "!! ", "... "):
        assert level(f"{first}{mark}{second}") <= plain(seed, language), repr(mark)


@seeds
@languages
def test_capitals_and_width_do_not_matter(seed: Seed, language: Language) -> None:
    text = told(seed, language)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)
    assert level(text.upper()) == level(text.lower()) == plain(seed, language)
    assert level(wide) == plain(seed, language)


@seeds
@languages
def test_sex_does_not_matter_where_the_case_has_none(seed: Seed, language: Language) -> None:
    if seed.sex is None:
        text = told(seed, language)
        assert level(text, seed.age, "female") == level(text, seed.age, "male")
        assert level(text, seed.age, "female") <= seed.most


@seeds
@languages
def test_a_little_older_or_younger_does_not_matter(seed: Seed, language: Language) -> None:
    text = told(seed, language)
    ages = (seed.age * 0.95, seed.age, seed.age * 1.05)
    assert len({level(text, age, seed.sex) for age in ages}) == 1
    assert level(text, seed.age, seed.sex) <= seed.most


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    seed=st.sampled_from(DATA.seeds),
    language=st.sampled_from(LANGUAGES),
    before=st.lists(st.sampled_from(sorted(DATA.around)), max_size=3, unique=True),
    after=st.lists(st.sampled_from(sorted(DATA.around)), max_size=2, unique=True),
    number=st.integers(0, 9),
    swapped=st.booleans(),
)
def test_all_of_it_at_once_still_leaves_an_emergency(
    seed: Seed,
    language: Language,
    before: list[Manner],
    after: list[Manner],
    number: int,
    swapped: bool,
) -> None:
    def words(manners: list[Manner]) -> str:
        listed = [DATA.around[m][language] for m in manners]
        return "".join(one[number % len(one)] for one in listed)

    sentences = seed.sentences(language)[:: -1 if swapped else 1]
    text = words(before) + END[language].join(sentences) + END[language] + words(after)
    assert level(text) <= plain(seed, language)
