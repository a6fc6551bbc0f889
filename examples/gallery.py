"""What the scripts of the five sources share: where pictures go, and how a figure is said to be the source's.

Each script walks through one source in its order, prints its figures beside those computed here, and stops with an
AssertionError where they differ. ``--pictures DIRECTORY`` writes the pictures too; ``make gallery`` does so for all.
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

DPI = 90
COLOURS = 96


class Gallery:
    """Prints figures, checks them against the source's, and keeps pictures.

    Parameters
    ----------
    source : str
        What the pictures' names begin with.
    directory : Path or None
        Where pictures are written; None for nowhere.
    """

    def __init__(self, source: str, directory: Path | None) -> None:
        self.source = source
        self.directory = directory
        self.names: list[str] = []

    def heading(self, text: str) -> None:
        print(f"\n{text}\n{'-' * len(text)}")

    def figure(self, what: str, here: str, source: str) -> None:
        """Print a figure and that of the source, which must be the same."""
        print(f"  {what:<48} {here:>24} {source:>24}")
        assert here == source, f"{what}: {here} here, {source} in the source"

    def fact(self, what: str, value: str) -> None:
        """Print a figure that the source does not have."""
        print(f"  {what:<48} {value:>24}")

    def picture(
        self, name: str, draw: Callable[[Any], Any], size: tuple[float, float] = (6.4, 4.2), columns: int = 1
    ) -> None:
        """Draw on new axes, or on a row of them, and write what was drawn."""
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        axes = figure.subplots(1, columns)
        draw(axes)
        self.names.append(name)
        if self.directory is not None:
            buffer = io.BytesIO()
            figure.savefig(buffer)
            # Of few colours, which a quarter of the bytes hold.
            small = Image.open(buffer).convert("RGB").quantize(COLOURS)
            small.save(self.directory / f"{self.source}-{name}.png", optimize=True)

    def animation(self, name: str, write: Callable[[Path], Any]) -> None:
        """Write a moving picture, where pictures are kept."""
        self.names.append(name)
        if self.directory is not None:
            write(self.directory / f"{self.source}-{name}.gif")


def run(source: str, walk: Callable[[Gallery], None]) -> None:
    """Run a script."""
    parser = argparse.ArgumentParser(description=walk.__doc__)
    parser.add_argument(
        "--pictures", type=Path, metavar="DIRECTORY", help="where to write pictures; nowhere if not given"
    )
    directory = parser.parse_args().pictures
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    gallery = Gallery(source, directory)
    walk(gallery)
    print(f"\n{len(gallery.names)} pictures: {', '.join(gallery.names)}")
