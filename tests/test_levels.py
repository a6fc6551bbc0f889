"""The kernels are compiled once per CPU level: each level must compute, be chosen, and keep its symbols to itself."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import steepest as st

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LEVELS = st._core.levels()
# What a level computes.
CHECKED = (
    "test_kernels.py",
    "test_losses.py",
    "test_row_losses.py",
    "test_transcendentals.py",
    "test_penalties.py",
    "test_narrow.py",
)
# The reference to the exception handler is the same in every object file, whatever it is compiled for.
SHARED = {"DW.ref.__gxx_personality_v0"}

each_level = pytest.mark.parametrize("level", LEVELS)
# All other tests run on the level in use.
OTHERS = [level for level in LEVELS if level != st._core.level()] or LEVELS


def run(level: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"STEEPEST_LEVEL": level},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("level", OTHERS)
def test_every_level_computes_the_same(level: str) -> None:
    files = [str(TESTS / name) for name in CHECKED]
    plain = ["-q", "-rp", "--color=no", "-p", "no:cacheprovider", "--tb=short"]
    # What Python alone decides is the same at every level, and so are the loop around the kernels and where rows lie.
    others = (
        "test_member or test_list or test_the_loop or test_labels or any_order and (other or backwards or repeated)"
    )
    # What converts is another instruction at every level, and so is what a compiler may round once for a product.
    narrow = "test_same_bits_as_float32 and (C-70 or F-101 or apart-16)"
    chosen = f"{narrow} or not test_narrow and not ({others})"
    result = run(level, "-m", "pytest", *plain, "-k", chosen, *files)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed is not None
    assert int(passed[1]) > 1000
    assert result.stdout.count("::test_same_bits_as_float32[") == 28


@each_level
def test_forcing_a_level_works(level: str) -> None:
    result = run(level, "-c", "import steepest as st; st.show_config(); print(st._core.level())")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == level
    assert re.search(rf"^CPU level +{level} ", result.stdout, re.M)


def test_the_best_level_is_the_default() -> None:
    result = run("", "-c", "import steepest as st; print(st._core.level())")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [LEVELS[0]]


@pytest.mark.parametrize("wrong", ["avx9", "v1", "V2", "v2 ", "none"])
def test_a_level_that_is_none_is_refused(wrong: str) -> None:
    result = run(wrong, "-c", "import steepest as st; st.Objective('mse', [1.0, 2.0]).value([1.0])")
    assert result.returncode == 1, result.stderr
    last = result.stderr.rstrip().splitlines()[-1]
    assert last.startswith(f"ValueError: STEEPEST_LEVEL={wrong} "), last
    assert last.endswith(", ".join(LEVELS)), last


GUARDED = """
import ctypes, itertools, mmap
import numpy as np
import steepest as st

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
kept = []

def fenced(array, at_the_end):
    "Copy an array to between two pages that nobody may touch, right before the second or right behind the first."
    pages = -(-array.nbytes // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    kept.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    offset = PAGE + (pages * PAGE - array.nbytes if at_the_end else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
    copy[...] = array
    for page in (0, pages + 1):
        assert libc.mprotect(start + page * PAGE, PAGE, 0) == 0, ctypes.get_errno()
    return copy

random = np.random.default_rng(5)
widths = (*range(1, 36), 63, 64, 65, 70)
cases = itertools.product(("f4", "f8"), (False, True), widths)
for (dtype, at_the_end, d), n in zip(cases, itertools.cycle((1, 2, 3, 7, 8, 9, 17, 33))):
    X = random.normal(size=(n, d)).astype(dtype)
    y, weight, out = (fenced(random.uniform(1, 2, size=n).astype(dtype), at_the_end) for _ in range(3))
    K = 1 + d % 13
    several = fenced(random.normal(size=(n, K)).astype(dtype), at_the_end)
    rows, columns = fenced(X, at_the_end), fenced(X.T.copy(), at_the_end).T
    for view in (rows, columns, rows[::-1], columns[:, ::-1], rows[:, ::-1]):
        for name in ("squared_error", "poisson"):
            objective = st.Objective(name, (view, y), sample_weight=weight, fit_intercept=True)
            objective.value_and_gradient(np.full(d + 1, 0.1))
        for name in ("multi_squared_error", "multi_huber"):
            st.Objective(name, (view, several), fit_intercept=True).value_and_gradient(np.full(K * (d + 1), 0.1))
        if n > 2:
            labels = np.arange(n) % min(n, K + 1)
            st.minimize("softmax", (view, labels), shuffle=np.arange(n)[::-1], method="sgd", epochs=1, batch_size=3)
        st.minimize("mse", (view, y), shuffle=np.arange(n)[::-1], method="sgd", step_size=1e-9, epochs=2, batch_size=3)
    st.losses.get("gamma").pointwise(y, weight, out=out)
    st._core.pointwise(1, (), y, weight, out, y)
print("read", len(kept), "arrays")
"""


@each_level
def test_nothing_beside_the_data_is_touched(level: str) -> None:
    result = run(level, "-c", GUARDED)
    assert result.returncode == 0, f"signal {-result.returncode}: {result.stderr}"
    assert re.fullmatch(r"read \d{3} arrays\s*", result.stdout)


def leaks(table: str, level: str) -> list[str]:
    """Return the names in a table of symbols (nm -P) that the linker could pick for another level."""
    own = re.compile(rf"_*_Z(?:T[VTSI]|GV|GR|Z)*N[rVK]*8steepest{len(level)}{level}(?!E)")
    found = []
    for line in table.splitlines():
        symbol = re.match(r"(\S+) (\w)", line)
        assert symbol is not None, line
        name, kind = symbol.groups()
        # Upper case is for other files to see, "u" for the whole process; "U", "w" and "v" are asked for, not given.
        given = (kind.isupper() and kind != "U") or kind == "u"
        if given and name not in SHARED and not own.match(name):
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("symbol", "leaking"),
    [
        ("_ZN8steepest2v35tableEv T 0 145", False),
        ("_ZGVZN8steepest2v35tableEvE7kernels V 0 8", False),
        ("_ZTVN8steepest2v34RowsE V 0 8", False),
        ("_ZNK8steepest2v34Rows4sizeEv W 0 8", False),
        ("_ZSt4sortIPdEvT_S1_ t 0 10", False),
        ("_ZSt4sortIPdEvT_S1_ U", False),
        ("__gmon_start__ w", False),
        ("DW.ref.__gxx_personality_v0 V 0 8", False),
        ("_ZSt4sortIPdEvT_S1_ W 0 10", True),
        ("_ZN8steepest2v45tableEv T 0 145", True),
        ("_ZN8steepest2v3Ev T 0 145", True),
        ("_ZN8steepest7SegmentC2Ev W 0 8", True),
        ("_ZNSt6vectorIN8steepest2v34SimdIfLi8EEESaIS2_EE5clearEv W 0 8", True),
        ("_ZZN8steepest5levelEvE4kept u 0 8", True),
        ("helper T 0 8", True),
    ],
)
def test_leaks_are_told_from_what_is_private(symbol: str, leaking: bool) -> None:
    assert leaks(symbol, "v3") == ([symbol.split()[0]] if leaking else [])


def test_no_symbol_of_a_level_leaks() -> None:
    check_symbols(ROOT / "build")


def check_symbols(build: Path) -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.fail("nm, which lists the symbols of object files, is missing: install binutils")
    sources = {path.name for path in (ROOT / "cpp" / "src" / "kernels").glob("*.cpp")}
    assert len(sources) > 1
    folders = sorted(build.glob("*/CMakeFiles/steepest_kernels_*.dir"))
    if not folders:
        pytest.fail(f"no object files of the kernels in {build}/*/CMakeFiles: `make test` builds there and keeps them")
    assert {folder.stem.removeprefix("steepest_kernels_") for folder in folders} >= set(LEVELS)
    leaking = {}
    for folder in folders:
        objects = sorted(folder.rglob("*.o"))
        assert {path.name.removesuffix(".o") for path in objects} >= sources, f"{folder} is not complete"
        for path in objects:
            table = subprocess.run([nm, "-P", str(path)], capture_output=True, text=True, check=True).stdout
            names = leaks(table, folder.stem.removeprefix("steepest_kernels_"))
            if names:
                readable = subprocess.run([nm, "-C", str(path)], capture_output=True, text=True, check=True).stdout
                leaking[str(path)] = (names, readable)
    assert leaking == {}
