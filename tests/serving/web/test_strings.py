"""Every word of the pages exists in both languages, and pages use no word that does not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import get_args

import pytest

from knowledge_base.card_edits import Fault
from knowledge_base.cards import SECTIONS
from knowledge_base.lexicon.grammar import Side
from knowledge_base.library.origin import Grade
from knowledge_base.rules.facts import Consciousness, Severity, Sex, Status
from knowledge_base.search.entry import Kind
from models.imaging.decode import DecodeWarning, RejectionCode
from models.imaging.quality import QualityCode
from models.text.context import Experiencer
from models.text.cue_patterns import Course, Onset
from models.text.values import PLAUSIBLE
from models.triage.acuity_request import Arrival, Scale
from models.triage.acuity_result import DecidedBy
from serving.storage.codes import (
    DecisionKind,
    DecisionStatus,
    Outcome,
    OverrideReason,
    ProposalState,
    Reason,
    Role,
    TaskState,
    Verdict,
)
from serving.web import console, evidence, pages
from serving.web.console_acuity import VITALS
from serving.web.strings import strings, translator

HAN = re.compile(r"[\u4e00-\u9fff]")
USED = re.compile(r"""(?:\bt|\bsay|\))\(\s*["']([a-z_]+\.[a-z_0-9]+)["']\s*[,)]""")
SOURCES = [*pages.TEMPLATES.rglob("*.html"), *pages.TEMPLATES.parent.glob("*.py")]


def test_the_english_side_holds_no_chinese() -> None:
    assert [key for key, pair in strings().items() if HAN.search(pair["en"])] == []


def test_both_sides_name_the_same_values() -> None:
    for key, pair in strings().items():
        zh, en = (set(re.findall(r"{(\w+)}", pair[side])) for side in ("zh", "en"))
        assert zh == en, key


def test_pages_use_no_word_that_is_missing() -> None:
    used = {key for path in SOURCES for key in USED.findall(path.read_text(encoding="utf-8"))}
    assert len(used) > 150
    assert used - strings().keys() == set()


@pytest.mark.parametrize(
    ("group", "codes"),
    [
        ("arrival", get_args(Arrival)),
        ("consciousness", get_args(Consciousness)),
        ("course", get_args(Course)),
        ("decided", get_args(DecidedBy.model_fields["kind"].annotation)),
        ("decision", DecisionStatus),
        ("document", get_args(Kind)),
        ("experiencer", get_args(Experiencer)),
        ("grade", get_args(Grade)),
        ("kind", DecisionKind),
        ("level", range(1, 6)),
        ("mark", evidence.MARKS),
        ("missing", ("age", "sex", "pregnancy", "vitals")),
        ("onset", get_args(Onset)),
        ("origin", ("stated", "measured")),
        ("outcome", Outcome),
        ("override", OverrideReason),
        ("proposal", get_args(Fault)),
        ("proposal_state", ProposalState),
        ("quality", get_args(QualityCode)),
        ("reason", Reason),
        ("refused", ("too_young", "pregnant")),
        ("rejected", get_args(RejectionCode)),
        ("role", Role),
        ("scale", get_args(Scale)),
        ("section", SECTIONS),
        ("severity", [severity.name for severity in Severity]),
        ("sex", get_args(Sex)),
        ("side", get_args(Side)),
        ("side_of", get_args(Side)),
        ("mark", get_args(Status)),
        ("state", TaskState),
        ("unit", PLAUSIBLE),
        ("unit", VITALS),
        ("value", PLAUSIBLE),
        ("value", VITALS),
        ("verdict", Verdict),
        ("view", console.VIEWS),
        ("warning", get_args(DecodeWarning)),
    ],
)
def test_every_code_that_a_page_names_has_its_words(group: str, codes: Iterable[object]) -> None:
    assert [code for code in codes if f"{group}.{code}" not in strings()] == []


def test_a_missing_word_is_an_error_and_never_an_empty_place() -> None:
    with pytest.raises(KeyError):
        translator("zh")("chat.nothing_like_that")
