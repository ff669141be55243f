"""A classifier that ships: a linear half over n-grams and an encoder's half in one graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.text.bag import unit_weights
from training.text.calibrate import Calibrator
from training.text.linear import Linear
from training.text.sparse import Floats
from training.text.stored import StoredEmbedding, stored
from training.text.text_reader import TextReader


class TwoHalves(nn.Module):
    """ids int64 [N, L], weights float32 [N, L], pieces int64 [N, M] to logits [N, C].

    The halves are multiplied as probabilities: log p = calibrated linear logits + `share` * the
    encoder's. A padding id adds nothing.
    """

    def __init__(
        self, general: Linear, idf: Floats, calibrator: Calibrator, reader: TextReader,
        share: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.knee, self.slope, self.temperature = (
            calibrator.knee, calibrator.slope, calibrator.temperature,
        )  # fmt: skip
        self.share, self.classes = share, len(general.bias)
        table = torch.from_numpy(general.weight)
        # The columns of a stored table come in pairs.
        even = nn.functional.pad(table, (0, table.shape[1] % 2))
        self.rows = StoredEmbedding(even)
        self.register_buffer("idf", torch.from_numpy(idf).half())
        self.register_buffer("bias", torch.from_numpy(general.bias))
        self.register_buffer("shift", torch.from_numpy(calibrator.shift))
        self.reader = stored(reader)

    def forward(self, ids: Tensor, weights: Tensor, pieces: Tensor) -> Tensor:
        """See the class."""
        weights = unit_weights(ids, weights, self.get_buffer("idf"))
        summed = torch.matmul(weights.unsqueeze(1), self.rows(ids)).squeeze(1)
        scores = summed[:, : self.classes] + self.get_buffer("bias")
        bent = torch.clamp(scores, max=self.knee)
        bent = bent + self.slope * torch.clamp(scores - self.knee, min=0.0)
        linear = (bent + self.get_buffer("shift")) / self.temperature
        return torch.as_tensor(linear + self.share * self.reader(pieces))
