"""What pages say of a finding besides its name: left knee · sudden · getting worse.

Sites by the words of lexicon/sites.yaml. A place that the name already says is not said twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from knowledge_base.language import Bilingual, Language
from knowledge_base.lexicon.grammar import grammar
from models.triage.result import FindingResult
from serving.web.strings import strings

DETAILS = ("site", "side", "onset", "course")
"""The fields of a finding that are read here; any may be missing."""

_SEPARATOR = " · "


def details(name: Bilingual, stated: Mapping[str, str | None]) -> Bilingual | None:
    """Place, onset and course of a finding from its fields; None where none was stated."""
    said = [_place(name, stated.get("site"), stated.get("side"))]
    said += [_word(group, stated.get(group)) for group in ("onset", "course")]
    parts = [words for words in said if words is not None]
    if not parts:
        return None
    return {
        "zh": _SEPARATOR.join(words["zh"] for words in parts),
        "en": _SEPARATOR.join(words["en"] for words in parts),
    }


def finding_details(finding: FindingResult, language: Language) -> str:
    """The same of a recorded finding, as a Jinja filter; empty where nothing was stated."""
    stated = {"side": finding.side, "onset": finding.onset, "course": finding.course}
    found = details(finding.name, {"site": finding.site, **stated})
    return "" if found is None else found[language]


def _place(name: Bilingual, site: str | None, side: str | None) -> Bilingual | None:
    """The site with its side; the side alone, or nothing, where the name says the rest."""
    known = grammar().sites.get(site or "")
    sided = _word("side", side)
    if side is not None and side in name["en"].split():
        return None
    if known is None:
        return sided
    if sided is None:
        said = _says(name, known.zh, known.en)
        return None if said else {"zh": known.zh[0], "en": known.en[0]}
    pattern = strings()[f"side_of.{side}"]
    return {
        "zh": pattern["zh"].format(site=known.zh[0]),
        "en": pattern["en"].format(site=known.en[0]),
    }


def _says(name: Bilingual, zh: tuple[str, ...], en: tuple[str, ...]) -> bool:
    return any(word in name["zh"] for word in zh) or any(word in name["en"] for word in en)


def _word(group: str, code: str | None) -> Bilingual | None:
    return None if code is None else strings()[f"{group}.{code}"]
