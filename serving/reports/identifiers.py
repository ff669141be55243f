"""UIDs and UUIDs that a decision's exports carry, derived from its id: the same again every time.

Name-based UUIDs (RFC 9562, version 5). As a DICOM UID such a number stands under the root 2.25
(PS3.5, B.2).
"""

from __future__ import annotations

from uuid import UUID, uuid5

from serving.storage.canonical import dumps

NAMESPACE = UUID("5d1a3ff0-2f7e-4a51-9c53-8a0e6f1b7c24")
"""Ours alone, made once. Changing it gives every export another identity."""
LAYOUT = "1"
"""Raised whenever an export is built otherwise: other content must not bear an old UID."""


def uuid_of(*parts: str) -> UUID:
    """The UUID of a thing that is named by the parts."""
    return uuid5(NAMESPACE, dumps([LAYOUT, *parts]))


def dicom_uid(*parts: str) -> str:
    """The same as a DICOM UID, at most 44 characters."""
    return f"2.25.{uuid_of(*parts).int}"
