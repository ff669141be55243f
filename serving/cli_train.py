"""`fenzhen train`: makes models. Needs the train extra and the data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from serving.cli_tools import AsJson, fail, out, print_json

app = typer.Typer(no_args_is_help=True, help="Train models (needs the train extra).")

CONFIGS = Path("training/configs")
Data = Annotated[
    Path, typer.Option("--data-dir", envvar="FENZHEN_DATA", help="Folder of the data sets.")
]
DEFAULT_DATA = Path("../shared/data")
Resume = Annotated[bool, typer.Option(help="Go on from the last checkpoint.")]

TorchProgram = Annotated[
    bool,
    typer.Option("--torch-program", help="Write model.pt2, too, for GPUs (docs/backends.md)."),
]


def report(metrics: object, as_json: bool) -> None:
    """Print what a training run measured."""
    if as_json:
        print_json(metrics)
    else:
        out.print_json(json.dumps(metrics, ensure_ascii=False, default=str))


@app.command()
def department(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "department.yaml",
    data_dir: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Train, calibrate and export the department model."""
    from training.text.train_department import train

    report(train(config, data_dir, out_dir), as_json)


@app.command()
def encoder(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of weights and vocabulary.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "encoder.yaml",
    resume: Resume = True,
    data_dir: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Pretrain the bilingual text encoder that other text models start from."""
    from training.text.pretrain import pretrain

    report(pretrain(config, data_dir, out_dir, resume=resume), as_json)


@app.command()
def intent(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "intent.yaml",
    data_dir: Data = DEFAULT_DATA,
    torch_program: TorchProgram = False,
    as_json: AsJson = False,
) -> None:
    """Train and export the model of what a question asks for."""
    from training.text.train_intent import train

    report(train(config, data_dir, out_dir, torch_program=torch_program), as_json)


@app.command()
def reranker(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "reranker.yaml",
    data_dir: Data = DEFAULT_DATA,
    torch_program: TorchProgram = False,
    as_json: AsJson = False,
) -> None:
    """Train and export the model that says whether a passage answers a question."""
    from training.text.train_reranker import train

    report(train(config, data_dir, out_dir, torch_program=torch_program), as_json)


@app.command()
def relevance(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "relevance.yaml",
    data_dir: Data = DEFAULT_DATA,
    torch_program: TorchProgram = False,
    as_json: AsJson = False,
) -> None:
    """Train and export the model of how two short Chinese texts relate."""
    from training.text.train_relevance import train

    report(train(config, data_dir, out_dir, torch_program=torch_program), as_json)


@app.command()
def entities(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "entities.yaml",
    data_dir: Data = DEFAULT_DATA,
    torch_program: TorchProgram = False,
    as_json: AsJson = False,
) -> None:
    """Train and export the tagger of medical entities."""
    from training.text.train_entities import train

    report(train(config, data_dir, out_dir, torch_program=torch_program), as_json)


@app.command()
def embedding(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "embedding.yaml",
    data_dir: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Train and export the bilingual text embedding."""
    from training.text.train_embedding import train

    report(train(config, data_dir, out_dir), as_json)


@app.command()
def urgency(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "urgency.yaml",
    data_dir: Data = DEFAULT_DATA,
    torch_program: TorchProgram = False,
    as_json: AsJson = False,
) -> None:
    """Train, calibrate and export the learned urgency, which may raise the rules' answer."""
    from training.text.train_urgency import train

    report(train(config, data_dir, out_dir, torch_program=torch_program), as_json)


@app.command("dialogue-status")
def dialogue_status(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    config: Annotated[Path, typer.Option()] = CONFIGS / "dialogue_status.yaml",
    data_dir: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Train and export the learned status of symptoms in dialogues; a minute on one core."""
    from training.text.train_dialogue_status import train

    report(train(config, data_dir, out_dir), as_json)


@app.command()
def acuity(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    scale: Annotated[str, typer.Option(help="ktas or esi")] = "ktas",
    config: Annotated[Path, typer.Option()] = CONFIGS / "acuity.yaml",
    data_dir: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Train, calibrate and export an acuity model; minutes on one core."""
    from training.triage.train_acuity import train

    try:
        report(train(config, data_dir, out_dir, scale), as_json)
    except ValueError as error:
        raise fail(str(error)) from error


@app.command()
def imaging(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    task: Annotated[str, typer.Option(help="Name of a file in training/configs.")] = (
        "cxr_pneumonia"
    ),
    resume: Resume = True,
    data_dir: Data = DEFAULT_DATA,
    torch_program: TorchProgram = False,
    as_json: AsJson = False,
) -> None:
    """Train, calibrate and export an image classifier."""
    from training.imaging.errors import CannotTrain
    from training.imaging.train import train

    config = CONFIGS / f"{task}.yaml"
    if not config.is_file():
        raise fail(f"no imaging task {task}")
    try:
        found = train(config, data_dir, out_dir, resume=resume, torch_program=torch_program)
        report(found, as_json)
    except CannotTrain as error:
        raise fail(str(error)) from error


@app.command("image-kind")
def image_kind(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder of the new version.")],
    strangers: Annotated[
        Path, typer.Option(help="Folder of packed pictures of no known kind.")
    ] = Path("var/strangers"),
    config: Annotated[
        Path, typer.Option(help="image_kind_skin.yaml makes the gate that knows dermoscopy too.")
    ] = CONFIGS / "image_kind.yaml",
    resume: Resume = True,
    data_dir: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Train and export the gate that tells kinds of pictures apart."""
    from training.imaging.errors import CannotTrain
    from training.imaging.kinds import train

    if not (strangers / "train.npz").is_file():
        raise fail(f"no pictures in {strangers}: python -m training.imaging.strangers makes them")
    try:
        report(train(config, data_dir, strangers, out_dir, resume=resume), as_json)
    except CannotTrain as error:
        raise fail(str(error)) from error
