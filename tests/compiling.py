"""What tests need to compile C of their own."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


def compile_library(source: Path, library: Path, *flags: str) -> None:
    named = [os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]
    compiler = next(words for words in map(shlex.split, filter(None, named)) if shutil.which(words[0]))
    lazy = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    subprocess.run([*compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), *lazy, *flags], check=True)
