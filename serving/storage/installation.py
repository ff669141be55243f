"""Secrets that belong to one installation: made at their first use, kept in its database.

They never leave the process: not to a log, a record, an answer or an error.
"""

from __future__ import annotations

import base64

from serving.storage.database import Database
from serving.storage.insert import insert_if_absent
from serving.storage.tables import InstallationSecretRow

DICOM_UIDS = "dicom_uids"
"""The key under which the UIDs of DICOM files are exchanged for our own."""


def installation_secret(db: Database, name: str) -> bytes:
    """The 32 random bytes of that name, the same for as long as the database lives. Blocking."""
    with db.read() as session:
        row = session.get(InstallationSecretRow, name)
        value = None if row is None else row.value
    if value is None:
        fresh = {"name": name, "value": db.ids.secret(), "created_at": db.clock.now()}
        with db.write() as session:
            insert_if_absent(session, InstallationSecretRow, fresh)
            value = session.get_one(InstallationSecretRow, name).value
    return base64.urlsafe_b64decode(value + "=")
