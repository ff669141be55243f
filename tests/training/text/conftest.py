"""An encoder after three steps, for the models that start from one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CONFIGS = Path(__file__).parents[3] / "training" / "configs"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """What a pretraining of three steps wrote."""
    pytest.importorskip("torch")
    from training.text.pretrain import pretrain

    folder = tmp_path_factory.mktemp("encoder")
    pretrain(CONFIGS / "encoder.yaml", data_dir, folder, smoke=True)
    return folder


def config_of(name: str, base: Path, folder: Path) -> Path:
    """A shipped configuration that starts from another encoder."""
    config = yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))
    if isinstance(config["encoder"], dict):
        config["encoder"]["encoder"] = str(base)
    else:
        config["encoder"] = str(base)
    path = folder / name
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path
