"""The findings benchmark on dialogues and sentences small enough to score by eye."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.dialogue import DialogueReader
from eval.findings import dialogue_items
from eval.result import BenchmarkError
from eval.run import run
from knowledge_base.lexicon.findings import lexicon
from tests.eval.files import write_lines


@pytest.fixture(scope="module")
def reader() -> DialogueReader:
    return DialogueReader(lexicon(), dialogue_items())


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (["患者:胸闷，没有头晕"], {("胸闷", "present"), ("头晕", "absent")}),
        (["患者:这是冠心病吗？"], {("冠心病", "unknown")}),
        (["医生:胸闷吗？"], {("胸闷", "unknown")}),
        (["医生:胸闷吗？", "患者:没有"], {("胸闷", "absent")}),
        (["医生:有没有咳嗽？", "患者:有的，好几天了"], {("咳嗽", "present")}),
        (["医生:有没有咳嗽？", "患者:医生您好"], {("咳嗽", "unknown")}),
        (["医生:考虑是冠心病。", "患者:好的"], {("冠心病", "unknown")}),
        (["患者:我咳嗽", "医生:咳嗽多久了？"], {("咳嗽", "present")}),
        (["患者:我咳嗽", "医生:还咳嗽吗？", "患者:不咳嗽了"], {("咳嗽", "absent")}),
        (["患者:活动后胸痛"], {("胸痛", "present")}),
    ],
)
def test_a_window_gives_the_patients_last_word(
    reader: DialogueReader, window: list[str], expected: set[tuple[str, str]]
) -> None:
    assert reader.read(window) == expected


def test_a_narrower_finding_counts_for_the_nearest_item(reader: DialogueReader) -> None:
    assert reader.read(["患者:心绞痛"]) == {("心绞痛", "present")}
    assert reader.read(["患者:室间隔缺损"]) == {("室间隔缺损", "present")}


def test_doctors_statuses_fold_and_only_symptoms_count(tmp_path: Path) -> None:
    data = write_lines(
        tmp_path / "a.jsonl",
        [
            {
                "windows": [
                    {
                        "utterances": ["患者:胸闷，没有头晕，也没有咳嗽"],
                        "labels": [
                            "症状:胸闷-状态:阳性",
                            "症状:胸闷-状态:医生阳性",
                            "症状:头晕-状态:医生阴性",
                            "症状:咳嗽-状态:阳性",
                            "检查:心电图-状态:阳性",
                            "症状:天外来病-状态:未知",
                        ],
                    }
                ]
            }
        ],
    )
    result = run("findings", data)
    # Right: 胸闷 present, 头晕 absent. Found 3, true 4.
    assert result.metrics == pytest.approx({"precision": 2 / 3, "recall": 2 / 4, "f1": 4 / 7})
    assert "天外来病" in str(result.as_json()["warnings"])


def test_cmeee_counts_exact_spans_with_their_negation(tmp_path: Path) -> None:
    rows = [
        {
            "text": "患儿发热，无咳嗽，肺部感染。",
            "entities": [
                {"start_idx": 2, "end_idx": 3, "type": "sym", "entity": "发热"},
                {"start_idx": 5, "end_idx": 7, "type": "sym", "entity": "无咳嗽"},
                {"start_idx": 9, "end_idx": 10, "type": "bod", "entity": "肺部"},
                {"start_idx": 9, "end_idx": 12, "type": "dis", "entity": "肺部感染"},
            ],
        }
    ]
    result = run("findings", write_lines(tmp_path / "a.jsonl", rows))
    assert result.metrics["recall"] == pytest.approx(2 / 3)
    assert result.metrics["precision"] == 1.0


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "a"}, "expected 'windows'"),
        ({"windows": [3]}, "a window must be an object"),
        ({"windows": [{"utterances": ["患者:a"], "labels": ["症状:胸闷"]}]}, "a label must read"),
        ({"text": "a", "entities": [{"type": "sym"}]}, "an entity needs"),
    ],
)
def test_a_line_of_no_known_format_is_named(tmp_path: Path, row: object, words: str) -> None:
    with pytest.raises(BenchmarkError, match=f"line 1: {words}"):
        run("findings", write_lines(tmp_path / "a.jsonl", [row]))


@pytest.mark.data
@pytest.mark.slow
def test_the_development_dialogues_are_read_better_than_a_quick_lexicon(data_dir: Path) -> None:
    result = run("findings", data_dir / "text" / "zh_dialogue_status.dev.jsonl.gz")
    assert result.metrics["f1"] > 0.6  # a quick lexicon reaches 0.52 (data/README.md)
    assert "warnings" not in result.as_json()
