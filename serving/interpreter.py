"""Settings of the Python interpreter for a process that serves. Costs nothing but this."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.0005
"""How long a thread may keep the interpreter while another wants it. Python's own 5 ms is as long
as a whole batch: a network that has its answer would wait for a busy event loop to give way."""


def settle() -> None:
    """To be called when everything is loaded: what is in memory now stays for good.

    The collector need not look through the lexicon, the cards and the index again and again: a
    full pass over them stops every request for a tenth of a second.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
