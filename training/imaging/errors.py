"""What a person can mend before or while an image classifier trains."""

from __future__ import annotations


class CannotTrain(ValueError):
    """Settings, data or a checkpoint do not fit together; the message says which and what to do."""


class Diverged(CannotTrain):
    """A loss, gradient or score that is not a finite number; the last checkpoint is untouched."""
