"""The texts that the encoder is pretrained on, cut into pieces: one long stream per source.

Labels are not read here. Every stream joins its texts with BREAK; windows are cut from it at
random, so that no step pays for padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from knowledge_base.lexicon.findings import lexicon
from models.text.normalise import normalise
from models.text.pieces import BREAK, SPECIAL, UNKNOWN
from training.text.readers import list_of, rows, text_of

Stream = NDArray[np.int64]
_PROSE = ("overview", "cause", "prevention", "nursing")
_LONGEST = 4000


def _diseases(data_dir: Path) -> Iterator[str]:
    for row in rows(data_dir, "zh_diseases"):
        name = text_of(row, "name")
        yield f"{name} {'、'.join(list_of(row, 'symptoms'))}"
        yield from (f"{name} {part}" for part in list_of(row, "symptom_text"))
        yield from (text_of(row, field) for field in _PROSE)


def _consults(data_dir: Path) -> Iterator[str]:
    for row in rows(data_dir, "zh_consult_internal.train"):
        yield f"{text_of(row, 'title')}\n{text_of(row, 'text')}"
        yield text_of(row, "answer")


def _dialogues(data_dir: Path) -> Iterator[str]:
    for row in rows(data_dir, "zh_dialogue_drug.dev"):
        yield "\n".join(list_of(row, "dialog"))


def _medquad(data_dir: Path) -> Iterator[str]:
    for row in rows(data_dir, "medquad"):
        yield f"{text_of(row, 'question')} {text_of(row, 'answer')}"


def _notes(data_dir: Path) -> Iterator[str]:
    for row in rows(data_dir, "mts_dialog.train"):
        yield text_of(row, "dialogue")
        yield text_of(row, "section_text")


def _terms(data_dir: Path) -> Iterator[str]:
    """Names of one thing in both languages, side by side: what aligns the languages."""
    for row in rows(data_dir, "hpo_zh"):
        yield f"{text_of(row, 'zh')}，{text_of(row, 'en')}"
        yield f"{text_of(row, 'en')}，{text_of(row, 'zh')}"
    known = lexicon()
    for code in known:
        concept = known[code]
        chinese, english = [concept.zh, *concept.synonyms_zh], [concept.en, *concept.synonyms_en]
        for number, name in enumerate(chinese[:12]):
            other = english[number % len(english)]
            yield f"{name}，{other}"
            yield f"{other}，{name}"


def _queries(data_dir: Path) -> Iterator[str]:
    """Short questions to a search engine. Benchmark terms: research use only."""
    for row in rows(data_dir, "cblue/KUAKE-QIC.train"):
        yield text_of(row, "query")
    for row in rows(data_dir, "cblue/KUAKE-QTR.train"):
        yield f"{text_of(row, 'query')}，{text_of(row, 'title')}"
    for row in rows(data_dir, "cblue/KUAKE-QQR.train"):
        yield f"{text_of(row, 'query1')}，{text_of(row, 'query2')}"
    for row in rows(data_dir, "cblue/CHIP-STS.train"):
        yield f"{text_of(row, 'text1')}，{text_of(row, 'text2')}"


SOURCES: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "diseases": _diseases,
    "consults": _consults,
    "dialogues": _dialogues,
    "medquad": _medquad,
    "notes": _notes,
    "terms": _terms,
    "queries": _queries,
}

PRETRAINED_ON = (
    "zh_diseases", "zh_consult_internal.train", "zh_dialogue_drug.dev", "medquad",
    "mts_dialog.train", "hpo_zh",
)  # fmt: skip
"""The sets behind the sources of encoder.yaml, for manifests."""
PRETRAINED_ON_QUERIES = (
    *PRETRAINED_ON, "cblue/KUAKE-QTR.train", "cblue/KUAKE-QQR.train", "cblue/CHIP-STS.train",
)  # fmt: skip
"""Those behind encoder_queries.yaml, which goes on from there."""


def texts(source: str, data_dir: Path, limit: int | None = None) -> Iterator[str]:
    """The normalised texts of a source, each at most 4,000 characters."""
    for number, text in enumerate(SOURCES[source](data_dir)):
        if limit is not None and number >= limit:
            return
        if text.strip():
            yield normalise(text[:_LONGEST])


def learn_pieces(lines: Iterator[str], size: int) -> Tokenizer:
    """A WordPiece vocabulary of `size`, in which every Chinese character stands alone."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.train_from_iterator(
        lines,
        trainers.WordPieceTrainer(
            vocab_size=size,
            special_tokens=list(SPECIAL),
            limit_alphabet=6000,
            min_frequency=3,
            show_progress=False,
        ),
    )
    return tokenizer


def stream(tokenizer: Tokenizer, lines: Iterator[str]) -> Stream:
    """All texts of a source as one row of ids, BREAK after each."""
    stop = tokenizer.token_to_id(BREAK)
    cuts = tokenizer.encode_batch(list(lines), add_special_tokens=False)
    return np.concatenate([np.array([*cut.ids, stop], dtype=np.int64) for cut in cuts])
