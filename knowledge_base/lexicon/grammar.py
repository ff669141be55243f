"""The grammar of findings as data: body sites, sensations, and the words between them.

Reads and validates `sites.yaml` and `sensations.yaml` and says which finding a sensation is at a
site. It knows nothing of text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.yaml_files import ContentError, read_yaml

SITES = Path(__file__).parent / "sites.yaml"
SENSATIONS = Path(__file__).parent / "sensations.yaml"

Side = Literal["left", "right", "both"]
_CODE = r"^[a-z][a-z_]*$"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Frozen):
    """A body site; the first name of each language is the one shown.

    `paired`: it has a left and a right one. `tissue`: it is named beside the site where it lies.
    """

    code: str = Field(pattern=_CODE)
    zh: tuple[str, ...] = Field(min_length=1)
    en: tuple[str, ...] = Field(min_length=1)
    parent: str | None = None
    paired: bool = False
    tissue: bool = False


class Sensation(_Frozen):
    """What is felt or seen; `at` gives its finding by `site` or `site+side`, None for none.

    `vague`: findings that the words alone are listed as and that the finding at a site replaces.
    `apart`: it is no further word on what was felt before it: belly pain, and bleeding.
    """

    code: str = Field(pattern=_CODE)
    concept: str | None
    vague: tuple[str, ...] = ()
    apart: bool = False
    zh: tuple[str, ...] = Field(min_length=1)
    en: tuple[str, ...] = Field(min_length=1)
    at: Mapping[str, str | None]


class PhraseWords(_Frozen):
    """One language's small words of a phrase."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    both: tuple[str, ...]
    links: tuple[str, ...]
    prepositions: tuple[str, ...] = ()
    fillers: tuple[str, ...]
    negations: tuple[str, ...]


class Lookalikes(_Frozen):
    """Words that hold another word of the grammar and mean something else."""

    zh: tuple[str, ...]
    en: tuple[str, ...]


class OneSide(BaseModel):
    """Two sites of `of` on the same side are the site `is_`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: tuple[str, ...]
    is_: str = Field(alias="is")


class _SiteFile(_Frozen):
    version: int
    not_sites: Lookalikes
    one_side: OneSide
    sites: tuple[Site, ...]


class _SensationFile(_Frozen):
    version: int
    words: Mapping[str, PhraseWords]
    not_sensations: Lookalikes
    sensations: tuple[Sensation, ...]


class Grammar:
    """Sites and sensations by code, and the finding that a sensation is at a site."""

    def __init__(self, sites: _SiteFile, sensations: _SensationFile) -> None:
        self.sites = {site.code: site for site in sites.sites}
        self.sensations = {sensation.code: sensation for sensation in sensations.sensations}
        self.one_side = sites.one_side
        self.words = sensations.words
        self.lookalikes = (sites.not_sites, sensations.not_sensations)
        self._chains = {code: self._chain(code) for code in self.sites}

    def _chain(self, code: str) -> tuple[str, ...]:
        chain = [code]
        while (parent := self.sites[chain[-1]].parent) is not None:
            if parent not in self.sites or parent in chain:
                raise ContentError(f"{SITES.name}: {code} lies in {parent}, which is no site")
            chain.append(parent)
        return tuple(chain)

    def is_part(self, inner: str, outer: str) -> bool:
        """Whether a site lies in another or is the same."""
        return outer in self._chains[inner]

    def region(self, site: str) -> str:
        """The largest site that a site lies in."""
        return self._chains[site][-1]

    def one_side_of_body(self, places: Collection[tuple[str, Side | None]]) -> str | None:
        """The site that a phrase's sites and sides make together: left arm and left leg."""
        for side in ("left", "right"):
            sites = [site for site, own in places if own == side]
            parts = {p for p in self.one_side.of for site in sites if self.is_part(site, p)}
            if len(parts) > 1:
                return self.one_side.is_
        return None

    def listed(self, sensation: str, site: str, side: Side | None) -> str | None:
        """The finding that `at` gives for the site or the next larger one, None for none."""
        at = self.sensations[sensation].at
        for code in self._chains[site]:
            for key in (f"{code}+{side}", code):
                if key in at:
                    return at[key]
        return self.sensations[sensation].concept


def _problems(grammar: Grammar, terms: Lexicon) -> list[str]:
    named = (*grammar.one_side.of, grammar.one_side.is_)
    found = [f"one_side: {site} is no site" for site in named if site not in grammar.sites]
    for sensation in grammar.sensations.values():
        vague = [("", code) for code in sensation.vague]
        for key, concept in (*sensation.at.items(), ("", sensation.concept), *vague):
            site, _, side = key.partition("+")
            if site and site not in grammar.sites:
                found.append(f"{sensation.code}: {site} is no site")
            elif side and (side not in {"left", "right", "both"} or not grammar.sites[site].paired):
                found.append(f"{sensation.code}: {site} has no side {side}")
            if concept is not None and concept not in terms:
                found.append(f"{sensation.code}: the lexicon lacks {concept}")
    return found


@lru_cache(maxsize=1)
def grammar() -> Grammar:
    """The shipped grammar, read once; raises ContentError for a dangling site or finding."""
    try:
        read = Grammar(
            _SiteFile.model_validate(read_yaml(SITES)),
            _SensationFile.model_validate(read_yaml(SENSATIONS)),
        )
    except ValidationError as error:
        raise ContentError(f"{SITES.name} or {SENSATIONS.name}: {error}") from error
    problems = _problems(read, lexicon())
    if problems:
        raise ContentError(f"{SENSATIONS.name}: {'; '.join(problems)}")
    return read
