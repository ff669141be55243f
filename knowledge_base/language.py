"""The two languages of everything that people read."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh", "en"]
Bilingual = dict[Language, str]
"""The same text in both languages."""
