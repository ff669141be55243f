"""Denials by a site alone: "my arm hurts, not my chest" says that there is no chest pain.

Relies on the grammar for what pain is called at a site. It adds a denial only beside a pain of
the same sentence and only where the words end with the site; it takes no finding away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from knowledge_base.lexicon.grammar import grammar
from models.text.context import SENTENCE_END
from models.text.matcher import Mention
from models.text.words import alternatives

_PAIN = "pain"
_ENDS = r"(?=\s*(?:[,.;!?。\n]|$))"


@lru_cache(maxsize=1)
def _denials() -> tuple[re.Pattern[str], dict[str, str], frozenset[str]]:
    """The pattern, the finding of pain for each site's name, and all findings of pain."""
    rules = grammar()
    names: dict[str, str] = {}
    for site in rules.sites.values():
        code = rules.listed(_PAIN, site.code, None)
        for name in (*site.zh, *site.en):
            if code is not None and code != rules.sensations[_PAIN].concept:
                names[name] = code
    zh = alternatives([name for name in names if not name.isascii()], whole=False)
    en = alternatives([name for name in names if name.isascii()], whole=True)
    pattern = re.compile(
        rf"(?<!是)不(?:是|在)(?P<zh>{zh}){_ENDS}"
        rf"|(?<![a-z])not (?:in )?(?:my|his|her|the|their) (?P<en>{en}){_ENDS}"
    )
    pains = frozenset(names.values()) | {_PAIN}
    return pattern, names, pains


def elsewhere(text: str, mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions of normalised `text` with those that a site alone denies, in order."""
    if "not " not in text and "不是" not in text and "不在" not in text:
        return list(mentions)
    pattern, names, pains = _denials()
    added = []
    for match in pattern.finditer(text):
        code = names[match["zh"] or match["en"]]
        start, end = match.span()
        free = all(m.end <= start or end <= m.start for m in mentions)
        if free and any(
            m.code in pains and m.code != code and _same_sentence(text, m, start, end)
            for m in mentions
        ):
            added.append(Mention(code, start, end, negations=1))
    return sorted([*mentions, *added], key=lambda m: (m.start, m.end))


def _same_sentence(text: str, mention: Mention, start: int, end: int) -> bool:
    between = text[mention.end : start] if mention.end <= start else text[end : mention.start]
    return not SENTENCE_END.search(between)
