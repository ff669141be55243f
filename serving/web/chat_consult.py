"""The web chat's consult: found by its cookie, opened, spoken to, closed.

The pages act as the built-in user "Web chat". Draws nothing.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace
from typing import Any, get_args

from fastapi import Request
from starlette.datastructures import FormData

from knowledge_base.rules.facts import Sex, Status
from serving import users
from serving.consulting import Profile, Turn, close_consult, open_consult, take_turn
from serving.errors import Conflict, InvalidInput, NotFound, VersionConflict
from serving.security import services_of
from serving.storage import consults
from serving.storage.codes import ConsultStatus, Role
from serving.storage.consults import Consult
from serving.storage.database import Database
from serving.users import Permission, User
from serving.web import forms
from serving.web.pages import preferences

COOKIE = "fenzhen_consult"
WEB_USER = "Web chat"
CONSENT_VERSION = "2026-11"
"""Of the words on the consent card; kept with every consult."""

_making = threading.Lock()


class NothingTicked(InvalidInput):
    """ "These, yes" to a question for several findings, and none of them chosen."""


@dataclass(frozen=True)
class Held:
    """A consult with the secret that the browser showed."""

    consult: Consult
    secret: str

    @property
    def closed(self) -> bool:
        """Whether the patient ended it."""
        return self.consult.status is ConsultStatus.CLOSED


def web_user(db: Database) -> User:
    """The user that the pages act as; made at first use, its key thrown away.

    Raises Forbidden where an administrator disabled it: the chat is then switched off.
    """
    with _making:
        named = [u for u in users.list_users(db, role=Role.PATIENT_APP) if u.name == WEB_USER]
        user = named[0] if named else users.create(db, name=WEB_USER, role=Role.PATIENT_APP).user
    users.require(user, Permission.CONSULT_WRITE)
    return user


async def held_by(request: Request) -> Held | None:
    """The consult of the cookie; None without one or with one that opens nothing."""
    consult_id, _, secret = request.cookies.get(COOKIE, "").partition(".")
    if not consult_id:
        return None
    try:
        found = await asyncio.to_thread(
            consults.load, services_of(request).db, consult_id[:64], secret[:200]
        )
    except NotFound:
        return None
    return Held(found, secret)


async def opened(request: Request, profile: Profile, *, for_other: bool) -> Held:
    """A new consult that remembers what was agreed to and for whom it is."""
    services = services_of(request)
    user = await asyncio.to_thread(web_user, services.db)
    new = await open_consult(services, profile, user)
    consent = {
        "version": CONSENT_VERSION,
        "health_data": True,
        "language": preferences(request).language,
        "at": services.db.clock.now().isoformat(timespec="seconds"),
    }
    state: dict[str, Any] = dict(new.consult.state)
    saved = await asyncio.to_thread(
        consults.save,
        services.db,
        new.consult.id,
        expected_version=new.consult.version,
        state=state | {"consent": consent, "for_other": for_other},
        status=ConsultStatus.OPEN,
        actor=user.id,
    )
    return Held(saved, new.secret)


async def say(request: Request, held: Held, form: FormData, typed: str) -> Consult:
    """The consult after the patient's words, quick reply or ticks. Raises NothingTicked."""
    services = services_of(request)
    user = await asyncio.to_thread(web_user, services.db)
    answer = forms.word(form, "answer", 20)
    said: Status | None = next((s for s in get_args(Status) if s == answer), None)
    ticked = tuple(v[:100] for v in form.getlist("finding") if isinstance(v, str))
    if said is None and ticked:
        said = "present"  # ticked, then sent with the button for words
    question: Any = held.consult.state["question"] or {}
    if said == "present" and not ticked and len(question.get("codes", ())) > 1:
        raise NothingTicked("nothing was ticked")
    turn = Turn(text=typed or None, answer=said, findings=ticked if said == "present" else ())
    reply = await take_turn(services, _in_language(request, held.consult), turn, user)
    return reply.consult


async def closed(request: Request, consult: Consult) -> bool:
    """Whether it could be closed; not while the question for suicide is due."""
    services = services_of(request)
    user = await asyncio.to_thread(web_user, services.db)
    try:
        await close_consult(services, consult, user)
    except VersionConflict:
        raise
    except Conflict:
        return False
    return True


def profile_of(form: FormData) -> Profile:
    """Who the patient is, from the consent card; raises InvalidInput for an age that is none."""
    number = forms.real(form, "age", 0, 1500)
    years = number
    if number is not None and forms.word(form, "age_unit") == "months":
        years = number / 12
    if years is not None and years > 125:
        raise InvalidInput("no such age")
    sex: Sex | None = next((s for s in get_args(Sex) if s == forms.word(form, "sex")), None)
    pregnant = {"yes": True, "no": False}.get(forms.word(form, "pregnant"))
    return Profile(age_years=years, sex=sex, pregnant=pregnant if sex != "male" else None)


def _in_language(request: Request, consult: Consult) -> Consult:
    """The consult answering in the language of the page where the reader chose one."""
    wanted = preferences(request)
    if not wanted.chosen:
        return consult
    state: dict[str, Any] = dict(consult.state)
    state["profile"] = state["profile"] | {"language": wanted.language}
    return replace(consult, state=state)
