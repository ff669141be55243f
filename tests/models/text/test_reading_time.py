"""No text, however it repeats itself, keeps the reader busy."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import product

import pytest

from knowledge_base.lexicon.context import cues
from models.text import age_sex, measured, past, values
from models.text.cue_patterns import MENTION, patterns_of
from models.text.findings import Reader

LONG = 8_000
REACH = 300
"""Characters that the context of a finding ever looks at."""


def patterns_in(thing: object) -> Iterator[re.Pattern[str]]:
    if isinstance(thing, re.Pattern):
        yield thing
    elif isinstance(thing, dict):
        yield from patterns_in(list(thing.values()))
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from patterns_in(part)


def seconds(pattern: re.Pattern[str], text: str) -> float:
    started = time.process_time()
    for _ in pattern.finditer(text):
        pass
    return time.process_time() - started


CUES = [p for language in ("zh", "en") for p in patterns_in(vars(patterns_of(language)))]
SAID = [p for module in (age_sex, past, values, measured) for p in patterns_in(vars(module))]
ZH = cues()["zh"]
BRIDGES = sorted({*ZH.negation_bridge, *ZH.list_marks, *ZH.negation, "可能", "就"})


@pytest.mark.parametrize("prefix", ["无", "不知道", "没人", "否认"])
def test_words_between_a_cue_and_its_finding_are_divided_in_one_way(prefix: str) -> None:
    texts = [f"{prefix}{bridge * (REACH // len(bridge))}x" for bridge in BRIDGES]
    texts += [f"{prefix}{(MENTION + bridge) * 100}x" for bridge in BRIDGES]
    texts += [f"{prefix}{(a + b) * 40}x" for a, b in product(ZH.negation_bridge, repeat=2)]
    zh = patterns_of("zh")
    for pattern in (zh.negated_zh, zh.doubted_zh, zh.listed_zh, zh.nobody):
        assert max(seconds(pattern, text) for text in texts) < 0.5


@pytest.mark.parametrize(
    "text",
    ["宝宝刚满", "出生后", "他今年已经", "无有过", "不知道有", "没人\x01", "十", "2019年", "8/",
     "5岁", "at age 60 ", "in 2015 ", "years ", "f 80 ", "hr is at ", "no ", "asked, no ",
     "no the "],
)  # fmt: skip
def test_every_pattern_reads_a_page_of_one_word_in_a_moment(text: str) -> None:
    page = text * (LONG // len(text)) + "x胸痛"
    for pattern in SAID:
        assert seconds(pattern, page) < 0.5, pattern.pattern[:80]
    for pattern in CUES:
        assert seconds(pattern, page[:REACH] + "x胸痛") < 0.5, pattern.pattern[:80]


@pytest.mark.parametrize(
    ("prefix", "repeated"),
    [
        ("", "心梗十"),
        ("", "胸痛5岁"),
        ("", "胸痛2019年"),
        ("无", "有过"),
        ("无", "严重的"),
        ("无", "胸痛没有"),
        ("无", "胸痛、有"),
        ("没人", "胸痛"),
        ("不知道", "有"),
        ("宝宝", "刚满"),
        ("", "stroke in 2015 "),
        ("no ", "chest pain or "),
    ],
)
def test_a_page_that_repeats_itself_is_read_in_a_moment(prefix: str, repeated: str) -> None:
    reader = Reader()
    reader.read("胸痛 chest pain")
    started = time.process_time()
    reader.read(prefix + repeated * (LONG // len(repeated)) + "x胸痛")
    # Half a second where nothing else runs; what grows faster than the text takes minutes.
    assert time.process_time() - started < 5
