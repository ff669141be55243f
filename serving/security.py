"""Who calls: an API key in `Authorization: Bearer`, or the console's session cookie.

Every route names the permission that it needs; without one nothing is reachable but health,
metrics, static files and the pages that start a session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from fastapi import Request

from serving import users
from serving.ended_sessions import EndedSessions, new_record
from serving.errors import Forbidden, Unauthenticated
from serving.services import Services
from serving.users import Permission, User

COOKIE = "fenzhen_session"
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def services_of(request: Request) -> Services:
    """The server's parts."""
    services: Services = request.app.state.services
    return services


class Sessions:
    """Signed cookies of the console: `user.nonce.expiry.signature`, HMAC-SHA256 with a server key.

    The key lives as long as the server: a restart signs everybody out, and nothing secret
    is written to disk. Processes of one server share the key and the sessions that were `ended`.
    """

    def __init__(
        self,
        key: bytes,
        hours: float,
        now: Callable[[], float] = time.time,
        ended: EndedSessions | None = None,
    ) -> None:
        self._key = key
        self.seconds = int(hours * 3600)
        self._now = now
        self._ended = EndedSessions(new_record()) if ended is None else ended

    def issue(self, user: User) -> str:
        """The cookie's value for a user who showed a valid key."""
        body = f"{user.id}.{secrets.token_hex(8)}.{int(self._now()) + self.seconds}"
        return f"{body}.{self._sign(body)}"

    def user_id(self, cookie: str) -> str | None:
        """The user of a cookie; None when it is forged, malformed or expired."""
        body, _, signature = cookie.rpartition(".")
        who, _, expiry = body.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        if not expiry.isdigit() or int(expiry) <= self._now():
            return None
        if signature in self._ended:
            return None
        return who.partition(".")[0]

    def end(self, cookie: str) -> None:
        """Refuse a cookie from now on, wherever a copy of it may be."""
        self._ended.add(cookie.rpartition(".")[2])

    def csrf(self, cookie: str) -> str:
        """The token that forms of this session carry."""
        return self._sign("csrf." + cookie)

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def sessions_of(request: Request) -> Sessions:
    """The console's sessions."""
    sessions: Sessions = request.app.state.sessions
    return sessions


def caller(request: Request) -> User:
    """The user behind a request; raises Unauthenticated. Blocking: call from a thread.

    A cookie is honoured for reading only, or with the session's CSRF token in a header or
    form (`X-CSRF-Token`), so that no other site can act in a physician's name.
    """
    services = services_of(request)
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        user = users.authenticate(services.db, key.strip())
        if user is None:
            raise Unauthenticated("unknown or disabled key")
        return user
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise Unauthenticated("send an API key as a bearer token")
    return session_user(request, cookie)


def session_user(request: Request, cookie: str, token: str | None = None) -> User:
    """The user of a session cookie; raises Unauthenticated or, without CSRF token, Forbidden.

    `token` is the form's; None stands for the header's.
    """
    sessions = sessions_of(request)
    user_id = sessions.user_id(cookie)
    if user_id is None:
        raise Unauthenticated("the session has ended")
    if request.method in UNSAFE:
        if token is None:
            token = request.headers.get("x-csrf-token", "")
        if not hmac.compare_digest(token.encode(), sessions.csrf(cookie).encode()):
            raise Forbidden("the CSRF token is missing or wrong")
    user = users.get(services_of(request).db, user_id)
    if user.disabled_at is not None:
        raise Unauthenticated("the user is disabled")
    return user


def allow(permission: Permission) -> Callable[[Request], User]:
    """A dependency: the caller, if allowed; Unauthenticated or Forbidden otherwise."""

    def dependency(request: Request) -> User:
        user = caller(request)
        users.require(user, permission)
        return user

    dependency.permission = permission  # type: ignore[attr-defined]
    return dependency
