# A fresh machine needs Python 3.10 or newer, a C++ compiler and make; every target fetches and builds the rest by itself.
# pip is told where its registries are as usual: PIP_INDEX_URL, PIP_CERT, pip.conf.

PYTHON ?= python3
# What `make test-peers` installs for PyTorch, a requirement with or without options of pip: TORCH="torch==2.13.0".
TORCH ?= torch
# Handed on to what a target runs: make test ARGS="-k huber -x".
ARGS =

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
# The build directory outlives the installation, so Ninja compiles only what changed. Isolated builds (`pip install .`) do
# not use it: their compilers' include paths differ each time, and sharing it would rebuild everything for both.
INSTALL := SKBUILD_BUILD_DIR='build/{wheel_tag}' $(PIP) install --no-build-isolation

# Directories too: their time stamps show that a file went away.
SOURCES := $(shell find cpp src python -name __pycache__ -prune -o ! -name '.*' -print 2>/dev/null)
CPP_FILES = $(shell find cpp src examples tests -name '*.cpp' -o -name '*.hpp' -o -name '*.h')

# tomllib came with Python 3.11; before that, pip carries its twin.
PRINT_BUILD_REQUIRES := import importlib, sys; \
	toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "pip._vendor.tomli"); \
	print(*toml.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test test-peers test-sanitized bench gallery lists lint format clean

help: ## Show this list
	@echo "steepest: the targets of make"
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.installed ## Watch steepest minimize losses on real data (under a minute)
	@$(BIN)/steepest demo $(ARGS)

test: $(VENV)/.installed ## Run the tests and the examples in the docstrings (under five minutes)
	@MPLBACKEND=agg PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --numprocesses auto --doctest-modules --pyargs steepest ./tests $(ARGS)

test-peers: $(VENV)/.peers ## Compare with PyTorch, JAX and optax (large downloads)
	@MPLBACKEND=agg $(BIN)/python -m pytest tests/peers $(ARGS)

# A sanitizer must be loaded before Python, hence LD_PRELOAD. Peaks of memory are not those of a plain run.
SANITIZED := $(VENV)/sanitized
SANITIZED_TESTS := $(addprefix tests/test_,$(addsuffix .py,autodiff bad_input compile_and_draw minimize narrow nn \
	nn_bad_input objective ops order outside penalties_of_all_kinds reduction row_losses rows rules_eager scaled small_batches sparse \
	sparse_lazy stratified threads traced))

test-sanitized: $(VENV)/.installed ## Run tests of the core under the sanitizers for addresses and undefined behaviour (GCC on Linux)
	@$(BIN)/cmake -G Ninja -S . -B $(SANITIZED) -DSTEEPEST_SANITIZE=ON -DSTEEPEST_LEVELS=portable \
	  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -DCMAKE_MAKE_PROGRAM="$(CURDIR)/$(BIN)/ninja" \
	  -DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)"
	@$(BIN)/ninja -C $(SANITIZED)
	@rm -rf $(SANITIZED)/package && mkdir $(SANITIZED)/package
	@cp -r python/steepest $(SANITIZED)/package && cp $(SANITIZED)/_*.so $(SANITIZED)/package/steepest
	@LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
	  MPLBACKEND=agg PYTHONPATH="$(CURDIR)/$(SANITIZED)/package" $(BIN)/python -m pytest --numprocesses auto -k "not peak_memory" \
	  $(SANITIZED_TESTS) $(ARGS)

bench: $(VENV)/.bench ## Measure against the NumPy reference, the memory and whatever peers are installed
	@$(BIN)/python benchmarks/run.py $(ARGS)

gallery: $(VENV)/.installed ## Draw the pictures of the sources into docs/images/gallery
	@for script in examples/source_*.py; do \
	  MPLBACKEND=agg $(BIN)/python $$script --pictures docs/images/gallery || exit 1; \
	done

# From the core as it is now, into the sources: what is installed has stubs of its own, which nobody reads.
lists: format ## Write the stubs and the pages anew after a change of the lists: losses, penalties, rules, schedules
	@$(BIN)/python -m steepest._stubs python/steepest
	@$(BIN)/ruff format --quiet python/steepest
	@$(BIN)/python -m steepest._pages README.md docs/*.md

lint: $(VENV)/.installed ## Check style and types of Python and C++
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/mypy || status=1; \
	$(BIN)/clang-format --dry-run --Werror $(CPP_FILES) || status=1; \
	[ $$status = 0 ] || echo "make format repairs what is a matter of style alone"; \
	exit $$status

format: $(VENV)/.installed ## Put Python and C++ sources into the project's style
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/clang-format -i $(CPP_FILES)

clean: ## Remove everything make has made, .venv included
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps below carry the time at which their recipe began, so that a file edited meanwhile counts as newer.

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "steepest needs Python 3.10 or newer; name one with: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
	@[ -n "$$CXX" ] || command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { \
	  echo "No C++ compiler found: install g++ or clang++ (Debian: apt install g++; macOS: xcode-select --install)" >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.tools: pyproject.toml $(VENV)/.created
	@[ -e $@ ] || echo "Fetching the build tools"
	@touch $@.started
	@$(BIN)/python -c '$(PRINT_BUILD_REQUIRES)' > $(VENV)/build-requires.txt
	@$(PIP) install --requirement $(VENV)/build-requires.txt cmake ninja
	@mv $@.started $@

$(VENV)/.installed: $(VENV)/.tools CMakeLists.txt $(SOURCES)
	@if [ -e $@ ]; then echo "Rebuilding what changed"; else \
	  echo "Fetching NumPy, SciPy, scikit-learn and matplotlib, and compiling steepest (once, a few minutes)"; fi
	@touch $@.started
	@$(INSTALL) '.[sklearn,plot,cli,data,nn,test]'
	@mv $@.started $@

$(VENV)/.peers: pyproject.toml | $(VENV)/.installed
	@echo "Fetching PyTorch, JAX and optax"
	@touch $@.started
	@$(INSTALL) $(TORCH) '.[peers]'
	@mv $@.started $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.installed
	@echo "Fetching what the benchmarks need"
	@touch $@.started
	@$(INSTALL) '.[bench]'
	@mv $@.started $@
