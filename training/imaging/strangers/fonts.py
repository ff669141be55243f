"""Which installed fonts write which script, and words to write: the knowledge base's own cards."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont

CARDS = Path(__file__).resolve().parents[3] / "knowledge_base" / "content" / "cards"
_LATIN = re.compile(
    r"(LiberationS|LiberationMono|DejaVuS|Free(Sans|Serif|Mono)|Nimbus|URW|P052|C059)[^/]*\.(ttf|otf|t1)$"
)
_CHINESE = re.compile(r"(NotoS[a-z]+CJK|ukai|wqy|DroidSansFallback)[^/]*\.(ttc|ttf|otf)$")
_SOURCE_MARK = re.compile(r"\[s\d+\]|[*_`#|]")
_HAN = re.compile(r"[\u4e00-\u9fff]")
# Without punctuation, "[A]" in the shortest cards' front matter would be lines too.
_SHORTEST_LINE = 12


class NoFonts(RuntimeError):
    """No installed font of the split writes the script; names the script."""


@lru_cache(maxsize=8)
def font_files(script: str, held_out: bool, held_out_names: tuple[str, ...]) -> tuple[Path, ...]:
    """Installed files that write `script` ("zh" or "en") on one side of the split, sorted.

    Raises NoFonts.
    """
    wanted = _CHINESE if script == "zh" else _LATIN
    try:
        listed = subprocess.run(
            ["fc-list", "--format", "%{file}\n"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise NoFonts("no fc-list on the path: install fontconfig") from error
    names = sorted(set(listed.stdout.splitlines()))
    found = tuple(
        Path(name)
        for name in names
        if wanted.search(name)
        and any(part in Path(name).name for part in held_out_names) == held_out
    )
    if not found:
        side = "held-out" if held_out else "training"
        raise NoFonts(f"no {side} fonts for {script}: install fonts-noto-cjk and fonts-liberation")
    return found


@lru_cache(maxsize=512)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size)


@lru_cache(maxsize=2)
def lines(script: str) -> tuple[str, ...]:
    """Sentences of the cards in one language, without their marks."""
    found = []
    for path in sorted(CARDS.glob("*.md")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = _SOURCE_MARK.sub("", line).strip(" -")
            if len(text) >= _SHORTEST_LINE and ":" not in text[:20]:
                chinese = bool(_HAN.search(text))
                if chinese == (script == "zh"):
                    found.append(text)
    return tuple(found)


class Pen:
    """Fonts and words of one side of the split; one picture is written in one script."""

    def __init__(self, held_out: bool, held_out_names: tuple[str, ...]) -> None:
        self._held_out = held_out
        self._names = held_out_names

    def script(self, rng: np.random.Generator) -> str:
        """Chinese a little more often than English."""
        return "zh" if rng.random() < 0.55 else "en"

    def font(self, rng: np.random.Generator, script: str, size: int) -> ImageFont.FreeTypeFont:
        """Any of the side's fonts."""
        files = font_files(script, self._held_out, self._names)
        return _font(files[int(rng.integers(len(files)))], size)

    def sentence(self, rng: np.random.Generator, script: str) -> str:
        """One line of a card; the two sides of the split share the words, not the fonts."""
        pool = lines(script)
        return pool[int(rng.integers(len(pool)))]

    def words(self, rng: np.random.Generator, script: str, count: int) -> str:
        """About `count` words (or pairs of characters) from the middle of a line."""
        text = self.sentence(rng, script)
        if script == "zh":
            start = int(rng.integers(0, max(1, len(text) - 2 * count)))
            return text[start : start + 2 * count]
        parts = text.split()
        start = int(rng.integers(0, max(1, len(parts) - count)))
        return " ".join(parts[start : start + count])


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The text in lines no wider than `width` pixels; breaks at spaces, or anywhere in Chinese."""
    pieces = re.findall(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+\s*|\s+", text)
    rows, row = [], ""
    for piece in pieces:
        if row and font.getlength(row + piece) > width:
            rows.append(row.rstrip())
            row = piece
        else:
            row += piece
    return [*rows, row.rstrip()] if row.strip() else rows
