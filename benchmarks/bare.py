"""The limits of the memory: bare loops in C++ that read and add up, compiled for this machine when first used."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SOURCE = Path(__file__).with_name("bare.cpp")
# Too near and the row is not there yet, too far and the lines asked for push each other out: the best one counts.
DISTANCES = (1, 2, 4, 8, 16, 32, 64)
FEWEST_FEATURES = 16  # of rows in batches: a register's


def compiler() -> str:
    """Name the C++ compiler; the project cannot be installed without one."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name.split()[0]):
            return name
    raise RuntimeError("no C++ compiler found for the bare loops: install g++ or clang++, or name one in CXX")


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="steepest-bare-") as folder:
        path = Path(folder, "bare.so")
        command = [
            *compiler().split(),
            "-std=c++17",
            "-O3",
            "-ffp-contract=fast",
            "-shared",
            "-fPIC",
            "-pthread",
            str(SOURCE),
            "-o",
            str(path),
        ]
        # Some compilers for ARM know the second only.
        for tuned in ("-march=native", "-mcpu=native"):
            done = subprocess.run([*command, tuned], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
        else:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        library = ctypes.CDLL(str(path))
    pointer, index = ctypes.c_void_p, ctypes.c_int64
    library.bare_read.argtypes = [pointer, index]
    library.bare_gather.argtypes = [pointer, index, pointer, pointer, index, index]
    library.bare_fma_operations.restype = ctypes.c_int64
    library.bare_fma.argtypes = [index, ctypes.c_float, ctypes.c_float]
    for move_columns in (library.bare_move_columns_f32, library.bare_move_columns_f64):
        move_columns.argtypes = [pointer, pointer, index, pointer, index, index, pointer]
        move_columns.restype = ctypes.c_double if move_columns is library.bare_move_columns_f64 else ctypes.c_float
    library.bare_batches.argtypes = [pointer, index, pointer, pointer, *[index] * 4, ctypes.POINTER(ctypes.c_float)]
    library.bare_batches.restype = ctypes.c_double
    library.bare_read.restype = library.bare_gather.restype = library.bare_fma.restype = ctypes.c_float
    return library


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _timed(work: Callable[[int, int], Any], count: int, threads: int) -> float:
    """Run work(start, stop) over `count` items, evenly shared among threads; return the seconds it took."""
    ends = [count * i // threads for i in range(threads + 1)]
    if threads == 1:
        began = time.perf_counter()
        work(0, count)
        return time.perf_counter() - began
    pool = _pool(threads)
    began = time.perf_counter()
    for share in [pool.submit(work, *part) for part in pairwise(ends)]:
        share.result()
    return time.perf_counter() - began


def read(arrays: Sequence[Array], threads: int = 1) -> float:
    """Return the seconds that one sequential read of contiguous arrays takes."""
    library = _library()
    seconds = 0.0
    for array in arrays:
        numbers = np.ascontiguousarray(array).reshape(-1).view(np.float32)

        def part(start: int, stop: int, address: int = numbers.ctypes.data) -> None:
            library.bare_read(address + 4 * start, stop - start)

        seconds += _timed(part, numbers.size, threads)
    return seconds


def multiply_and_add(operations: int) -> None:
    """Do so many float32 operations in one thread as fast as the machine can: half of them products, half sums."""
    library = _library()
    library.bare_fma(operations // library.bare_fma_operations(), 0.999, 0.001)


def batches(
    X: Array, y: Array, batch: int, threads: int, order: NDArray[np.uint32] | None = None, repeats: int = 2
) -> float:
    """Return the seconds a row in which one or two threads go through batches of rows and compute nothing but sums.

    Rows and their targets come in this order, or in sequence. Each is read twice, as by every gradient: along the row,
    and down the columns. Two threads have half of each batch and tell each other the sums of the columns. Rows are
    asked for in whichever way is best.
    """
    assert all(part.dtype == np.float32 and part.flags.c_contiguous for part in (X, y))
    assert order is None or order.dtype == np.uint32
    assert batch >= 16
    assert batch.bit_count() == 1
    assert X.shape[1] >= FEWEST_FEATURES
    assert threads in (1, 2)
    total = ctypes.c_float()
    rows = (X.ctypes.data, X.shape[1], y.ctypes.data, None if order is None else order.ctypes.data, len(X))
    times = [
        _library().bare_batches(*rows, batch, threads, way, ctypes.byref(total))
        for way in range(3)
        for _ in range(repeats)
    ]
    return min(times) / 1e9


def gather(X: Array | None, y: Array, order: NDArray[np.uint32], threads: int = 1, distance: int = 16) -> float:
    """Return the seconds that reading rows of C-contiguous float32 and their targets in this order takes.

    Both are asked for by software prefetch. No descent can do without the target, which has a cache line of its own.
    """
    assert all(part.dtype == np.float32 and part.flags.c_contiguous for part in (X, y) if part is not None)
    assert order.dtype == np.uint32
    library = _library()
    features, rows = (0, y) if X is None else (X.shape[1], X)
    return _timed(
        lambda start, stop: library.bare_gather(
            rows.ctypes.data, features, y.ctypes.data, order.ctypes.data + 4 * start, stop - start, distance
        ),
        len(order),
        threads,
    )


def best_distance(X: Array | None, y: Array, order: NDArray[np.uint32], rows: int = 1 << 18) -> int:
    """Return the prefetch distance that is fastest here, tried on parts of the order that do not overlap."""
    rows = min(rows, max(1, len(order) // len(DISTANCES)))
    parts = {distance: order[i * rows : (i + 1) * rows] for i, distance in enumerate(DISTANCES)}
    return min(parts, key=lambda distance: gather(X, y, parts[distance], 1, distance))


def move_columns(rows: Any, order: NDArray[np.uint32], batch: int) -> float:
    """Return the processor's seconds that gathering and moving the coefficients of CSR rows takes, batch by batch."""
    assert rows.indices.dtype == np.int32
    entries = rows.indices.size // rows.shape[0]
    assert (np.diff(rows.indptr) == entries).all()
    coef = np.full(rows.shape[1], 0.01, dtype=rows.dtype)
    library = _library()
    run = library.bare_move_columns_f64 if rows.dtype == np.float64 else library.bare_move_columns_f32
    where = (rows.data.ctypes.data, rows.indices.ctypes.data, entries, order.ctypes.data, len(order), batch)
    began = time.process_time()
    run(*where, coef.ctypes.data)
    return time.process_time() - began
