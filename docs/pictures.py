"""Pictures of the README: a page of a finished run's report, and the application, as PNG.

python docs/pictures.py RUN_DIR                 (needs pdftoppm from poppler-utils)
python docs/pictures.py RUN_DIR URL             (also the page http://127.0.0.1:7860/?audit=ID; needs chromium)
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PAGES = {"report-summary": 2}  # file name -> page
IMAGES = Path(__file__).parent / "images"


def report_pages(run_dir: Path) -> None:
    """Pages of the PDF."""
    for name, page in PAGES.items():
        command = ["pdftoppm", "-r", "70", "-png", "-singlefile", "-f", str(page), "-l", str(page)]
        subprocess.run([*command, str(run_dir / "report.pdf"), str(IMAGES / name)], check=True)


def application(url: str) -> None:
    """The page of a finished audit."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(url)
        page.wait_for_selector("#verdict .verdict")
        page.wait_for_timeout(2000)
        page.screenshot(path=IMAGES / "app.png")
        browser.close()


def main() -> None:
    """Write docs/images/*.png."""
    IMAGES.mkdir(exist_ok=True)
    report_pages(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        application(sys.argv[2])


if __name__ == "__main__":
    main()
