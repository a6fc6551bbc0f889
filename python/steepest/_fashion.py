"""Fashion-MNIST from files on this machine, in the IDX format that its authors publish it in."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
UNSIGNED_BYTES = 8
FILES = {
    "X_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "X_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def fashion_mnist(directory: str | os.PathLike[str] | None = None) -> Mapping[str, NDArray[np.uint8]]:
    """Load the pictures of clothes of Fashion-MNIST, 28 by 28 pixels, in ten classes (Xiao, Rasul and Vollgraf 2017).

    Nothing is fetched from anywhere: the four files come with Debian's package ``dataset-fashion-mnist``, or from their
    authors; MNIST's own files have the same names and format.

    Parameters
    ----------
    directory : path, optional
        Where the files are, compressed or not; by default where Debian's package puts them.

    Returns
    -------
    Mapping of str to ndarray of uint8
        ``X_train`` of shape (60000, 784) and ``y_train`` of shape (60000,), ``X_test`` and ``y_test`` of 10,000: the
        pixels as stored, 0 to 255, and the labels 0 to 9.

    Raises
    ------
    FileNotFoundError
        Where a file is missing, with what to install.
    ValueError
        Where a file is not what its name says.

    Examples
    --------
    With the package installed, ``st.data.scaled(clothes["X_train"], 1 / 255)`` are pixels between 0 and 1:

    >>> import steepest as st
    >>> st.data.fashion_mnist("/nowhere")
    Traceback (most recent call last):
        ...
    FileNotFoundError: there is no train-images-idx3-ubyte.gz in /nowhere; ...
    """
    place = DEBIAN if directory is None else Path(directory)
    found = {name: _read(place, file) for name, file in FILES.items()}
    for part in ("train", "test"):
        X, y = found[f"X_{part}"], found[f"y_{part}"]
        if X.ndim != 3 or y.ndim != 1 or len(X) != len(y):
            raise ValueError(
                f"{place}: {FILES[f'X_{part}']} holds an array of shape {X.shape}, {FILES[f'y_{part}']} one of shape "
                f"{y.shape}; pictures and as many labels are needed"
            )
        found[f"X_{part}"] = X.reshape(len(X), -1)
    for array in found.values():
        array.setflags(write=False)
    return MappingProxyType(found)


def _read(place: Path, name: str) -> NDArray[np.uint8]:
    """Read an IDX file of bytes: zeros, type, number of axes, their lengths, then the numbers."""
    packed, plain = place / f"{name}.gz", place / name
    if packed.is_file():
        try:
            content = gzip.decompress(packed.read_bytes())
        except (gzip.BadGzipFile, EOFError, OSError) as error:
            raise ValueError(f"{packed} cannot be unpacked: {error}") from None
        path = packed
    elif plain.is_file():
        path, content = plain, plain.read_bytes()
    else:
        raise FileNotFoundError(
            f"there is no {packed.name} in {place}; Debian's package has it (apt-get install dataset-fashion-mnist), "
            "or give the directory that holds the four files"
        )
    axes = content[3] if len(content) >= 4 and content[:3] == bytes([0, 0, UNSIGNED_BYTES]) else 0
    header = 4 + 4 * axes
    if axes == 0 or len(content) < header:
        raise ValueError(f"{path} is no IDX file of unsigned bytes: it begins with {content[:4]!r}")
    shape = tuple(int(length) for length in np.frombuffer(content, dtype=">u4", count=axes, offset=4))
    if len(content) != header + math.prod(shape):
        raise ValueError(f"{path} announces {math.prod(shape)} bytes and holds {len(content) - header}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy()
