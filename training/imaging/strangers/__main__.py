"""python -m training.imaging.strangers collect | screens | pack: fills an ignored folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from training.imaging.strangers import collect as collecting
from training.imaging.strangers import mix, screens
from training.imaging.strangers.collect import PackageUnavailable
from training.imaging.strangers.config import CONFIG, Split, read_config
from training.imaging.strangers.fonts import NoFonts
from training.imaging.strangers.photos import NoPhotographs
from training.imaging.strangers.screens import NoBrowser

app = typer.Typer(help=__doc__, no_args_is_help=True)
OutOption = Annotated[Path, typer.Option("--out", help="The folder to fill.")]
ConfigOption = Annotated[Path, typer.Option("--config", help="Sources, shares and split.")]
_OUT = Path("var/strangers")


@app.command()
def collect(out: OutOption = _OUT, config: ConfigOption = CONFIG) -> None:
    """Fetch the packages and keep small copies of their photographs, with licences and sha256."""
    settings = read_config(config)
    out.mkdir(parents=True, exist_ok=True)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("packages", total=len(settings.photos))
        photos = collecting.collect(settings.photos, out, advance=lambda _: progress.advance(bar))
    typer.echo(f"{len(photos)} photographs in {out}")


@app.command("screens")
def take_screens(
    out: OutOption = _OUT,
    per_layout: Annotated[int, typer.Option(help="Screenshots of each layout.")] = 60,
    config: ConfigOption = CONFIG,
) -> None:
    """Take screenshots of made-up pages with a headless browser."""
    seed = read_config(config).seed
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("screens", total=per_layout * len(screens.LAYOUTS))
        count = screens.take(out, per_layout, seed, advance=lambda: progress.advance(bar))
    typer.echo(f"{count} screenshots in {out}")


@app.command()
def pack(
    out: OutOption = _OUT,
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="FENZHEN_DATA", help="Image sets for the phone scenes."),
    ] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Draw both sides of the split into out/train.npz and out/held_out.npz."""
    settings = read_config(config)
    with Progress(console=Console(stderr=True)) as progress:
        counts: dict[Split, int] = {"train": settings.train, "held_out": settings.held_out}
        for split, count in counts.items():
            bar = progress.add_task(split, total=count)
            packed = mix.strangers(
                out,
                split,
                count,
                settings.seed,
                medical=data_dir,
                config=settings,
                advance=partial(progress.advance, bar),
            )
            mix.write_packed(out / f"{split}.npz", packed)
    typer.echo(f"{settings.train} + {settings.held_out} pictures in {out}")


def main() -> None:
    """Runs a command; what is missing is said in one line."""
    try:
        app()
    except (PackageUnavailable, NoPhotographs, NoFonts, NoBrowser) as missing:
        Console(stderr=True).print(f"[red]{type(missing).__name__}[/red]: {missing}")
        raise SystemExit(1) from missing


if __name__ == "__main__":
    main()
