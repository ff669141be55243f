"""Who calls, for routes that answer in less time than the database takes to say so.

A key that was good is good for two seconds more without a look into the database: in this process
a user who is disabled is refused at once, in others within that time. What must not rest on that,
such as a signature, asks the database anyway (`users.require_now`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.types import Scope

from serving import users
from serving.errors import Unauthenticated
from serving.security import caller
from serving.storage.database import Database
from serving.users import Permission, User

FRESH_S = 2.0
MOST_KEYS = 1_024


class Credentials:
    """Keys that were good a moment ago, by sha256. Used within one event loop."""

    def __init__(self, db: Database, now: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._now = now
        self._known: OrderedDict[bytes, tuple[float, User]] = OrderedDict()

    async def admit(
        self, scope: Scope, headers: Mapping[bytes, bytes], permission: Permission
    ) -> User:
        """The caller of a request, if allowed; raises Unauthenticated or Forbidden.

        A session's cookie is honoured as everywhere else, and looked up each time.
        """
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            user = await self.user(key.strip())
        else:
            user = await asyncio.to_thread(caller, Request(scope))
        users.require(user, permission)
        return user

    async def user(self, key: bytes) -> User:
        """The user of an API key; raises Unauthenticated."""
        digest = hashlib.sha256(key).digest()
        until, known = self._known.get(digest, (0.0, None))
        now = self._now()
        if known is not None and now < until and known.id not in self._db.disabled:
            return known
        found = await asyncio.to_thread(
            users.authenticate, self._db, key.decode("ascii", errors="replace")
        )
        if found is None:
            self._known.pop(digest, None)
            raise Unauthenticated("unknown or disabled key")
        self._known[digest] = (now + FRESH_S, found)
        self._known.move_to_end(digest)
        if len(self._known) > MOST_KEYS:
            self._known.popitem(last=False)
        return found
