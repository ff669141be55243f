"""The cue words of `context.yaml` as compiled patterns, one set for each language.

Knows how cues may stand together (a negation over a list, a doubled "not"), not what they mean
for a finding: that is `context.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from knowledge_base.lexicon.context import Cues, cues
from knowledge_base.rules.facts import Severity
from models.text.words import alternatives

Onset = Literal["sudden", "gradual"]
Course = Literal["worsening", "improving", "comes_and_goes", "recurrent", "constant"]

MENTION, PSEUDO = "\x01", "\x02"
"""What stands in masked text for a finding and for a word that only looks like a negation."""


_NOT_SO = {
    "zh": r"(?<!不)(?<!不太)(?<!不是)(?<!不算)(?<!没有)(?<!并非)(?<!无)",
    "en": r"(?<!not )(?<!isn't )(?<!wasn't )(?<!never )(?<!not so )(?<!not very )(?<!not that )",
}
"""What must not stand before a word of degree; 不是 is none in 是不是, which nobody denies with."""


class CuePatterns:
    """Compiled cue lists of one language."""

    def __init__(self, language: str, words: Cues) -> None:
        self.language = language
        whole = language == "en"

        def pattern(listed: Iterable[str]) -> re.Pattern[str]:
            return re.compile(alternatives(listed, whole=whole))

        denied = _NOT_SO[language]

        def graded(listed: Iterable[str]) -> re.Pattern[str]:
            """Cues of degree, none of which is denied: not (sudden), 不(剧烈)."""
            return re.compile(denied + alternatives(listed, whole=whole))

        doubles = alternatives(words.double_negation, whole=whole)
        negation = alternatives(words.negation, whole=whole)
        if language == "zh":
            # The "not" that is taken back is no part of another word: 不能(说没有).
            pseudo = alternatives(words.pseudo_negation, whole=whole)
            self.pseudo = re.compile(rf"(?!(?:{doubles}|不){negation}){pseudo}")
            self.doubled = re.compile(rf"{doubles}$")
        else:
            words_between = r"(?:\s+[\w']+){0,4}"
            self.pseudo = re.compile(
                rf"{doubles}{words_between}\s+{negation}"
                rf"|{alternatives(words.pseudo_negation, whole=whole)}"
            )
            self.doubled = re.compile(rf"{doubles}{words_between}\s*$")
        self.negation = pattern(words.negation)
        self.question = pattern(words.question)
        self.worry = pattern(words.worry)
        zh = language == "zh"
        small = r"(?:病|症|的|应该|到底|一般|都|要)*" if zh else r"\s*(?:(?:is|are)\s+)?"
        between = "" if zh else r"\s*(?:(?:a|an|the)\s*)?"
        after, before = (
            alternatives(listed, whole=whole) for listed in (words.about_after, words.about_before)
        )
        self.about_after = re.compile(small + after)
        self.about_before = re.compile(before + between + "$")
        self.stated = pattern(words.stated)
        self.past = pattern(words.past)
        self.ongoing = pattern(words.ongoing)
        self.onsets: list[tuple[re.Pattern[str], Onset]] = [
            (graded(words.sudden), "sudden"),
            (pattern(words.gradual), "gradual"),
        ]
        self.courses: list[tuple[re.Pattern[str], Course]] = [
            (pattern(words.worsening), "worsening"),
            (pattern(words.improving), "improving"),
            (pattern(words.comes_and_goes), "comes_and_goes"),
            (pattern(words.recurrent), "recurrent"),
            (pattern(words.constant), "constant"),
        ]
        self.family_after = re.compile(
            rf"[^,.;!?\n]{{0,3}}?{alternatives(words.family_after, whole=whole)}"
        )
        self.others, self.harms = pattern(words.others), pattern(words.harms)
        self.fiction = pattern(words.fiction)
        self._read_nobody(words)
        self.supposed, self.own_part = pattern(words.supposed), pattern(words.own_part)
        self.acquaintances = pattern(words.acquaintances)
        self.for_oneself, self.own_check = pattern(words.for_oneself), pattern(words.own_check)
        self.at_once = pattern(words.at_once)
        self._read_answers(words)
        self._read_vaccines(words)
        self.list_negation = pattern(words.list_negation) if words.list_negation else None
        self.people = [
            (pattern(words.family), "family"),
            (pattern(words.relatives), "relative"),
            (pattern(words.first_person), "self"),
        ]
        self.severity = [
            (graded(words.severity.severe), Severity.severe),
            (graded(words.severity.moderate), Severity.moderate),
            (graded(words.severity.mild), Severity.mild),
        ]
        words_only = [w for w in words.terminators if w[0].isalnum()]
        marks = "".join(re.escape(w) for w in words.terminators if len(w) == 1 and w not in "./")
        self.terminator = re.compile(
            rf"[{marks}]|\.(?!\d)|" + alternatives(words_only, whole=whole)
        )
        bridges = _undivided((*words.negation_bridge, " "))
        bridge = alternatives(bridges, whole=False)
        lists = alternatives(
            _undivided((*words.list_marks, *words.negation), beside=bridges), whole=False
        )
        self.negated_zh = re.compile(
            rf"(?P<double>{alternatives(words.double_negation, whole=False)}|不(?=否认))?"
            rf"(?:{alternatives(words.negation, whole=False)})"
            rf"(?:{bridge}|{MENTION}+(?:{bridge})*(?:{lists}))*$"
        )
        formal = alternatives(words.list_negation, whole=False)
        # Taken once and kept: a long list must not be tried in every division of its words.
        parts = alternatives(
            (*words.negation_bridge, *words.list_marks, *words.negation, " "), whole=False
        )
        self.listed_zh = re.compile(rf"(?:{formal})(?:{parts}|{MENTION}+)*+$")
        self.list_ends_zh = re.compile(rf"(?:{MENTION}+|等)?(?=[,。.;!\n、)]|$)")
        doubtful = alternatives(_undivided((*bridges, "的", "可能", "有", "就")), whole=False)
        self.doubted_zh = re.compile(
            rf"(?:{alternatives(words.unknown, whole=False)})(?:{doubtful})*$"
        )
        self.unknown = pattern(words.unknown)
        post = words.post_negation
        weak = [w for w in post if w == "没有"]
        strong = [w for w in post if w != "没有"]
        self.denied_after_zh = re.compile(
            # 喘气正常 names a function, 发烧正常吗 asks.
            r"^(?:[也都均]|一直)?(?:正常|如常|平稳)(?=[,。.;!\n、)]|$)"
            rf"|^(?:的)?(?:症状|情况|现象)?(?:{alternatives(strong, whole=False)}"
            + (r"|没有(?:了|过)?(?=[,。.;!\n、]|$))" if weak else ")")
        )
        self.denied_after_en = re.compile(
            rf"^-free\b|^\s*(?:(?:is|was|has|have|been|now|:)\s*)*{alternatives(post, whole=True)}"
            r"|^\s*:\s*no\b"
        )
        self.or_en = re.compile(r"(?<![a-z])(?:or|nor)(?![a-z])")
        self.new_subject_en = re.compile(
            r"(?<![a-z])(?:i|he|she|they|we|it)(?:'(?:m|s|re|ve)| (?:am|is|are|was|were|feel|feels"
            r"|get|gets|have|has|had))(?![a-z])"
        )

    def _read_answers(self, words: Cues) -> None:
        """An answer that is a "no" and nothing else: it ends its clause and has no other object.

        吃药没有 answers about tablets, and "no one helped" is no answer.
        """
        answers = alternatives(words.answered_no, whole=self.language == "en")
        ends = r"(?=\s*(?:[,。.;!?\n、\"]|$))"
        self.asked_about = re.compile(alternatives(words.asked_about, whole=self.language == "en"))
        self.first_person = re.compile(
            alternatives(words.first_person, whole=self.language == "en")
        )
        self.answered_no = re.compile(
            rf"(?:[^。.;!?\n]{{0,8}}?否认|(?:的?(?:情况|症状))?时?[,:]?\s*\"?"
            rf"(?:他|她|其|患者|病人)?(?:说|答|回答|表示|明确|坚决|均|都|也)*{answers}){ends}"
            if self.language == "zh"
            else r"[^.;!?\n]{0,30}?[:,\"]\s*\"?(?:(?:he|she|they|i|pt|patient)\s+)?(?:\w+\s+)?"
            + answers
            + ends
        )

    def _read_nobody(self, words: Cues) -> None:
        """Nobody (is) ill, 没人(有)发烧; "nobody knows why my chest hurts" denies no pain."""
        zh = self.language == "zh"
        between = (
            "(?:有|会|在|出现|觉得|感到|再)*"
            if zh
            else (
                rf"(?:\s+(?:else|here|at home|in the (?:family|house|class)"
                rf"|{alternatives(words.fillers, whole=True)}))*\s*"
            )
        )
        marks = alternatives((*words.list_marks, " "), whole=False)
        listed = rf"(?:{MENTION}(?:{MENTION}|{marks})*)?"
        self.nobody = re.compile(f"{alternatives(words.nobody, whole=not zh)}{between}{listed}$")

    def _read_vaccines(self, words: Cues) -> None:
        """A vaccine's words before or after the disease, and a shot's where that is its name."""
        zh = self.language == "zh"
        reaction = alternatives(words.vaccine_between, whole=not zh)
        between = (
            rf"(?:(?!{reaction})[^,。;]){{0,4}}?"
            if zh
            else rf"[\s'-]*(?:(?!{reaction})[\w'-]+\s+){{0,2}}?"
        )
        ending = (
            "(?:了|过|完|的|针)*$" if zh else r"(?:\s+(?:a|an|the|my|his|her|for|against))*\s+$"
        )
        before, after, shot_before, shot_after = (
            alternatives(listed, whole=not zh)
            for listed in (
                words.vaccine_before, words.vaccine_after, words.shot_before, words.shot_after,
            )
        )  # fmt: skip
        self.vaccine_before, self.shot_before = (
            re.compile(either + ending) for either in (before, shot_before)
        )
        self.vaccine_after, self.shot_after = (
            re.compile(between + either) for either in (after, shot_after)
        )
        self.named_for_shots = frozenset(words.named_for_shots)


def _undivided(listed: Iterable[str], beside: Iterable[str] = ()) -> tuple[str, ...]:
    """The words that are not made up of shorter ones, nor of one and those that stand beside it.

    有过 is 有 and 过. A run of words then divides in one way only, and a pattern that repeats them
    has no second way to try: with both, the time doubles with every word.
    """
    kept: list[str] = []
    around = f"(?:{alternatives(beside, whole=False)})*" if beside else ""
    for word in sorted(set(listed), key=len):
        shorter = alternatives(kept, whole=False)
        made_up = f"{around}{shorter}{around}" if beside else f"(?:{shorter})+"
        if not kept or not re.fullmatch(made_up, word):
            kept.append(word)
    return tuple(kept)


@lru_cache(maxsize=2)
def patterns_of(language: str) -> CuePatterns:
    """The patterns of `zh` or `en`, compiled once."""
    return CuePatterns(language, cues()[language])
