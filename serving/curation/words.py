"""What people write beside a verdict or a proposal: plain text of limited length."""

from __future__ import annotations

from serving.errors import FieldError, InvalidInput

LIMIT = 2000
"""Characters of a comment or a reason."""


def words(text: str | None, pointer: str) -> str | None:
    """The text without blanks around, or None where nothing is said.

    Raises InvalidInput for more than LIMIT characters or for control characters, which one of our
    databases cannot keep and no reader wants.
    """
    said = (text or "").strip()
    if len(said) > LIMIT:
        raise InvalidInput(errors=[FieldError(pointer, f"at most {LIMIT} characters")])
    if any(c < " " and c not in "\n\r\t" for c in said):
        raise InvalidInput(errors=[FieldError(pointer, "no control characters")])
    return said or None
