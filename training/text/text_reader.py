"""The encoder with a head over whole texts: the encoder's half of a classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.text.encoder import Encoder, mean_and_maximum


class TextReader(nn.Module):
    """pieces int64 [N, L] to scores [N, C] from the mean and the maximum of all states."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(2 * encoder.shape.width, classes)

    def forward(self, pieces: Tensor) -> Tensor:
        """See the class."""
        whole = mean_and_maximum(self.encoder(pieces), pieces)
        return torch.as_tensor(self.head(self.dropout(whole)))
