"""What makes a request a row of a batch: no caller waits for it, and it leaves a trace of its own.

The services that answer single requests take it as `bulk`; without it they answer a caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Bulk:
    """One row of a batch on its way through the service that answers it.

    It waits in the engine's bulk class without a deadline. `keep` writes in the transaction of
    the decision, whose id is given, and what it raises undoes the decision: that is how a row
    gets exactly one.
    """

    decision_id: str
    keep: Callable[[Session], None]
