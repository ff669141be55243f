"""Who is at the console: the session cookie, with the session's token on every form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import FormData

from serving import users
from serving.errors import Unauthenticated
from serving.security import COOKIE, session_user, sessions_of
from serving.users import Permission, User
from serving.web import forms


@dataclass(frozen=True)
class Member:
    """Somebody signed in. `csrf` is the token that their forms carry."""

    user: User
    csrf: str

    def may(self, permission: str) -> bool:
        """Whether the role allows it: for what a page offers, never instead of a check."""
        return self.user.may(Permission(permission))


async def reader(request: Request, permission: Permission) -> Member:
    """Who opens a page; raises Unauthenticated or Forbidden."""
    return await _member(request, permission, None)


async def writer(request: Request, permission: Permission) -> tuple[Member, FormData]:
    """Who sent a form, and the form; raises Unauthenticated or Forbidden."""
    form = await forms.posted(request)
    token = form.get("csrf")
    return await _member(request, permission, token if isinstance(token, str) else ""), form


async def _member(request: Request, permission: Permission, token: str | None) -> Member:
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise Unauthenticated("sign in first")
    user = await asyncio.to_thread(session_user, request, cookie, token)
    users.require(user, permission)
    return Member(user, sessions_of(request).csrf(cookie))
