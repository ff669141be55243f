"""Real screenshots by a headless browser: pages made of `screens.html` and the cards' words.

Run by hand like `collect`; needs Debian's chromium and playwright (the [dev] extra). Each layout is
its own source, out/screens/LAYOUT/NUMBER.png.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import jinja2
import numpy as np

from training.imaging.strangers.canvas import Colour, colour, ink_and_paper
from training.imaging.strangers.fonts import Pen

LAYOUTS = ("chat", "article", "form", "listing", "editor", "dashboard", "viewer")
# (width, height) in CSS pixels: telephones, tablets, desktops.
_VIEWPORTS = (
    (360, 740),
    (390, 844),
    (412, 915),
    (768, 1024),
    (1024, 768),
    (1280, 800),
    (1440, 900),
)
_FAMILIES = (
    "sans-serif",
    "serif",
    "'Noto Sans CJK SC'",
    "'Noto Serif CJK SC'",
    "'WenQuanYi Zen Hei'",
)
_TEMPLATE = Path(__file__).with_name("screens.html")


class NoBrowser(RuntimeError):
    """Neither chromium nor playwright is installed."""


def take(
    out: Path, per_layout: int, seed: int, *, advance: Callable[[], None] = lambda: None
) -> int:
    """Takes `per_layout` screenshots of each layout; returns how many. Raises NoBrowser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise NoBrowser("playwright is not installed: pip install 'fenzhen[dev]'") from error
    if program is None:
        raise NoBrowser("no chromium on the path: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for place, layout in enumerate(LAYOUTS):
            folder = out / "screens" / layout
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(per_layout):
                rng = np.random.default_rng((seed, place, number))
                width, height = _VIEWPORTS[int(rng.integers(len(_VIEWPORTS)))]
                page = browser.new_page(viewport={"width": width, "height": height})
                page.set_content(html(layout, rng))
                page.screenshot(path=str(folder / f"{number:03d}.png"))
                page.close()
                advance()
        browser.close()
    return per_layout * len(LAYOUTS)


def html(layout: str, rng: np.random.Generator) -> str:
    """One page of the layout, with random words, sizes and colours."""
    pen = Pen(False, ())
    script = pen.script(rng)
    ink, paper = ink_and_paper(rng, dark=0.35)
    dark = sum(paper) < sum(ink)
    accent = colour(rng, 20, 200)
    template = jinja2.Template(_TEMPLATE.read_text(encoding="utf-8"), autoescape=True)
    page: str = template.render(
        layout=layout,
        script=script,
        size=int(rng.integers(11, 22)),
        leading=f"{rng.uniform(1.2, 1.9):.2f}",
        family=_FAMILIES[int(rng.integers(len(_FAMILIES)))],
        ink=_css(ink),
        paper=_css(paper),
        raised="#2a2c30" if dark else "#ffffff",
        accent=_css(accent),
        on_accent="#000" if sum(accent) > 420 else "#fff",
        second=_css(colour(rng)),
        pad=int(rng.integers(4, 40)),
        measure=int(rng.choice([480, 720, 980, 2000])),
        radius=int(rng.integers(0, 16)),
        deep=int(rng.integers(90, 260)),
        angle=int(rng.integers(360)),
        pictures=bool(rng.random() < 0.6),
        texts=[pen.sentence(rng, script) for _ in range(14)],
        titles=[pen.words(rng, script, 3) for _ in range(10)],
        numbers=[int(v) for v in rng.integers(0, 1000, 40)],
    )
    return page


def _css(tone: Colour) -> str:
    return f"rgb({tone[0]}, {tone[1]}, {tone[2]})"
