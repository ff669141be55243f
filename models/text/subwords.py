"""Text to the ids that a Hugging Face text encoder reads, by the `tokenizer.json` beside it.

The tokeniser of such a model is part of it: nothing here normalises a text before it does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.manifest import Manifest

TOKENISER = "tokenizer.json"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class SubwordReader:
    """`inputs`: which of input_ids, attention_mask and token_type_ids the network takes.

    At most `longest` ids, the model's own marks included. Thread-safe.
    """

    def __init__(self, tokeniser: Path, longest: int, inputs: tuple[str, ...]) -> None:
        if not set(inputs) <= set(_INPUTS) or not {"input_ids", "attention_mask"} <= set(inputs):
            raise ValueError(f"a text encoder takes {', '.join(_INPUTS)}, not {', '.join(inputs)}")
        try:
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(tokeniser))
        except Exception as error:
            # The library raises a bare Exception for whatever it cannot read.
            raise ValueError(f"{tokeniser.name}: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        self._inputs = inputs

    def tensors(self, text: str) -> dict[str, NDArray[np.generic]]:
        """One row, int64 [1, L] each; a batch pads with zeros, which the mask leaves out."""
        read = self._tokenizer.encode(text)
        found = {
            # A text without a single piece becomes one that the mask leaves out.
            "input_ids": read.ids or [0],
            "attention_mask": read.attention_mask or [0],
            "token_type_ids": read.type_ids or [0],
        }
        return {name: np.asarray([found[name]], dtype=np.int64) for name in self._inputs}


def subwords_of(manifest: Manifest, folder: Path) -> SubwordReader:
    """The reader of a model in `folder`; KeyError, OSError or ValueError where it cannot be."""
    path = folder / TOKENISER
    if TOKENISER not in manifest.files:
        raise ValueError(f"the manifest lists no {TOKENISER}")
    longest = int(manifest.preprocessing["longest"])
    return SubwordReader(path, longest, tuple(spec.name for spec in manifest.inputs))
