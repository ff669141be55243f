"""What test_launch.py runs in each process of torchrun: FOLDER holds the sets and takes the rest.

Trains with early stopping, then a student through `train`, then the gate; writes what this process
ended with to FOLDER/rank<N>.pt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from tests.training.imaging.pictures import altered, small
from training.imaging import kinds, launch
from training.imaging.data import read_set
from training.imaging.errors import CannotTrain
from training.imaging.fit import Fitter
from training.imaging.train import train


def main(folder: Path) -> None:
    """See the module."""
    gate = folder / "gate"
    config = small("skin_lesion", epochs=(3,), patience=2, augmentation=())
    data = read_set(folder / config.data.train, config)
    rows, held = np.arange(14, len(data)), np.arange(14)
    fitter = Fitter(config, data.take(rows), data.take(held), folder / "member0")
    told: list[str] = []
    served = fitter.run(resume=False, report=told.append)
    uneven = altered(config, optimisation=altered(config.optimisation, batch_size=7))
    try:
        Fitter(uneven, data.take(rows), data.take(held), folder / "uneven")
        refused = ""
    except CannotTrain as error:
        refused = str(error)
    torch.save(
        {
            "served": served.state_dict(),
            "net": fitter.net.state_dict(),
            "average": fitter.average.state_dict(),
            "history": fitter.state.history,
            "told": told,
            "refused": refused,
            "student": train(folder / "student.yaml", folder, folder / "out", smoke=True),
            "gate": kinds.train(gate / "gate.yaml", gate, gate, folder / "out"),
        },
        folder / f"rank{launch.rank()}.pt",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
