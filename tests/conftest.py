"""What holds for every run of the tests."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything imports matplotlib: no test needs a screen.
os.environ["MPLBACKEND"] = "agg"

# They assert too, and should show the values they compared.
pytest.register_assert_rewrite("commands", "members")

# A noisy machine makes single examples slow; in CI the same commit must always meet the same examples.
settings.register_profile("steepest", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("steepest")

# A run in the background may begin with Ctrl-C ignored, and its children inherit that: what is tested would not happen.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

RUN_IN_FULL = ("passed", "failed")
not_run = pytest.StashKey[list[str]]()


@pytest.fixture
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command write where nothing is, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[not_run] = []
    config.pluginmanager.register(_NoFiguresLeft())


class _NoFiguresLeft:
    """Closes what pyplot keeps open after every test, examples in docstrings included: it warns of too many."""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self) -> None:
        if pyplot := sys.modules.get("matplotlib.pyplot"):
            pyplot.close("all")


class _Watch:
    """Notes every test that was not run in full, or that was expected to fail and did not."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome not in RUN_IN_FULL:
            self.config.stash[not_run].append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        category = self.config.hook.pytest_report_teststatus(report=report, config=self.config)[0]
        if report.outcome not in RUN_IN_FULL or category == "xpassed":
            self.config.stash[not_run].append(report.nodeid)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Watch(session.config))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    if session.config.stash[not_run] and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if names := config.stash[not_run]:
        terminalreporter.section("not run in full, which fails the session", red=True)
        for name in names:
            terminalreporter.line(name)
