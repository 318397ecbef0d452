"""Pictures of the README: pages of a finished run's report, as PNG.

python docs/pictures.py RUN_DIR          (needs pdftoppm from poppler-utils)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGES = {"report-summary": 2}  # file name -> page


def main() -> None:
    """Write docs/images/*.png."""
    run_dir, images = Path(sys.argv[1]), Path(__file__).parent / "images"
    images.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        command = ["pdftoppm", "-r", "70", "-png", "-singlefile", "-f", str(page), "-l", str(page)]
        subprocess.run([*command, str(run_dir / "report.pdf"), str(images / name)], check=True)


if __name__ == "__main__":
    main()
