"""Makes the pictures in the README: `python -m docs.pictures.make_pictures [REPORT.html]`.

The report is photographed in Chromium (`make test-browser` installs what drives it); without an
argument it is one on the sample manifest with made-up answers. The progress is drawn by rich.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from parquill.progress.view import panel
from tests.terminal.scenes import BUSY

HERE = Path(__file__).parent
COLUMNS = 100


def draw_progress() -> None:
    """Write progress.svg: the live panel as a terminal shows it; fonts are the viewer's own."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    told = {**BUSY.progress.last_errors, "image_invalid": "image_url: the bytes are HTML, not a picture"}
    state = replace(BUSY, progress=replace(BUSY.progress, last_errors=told))
    console.print(panel(state, (8.3, 3_150.0), COLUMNS))
    drawing = console.export_svg(
        title="parquill run configs/caption.yaml", theme=SVG_EXPORT_THEME, unique_id="progress"
    )
    without_fonts = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL)
    own = without_fonts.replace(
        "font-family: Fira Code, monospace", "font-family: ui-monospace, Menlo, Consolas, monospace"
    )
    lines = (line.rstrip() for line in own.splitlines())
    (HERE / "progress.svg").write_text("\n".join(lines) + "\n", encoding="utf-8")


def photograph_report(page_file: Path) -> None:
    """Write report.webp: the top of the page, as wide as a laptop's window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not in the development environment

    from tests.browser.conftest import CHROMIUM, FLAGS  # noqa: PLC0415 - as above

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1200}, device_scale_factor=1.5)
        page.goto(page_file.as_uri())
        shot = page.screenshot()
        browser.close()
    Image.open(io.BytesIO(shot)).save(HERE / "report.webp", quality=82, method=6)


def main() -> None:
    """Draw both."""
    draw_progress()
    if len(sys.argv) > 1:
        photograph_report(Path(sys.argv[1]).resolve())
        return
    from tests.browser.sample import sample_report  # noqa: PLC0415 - only the report needs it

    with tempfile.TemporaryDirectory() as folder:
        page_file = Path(folder) / "report.html"
        page_file.write_bytes(sample_report(Path(folder)))
        photograph_report(page_file)


if __name__ == "__main__":
    main()
