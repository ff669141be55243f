"""Examples for the department model, from every public set that says who should see a patient.

Each source keeps its name, because the shares of departments differ from one to the next and
say nothing about a hospital's own: the trainer gives every source a bias of its own.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from knowledge_base.lexicon.departments import crosswalks
from training.text.readers import Row, list_of, rows, text_of

_SENTENCE = re.compile(r"[^。！？!?；;\n]+")
_TEMPLATES = (
    "{}怎么回事",
    "{}是什么原因",
    "最近总是{}，该挂什么科",
    "{}怎么办",
    "医生您好，我{}，已经好几天了",
    "这几天{}，需要吃什么药",
    "一直{}，要做什么检查",
    "{}",
    "孩子{}怎么办",
    "家里老人{}，严重吗",
)
_TEMPLATES_EN = (
    "I have {}",
    "{} for a few days, what should I do?",
    "What causes {}?",
    "Which doctor should I see for {}?",
    "{}",
    "My father has {}",
)


@dataclass(frozen=True)
class Example:
    """One text with its department; `group` keeps views of one row on one side of a split."""

    text: str
    concepts: tuple[str, ...]
    code: str
    source: str
    group: str


def consult_internal(data_dir: Path, part: str, limit: int | None = None) -> list[Example]:
    """Title with text (source `internal`), and for training the text alone as a second view."""
    walk = crosswalks()["zh_consult_internal"]
    found = []
    for number, row in enumerate(rows(data_dir, f"zh_consult_internal.{part}", limit)):
        code = walk.code_of(text_of(row, "department"))
        if code is None:
            continue
        group = f"internal-{part}-{number}"
        title, text = text_of(row, "title"), text_of(row, "text")
        found.append(Example(f"{title}\n{text}", (), code, "internal", group))
        if text:
            found.append(Example(text, (), code, "internal_text", group))
    return found


def consult_all(data_dir: Path, limit: int | None = None) -> list[Example]:
    """The consults of every department: text, department and sub-department to our code."""
    walk = crosswalks()["zh_consult_all"]
    found = []
    for number, row in enumerate(rows(data_dir, "zh_consult_all.dev", limit)):
        code = walk.code_of(f"{text_of(row, 'department')}/{text_of(row, 'sub_department')}")
        if code is not None:
            found.append(Example(text_of(row, "text"), (), code, "all", f"all-{number}"))
    return found


def dialogues(data_dir: Path, limit: int | None = None) -> list[Example]:
    """The patient's first words of each dialogue, by the department of its one diagnosis."""
    walk = crosswalks()["zh_dialogue_drug"]
    found = []
    for number, row in enumerate(rows(data_dir, "zh_dialogue_drug.dev", limit)):
        codes = {walk.code_of(disease) for disease in list_of(row, "disease")}
        code = codes.pop() if len(codes) == 1 else None
        said = [u.partition("：")[2] for u in list_of(row, "dialog") if u.startswith("患者")]
        if code is not None and said:
            found.append(Example(said[0], (), code, "dialogue", f"dialogue-{number}"))
    return found


def disease_code(row: Row) -> str | None:
    """Our code for a disease of the encyclopedia; None where its department is unknown."""
    label = "/".join(list_of(row, "departments"))
    return crosswalks()["zh_diseases"].code_of(label, text_of(row, "name"))


def _phrase(
    symptoms: Sequence[str], templates: Sequence[str], joint: str, dice: random.Random
) -> str:
    chosen = dice.sample(list(symptoms), min(len(symptoms), dice.choice((1, 2, 2, 3, 4))))
    return dice.choice(templates).format(joint.join(chosen))


def _views(
    row: Row, english: dict[str, str], dice: random.Random
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Text, concepts and source of every view of one disease."""
    name, symptoms = text_of(row, "name"), list_of(row, "symptoms")
    yield name, (), "name"
    yield _phrase([name], _TEMPLATES, "", dice), (), "name"
    for paragraph in list_of(row, "symptom_text")[:4]:
        sentences = _SENTENCE.findall(paragraph[:400])
        if sentences:
            yield "。".join(sentences[:3]), (), "prose"
    yield text_of(row, "overview")[:200], (), "prose"
    if not symptoms:
        return
    yield "、".join(symptoms), (), "symptoms"
    for _ in range(2):
        yield _phrase(symptoms, _TEMPLATES, "，", dice), (), "symptoms"
    some = tuple(dice.sample(symptoms, min(len(symptoms), dice.randint(1, 5))))
    yield _phrase(symptoms, _TEMPLATES, "，", dice), some, "symptoms"
    yield "", some, "symptoms"
    translated = [english[s] for s in symptoms if s in english]
    if translated:
        known = tuple(s for s in symptoms if s in english)
        for _ in range(2):
            phrase = _phrase(translated, _TEMPLATES_EN, " and ", dice)
            yield phrase, known if dice.random() < 0.5 else (), "english"


def diseases(data_dir: Path, seed: int, limit: int | None = None) -> list[Example]:
    """Views of every disease: its name, prose, phrases from symptoms, concepts, English."""
    dice = random.Random(seed)
    english = {text_of(r, "zh"): text_of(r, "en").lower() for r in rows(data_dir, "hpo_zh")}
    found = []
    for number, row in enumerate(rows(data_dir, "zh_diseases", limit)):
        code = disease_code(row)
        if code is not None:
            found += [
                Example(text, concepts, code, source, f"disease-{number}")
                for text, concepts, source in _views(row, english, dice)
                if text or concepts
            ]
    return found


def _names(names: list[str], held_out: bool) -> list[str]:
    """The last of three names or more if `held_out`, else the others."""
    if held_out:
        return names[-1:] if len(names) >= 3 else []
    return names[:-1] if len(names) >= 3 else names


def complaints(seed: int) -> list[Example]:
    """Phrases of our own guide (`complaints.yaml`), with and without the finding as a concept.

    Every second phrase of a complaint with a second department goes to that one.
    """
    dice = random.Random(seed)
    found = []
    for number, row in enumerate(_guide()):
        for language, templates in (("zh", _TEMPLATES[:-2]), ("en", _TEMPLATES_EN)):
            for name in _names(row[language], held_out=False):
                for turn, concepts in enumerate(((), (), (row["zh"][0],), (row["zh"][0],))):
                    codes = row["codes"]
                    code = codes[1] if len(codes) > 1 and turn % 3 == 1 else codes[0]
                    text = name if turn == 0 else dice.choice(templates).format(name)
                    group = f"complaint-{number}"
                    found.append(Example(text, tuple(concepts), code, "complaint", group))
        found.append(Example("", (row["zh"][0],), row["codes"][0], "complaint", group))
    return found


def held_out_complaints() -> list[tuple[Example, frozenset[str]]]:
    """Names that training never shows, source `zh` or `en`, with every right department."""
    return [
        (Example(name, (), row["codes"][0], language, ""), frozenset(row["codes"]))
        for row in _guide()
        for language in ("zh", "en")
        for name in _names(row[language], held_out=True)
    ]


def _guide() -> list[dict[str, list[str]]]:
    path = Path(__file__).parent / "complaints.yaml"
    rows_of_guide: list[dict[str, list[str]]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return rows_of_guide


def seeds(*, held_out: bool) -> list[Example]:
    """Our own phrases (`seeds.yaml`): the last of every list if `held_out`, else the others."""
    raw = yaml.safe_load((Path(__file__).parent / "seeds.yaml").read_text(encoding="utf-8"))
    found = []
    for code, languages in raw.items():
        for language, phrases in languages.items():
            kept = phrases[-1:] if held_out else phrases[:-1]
            found += [
                Example(phrase, (), code, f"seed_{language}", f"seed-{code}-{language}-{i}")
                for i, phrase in enumerate(kept)
            ]
    return found
