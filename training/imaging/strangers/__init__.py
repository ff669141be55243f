"""Pictures that are none of the kinds the models know, for the gate that must refuse them.

`mix.strangers` draws them; `python -m training.imaging.strangers` fetches, screenshots and packs.
"""

from training.imaging.strangers.mix import Packed, iter_strangers, strangers

__all__ = ["Packed", "iter_strangers", "strangers"]
