"""An optional language model that words an answer; off unless `generator_url` is set.

It speaks the OpenAI-compatible chat interface, sees the question and the quoted passages and
nothing else, and is believed in nothing: each sentence must name passages that support it, by words
and numbers (`answers.support`) and by the reranker, or it is dropped. Whatever fails leaves the
extractive answer as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx
import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from knowledge_base.answers.support import Claim, claims, supported
from knowledge_base.language import Language
from serving.settings import Settings

log = structlog.get_logger(__name__)

Judge = Callable[[str, Sequence[str]], Awaitable[NDArray[np.float32]]]
"""The probability that each text answers, or supports, the first."""

LEAST_ENTAILED = 0.5
"""Probability of the reranker, asked with the sentence, that one of its passages must reach."""
LONGEST_REPLY = 4_000
_TOKENS = 500
_INSTRUCTIONS = {
    "zh": "你只根据下面编号的指南段落回答问题。每句话末尾用[编号]标明依据的段落；"
    "段落里没有的内容不要写，不下诊断，不写剂量。用简短的中文句子。",
    "en": "Answer only from the numbered guideline passages below. End every sentence with the "
    "[number] of the passages that it rests on. Say nothing that they do not say; no diagnosis, "
    "no doses. Use short English sentences.",
}


class GeneratedSentence(BaseModel):
    """A sentence that its passages support; `passages`: their ids."""

    model_config = ConfigDict(frozen=True)

    text: str
    passages: tuple[str, ...]


class Generated(BaseModel):
    """What is left of a generated answer. dropped: sentences that no passage supports."""

    model_config = ConfigDict(frozen=True)

    model: str
    sentences: tuple[GeneratedSentence, ...]
    dropped: int


@dataclass(frozen=True)
class Passage:
    """A passage as the generator is given it."""

    id: str
    text: str


class Generator:
    """One endpoint. `transport` is for tests with a server in the process."""

    def __init__(
        self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        key = settings.generator_key.get_secret_value() if settings.generator_key else None
        self._model = settings.generator_model
        self._client = httpx.AsyncClient(
            base_url=str(settings.generator_url).rstrip("/"),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=settings.generator_timeout_s,
            transport=transport,
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()

    async def word(
        self, question: str, language: Language, passages: Sequence[Passage], judge: Judge
    ) -> Generated | None:
        """The sentences that hold; None where the endpoint fails or nothing holds."""
        try:
            reply = await self._reply(question, language, passages)
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
            # Only the kind of error: its message may quote the question.
            log.warning("generator failed", error=type(error).__name__)
            return None
        said = claims(reply[:LONGEST_REPLY])
        kept = []
        for claim in said:
            cited = [passages[n - 1] for n in claim.cited if 0 < n <= len(passages)]
            if await _holds(claim, cited, judge):
                ids = tuple(passage.id for passage in cited)
                kept.append(GeneratedSentence(text=claim.text, passages=ids))
        if not kept:
            return None
        return Generated(model=self._model, sentences=tuple(kept), dropped=len(said) - len(kept))

    async def _reply(self, question: str, language: Language, passages: Sequence[Passage]) -> str:
        listed = "\n".join(f"[{n}] {p.text}" for n, p in enumerate(passages, start=1))
        answer = await self._client.post(
            "/chat/completions",
            json={
                "model": self._model,
                "temperature": 0,
                "max_tokens": _TOKENS,
                "messages": [
                    {"role": "system", "content": _INSTRUCTIONS[language]},
                    {"role": "user", "content": f"{listed}\n\n{question}"},
                ],
            },
        )
        answer.raise_for_status()
        content = answer.json()["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise TypeError("no text")
        return content


async def _holds(claim: Claim, cited: Sequence[Passage], judge: Judge) -> bool:
    texts = [passage.text for passage in cited]
    if not supported(claim.text, texts):
        return False
    return bool((await judge(claim.text, texts)).max() >= LEAST_ENTAILED)
