"""The package as a whole: what it consists of, what importing it costs, what it says about itself."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import steepest

ROOT = Path(__file__).resolve().parents[1]
SOURCE_SUFFIXES = {".py", ".pyi", ".pyx", ".pxd", ".cpp", ".hpp", ".h"}
LONGEST_FILE = 600
OPTIONAL_PACKAGES = {
    "hypothesis",
    "jax",
    "matplotlib",
    "numba",
    "optax",
    "pandas",
    "polars",
    "pyarrow",
    "pytest",
    "rich",
    "sklearn",
    "torch",
    "typer",
}

# Asking each finder in turn, Python asks this one first. Packages that are not installed are noticed as well.
IMPORT_AND_REPORT = """
import json, sys

asked = set()

class Recorder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        asked.add(name.partition(".")[0])

sys.meta_path.insert(0, Recorder)
import steepest
print(json.dumps(sorted(asked)))
"""


def source_files(*rooms: str) -> list[Path]:
    """All source files below the given directories of the project, each of which must hold some."""
    found = []
    for room in rooms:
        inside = sorted(path for path in (ROOT / room).rglob("*") if path.suffix in SOURCE_SUFFIXES)
        assert inside, f"no source file in {room}/"
        found += inside
    return found


def test_no_source_file_is_too_long():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in source_files("cpp", "src", "python", "tests", "benchmarks")
    }
    assert len(set(lengths.values())) > 1
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_core_knows_neither_python_nor_streams():
    includes = [
        (str(path.relative_to(ROOT)), match[1])
        for path in source_files("cpp")
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)', path.read_text(encoding="utf-8"), re.M)
    ]
    assert includes
    foreign = re.compile(r"(Python\.h|pybind11/.*|numpy/.*|iostream)")
    assert [include for include in includes if foreign.fullmatch(include[1])] == []


def test_version_is_the_same_everywhere():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project]")[2]
    declared = re.search(r'^version = "([^"]+)"$', project, re.M)
    assert declared is not None
    assert steepest.__version__ == declared[1]
    assert importlib.metadata.version("steepest") == declared[1]


def test_import_asks_for_no_optional_package():
    command = [sys.executable, "-I", "-W", "error", "-c", IMPORT_AND_REPORT]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    asked = set(json.loads(result.stdout))
    assert {"steepest", "numpy"} <= asked
    assert asked & OPTIONAL_PACKAGES == set()


def test_errors_about_missing_packages_name_extras_that_exist():
    provided = set(importlib.metadata.metadata("steepest").get_all("Provides-Extra") or [])
    named = {
        match[1]
        for path in source_files("python")
        for match in re.finditer(r'\bextra="([^"]*)"', path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= provided


def test_readme_opens_with_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```[a-z]*\n(.*?)^```", readme, re.M | re.S)
    assert block is not None
    assert readme[: block.start()].count("\n") < 20
    commands = [line.partition("#")[0].strip() for line in block[1].splitlines()]
    assert [command for command in commands if command.startswith("make ")] == ["make demo", "make test"]


@pytest.fixture(scope="module")
def sdist_names(tmp_path_factory):
    """Names of the files in a fresh source distribution, without the leading directory."""
    folder = tmp_path_factory.mktemp("sdist")
    code = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.iterdir()
    with tarfile.open(archive) as file:
        return {member.name.partition("/")[2] for member in file.getmembers()}


def test_sdist_holds_everything_the_build_needs(sdist_names):
    needed = {str(path.relative_to(ROOT)) for path in source_files("cpp", "src", "python")}
    assert needed | {"CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"} <= sdist_names


def test_sdist_holds_nothing_built_or_private(sdist_names):
    unwanted = re.compile(r"(\.|build/|dist/).*|.*(\.so|\.pyc|__pycache__/.*)")
    assert {name for name in sdist_names if unwanted.fullmatch(name)} == set()
