"""Losses outside the core that are C functions."""

import _thread
import ctypes
import gc
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import LowLevelCallable

import steepest
from compiling import compile_library
from steepest import _core
from steepest._callbacks import SIGNATURE, PointerLoss, function_pointer, is_function_pointer
from steepest._outcome import Outcome
from steepest._outside import evaluate, is_outside, outside_problem

SGD = next(i for i, rule in enumerate(_core.registry()["rules"]) if rule["name"] == "sgd")

SOURCE = """
#include <math.h>
#include <stddef.h>

/* user: calls, rows, address of X, address of y, largest |grad| on entry, whether grad was ever NULL, a door */
enum { CALLS, ROWS, AT_X, AT_Y, DIRTY, NO_GRADIENT, DOOR };

static void look(const double* X, ptrdiff_t rows, const double* y, const double* grad, ptrdiff_t k, double* seen) {
  if (!seen) return;
  seen[CALLS] += 1;
  seen[ROWS] += (double)rows;
  seen[AT_X] = (double)(size_t)X;
  seen[AT_Y] = (double)(size_t)y;
  if (!grad) seen[NO_GRADIENT] = 1;
  for (ptrdiff_t j = 0; grad && j < k; ++j) seen[DIRTY] = fmax(seen[DIRTY], fabs(grad[j]));
}

/* (y - X theta)^2; without features |y - theta|^2, y having k columns. Adds to grad. */
double least_squares(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols, const double* y,
                     double* grad, void* user) {
  double sum = 0;
  look(X, rows, y, grad, k, user);
  if (X && cols != k) return NAN;
  if (!X && cols != 0) return NAN;
  for (ptrdiff_t i = 0; i < rows; ++i) {
    if (X) {
      double r = y[i];
      for (ptrdiff_t j = 0; j < k; ++j) r -= X[i * cols + j] * theta[j];
      for (ptrdiff_t j = 0; j < k; ++j) grad[j] -= 2 * r * X[i * cols + j];
      sum += r * r;
    } else {
      for (ptrdiff_t j = 0; j < k; ++j) {
        const double r = y[i * k + j] - theta[j];
        grad[j] -= 2 * r;
        sum += r * r;
      }
    }
  }
  return sum;
}

/* theta^2 for every row. Sets grad. */
double square(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols, const double* y,
              double* grad, void* user) {
  (void)X, (void)cols, (void)y, (void)user;
  double sum = 0;
  for (ptrdiff_t j = 0; j < k; ++j) {
    sum += (double)rows * theta[j] * theta[j];
    grad[j] = (double)rows * 2 * theta[j];
  }
  return sum;
}

/* Waits until somebody opens the door; NaN when nobody does. */
double waits(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols, const double* y,
             double* grad, void* user) {
  volatile double* seen = user;
  (void)theta, (void)k, (void)X, (void)rows, (void)cols, (void)y, (void)grad;
  seen[CALLS] += 1;
  for (long spins = 0; seen[DOOR] == 0; ++spins)
    if (spins > 4000000000) return NAN;
  return 1;
}

/* Raises in block number 3, the way Cython's functions do; -1 is a sum like any other elsewhere. */
int PyGILState_Ensure(void);
void PyGILState_Release(int);
void PyErr_SetString(void*, const char*);
extern void* PyExc_ArithmeticError;
double raises(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols, const double* y,
              double* grad, void* user) {
  double* seen = user;
  (void)theta, (void)k, (void)X, (void)rows, (void)cols, (void)y, (void)grad;
  if (++seen[CALLS] == 3) {
    const int state = PyGILState_Ensure();
    PyErr_SetString(PyExc_ArithmeticError, "in block 3");
    PyGILState_Release(state);
  }
  return -1;
}

/* Takes a millisecond or so. */
double slow(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols, const double* y,
            double* grad, void* user) {
  volatile double* seen = user;
  (void)theta, (void)k, (void)X, (void)rows, (void)cols, (void)y, (void)grad;
  seen[CALLS] += 1;
  for (volatile long spins = 0; spins < 1000000; ++spins) {}
  return 1;
}
"""

CALLS, ROWS, AT_X, AT_Y, DIRTY, NO_GRADIENT, DOOR = range(7)
DOUBLES = ctypes.POINTER(ctypes.c_double)
SIZE = ctypes.c_ssize_t
ARGUMENTS = [DOUBLES, SIZE, DOUBLES, SIZE, SIZE, DOUBLES, DOUBLES, ctypes.c_void_p]
PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_double, *ARGUMENTS)


@pytest.fixture(scope="session")
def functions(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The functions above, nothing declared about them."""
    folder: Path = tmp_path_factory.mktemp("functions")
    source, library = folder / "functions.c", folder / "functions.so"
    source.write_text(SOURCE)
    compile_library(source, library, "-std=c99", "-lm")
    return ctypes.CDLL(str(library))


def declared(function: Any) -> Any:
    """The same function with its types declared, leaving the library's object as it is."""
    return PROTOTYPE(ctypes.cast(function, ctypes.c_void_p).value)


def seen_by(function: Any) -> tuple[NDArray[Any], LowLevelCallable]:
    """A loss with user data, and the user data."""
    seen = np.zeros(8)
    return seen, LowLevelCallable(declared(function), seen.ctypes.data_as(ctypes.c_void_p))


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "columns of a wider array": lambda X: np.pad(X, ((0, 0), (1, 2)))[:, 1:-2],
    "rows backwards": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "columns backwards, F": lambda X: np.asfortranarray(X[:, ::-1])[:, ::-1],
    "one row for all": lambda X: np.broadcast_to(X[:1], X.shape),
}


def value_at(theta: Any, X: Any, y: Any) -> Any:
    return np.mean((y - X @ theta) ** 2)


def gradient_at(theta: Any, X: Any, y: Any) -> Any:
    return -2 * X.T @ (y - X @ theta) / len(y)


def fit(problem: Any, x0: Any, order: Any, step: float, batch_size: int, epochs: int) -> Any:
    reached, failure = problem.fit(
        np.ravel(x0).astype(float),
        {"order": order, "rule": (SGD, []), "schedule": lambda t: step, "batch_size": min(batch_size, problem.rows),
         "epochs": epochs},
    )  # fmt: skip
    assert failure is None
    return Outcome(*reached)


class TestValues:
    # Several blocks of shuffled rows in a batch.
    @example(9000, 3, "F", "f4", "f8", 1, 4500, True, 0)
    @settings(max_examples=150, deadline=None)
    @given(
        rows=st.one_of(st.integers(1, 30), st.sampled_from([4095, 4096, 4097, 9000])),
        cols=st.integers(1, 5),
        layout=st.sampled_from(sorted(LAYOUTS)),
        dtype=st.sampled_from(["f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]),
        y_dtype=st.sampled_from(["f8", "f4", "i4", "?", "f2", ">f8"]),
        y_step=st.sampled_from([1, 2, -1]),
        batch_size=st.sampled_from([1, 7, 4500, 1 << 20]),
        shuffled=st.booleans(),
        seed=st.integers(0, 1000),
    )
    def test_any_layout_and_dtype_in_any_order(
        self,
        functions: Any,
        rows: int,
        cols: int,
        layout: str,
        dtype: str,
        y_dtype: str,
        y_step: int,
        batch_size: int,
        shuffled: bool,
        seed: int,
    ) -> None:
        rng = np.random.default_rng(seed)
        X = LAYOUTS[layout](rng.integers(0, 2 if dtype == "?" else 100, (rows, cols)).astype(dtype))
        y = np.repeat(rng.integers(0, 2 if y_dtype == "?" else 100, rows).astype(y_dtype), abs(y_step))[::y_step]
        wide, targets = X.astype(float), y.astype(float)
        theta = rng.normal(size=cols)
        problem, _ = outside_problem(functions.least_squares, (X, y), theta)
        assert (problem.rows, problem.parameters) == (rows, cols)
        value, gradient = problem.value_and_gradient(theta)
        np.testing.assert_allclose(value, value_at(theta, wide, targets), rtol=1e-11)
        np.testing.assert_allclose(gradient, gradient_at(theta, wide, targets), rtol=1e-11, atol=1e-9)
        assert problem.value(theta) == pytest.approx(value, rel=1e-14)
        values = problem.values(np.stack([theta, theta + 1]))
        np.testing.assert_allclose(values, [value, value_at(theta + 1, wide, targets)], rtol=1e-11)

        size = min(max(batch_size, rows // 50), rows)
        order = rng.permutation(rows) if shuffled else np.arange(rows)
        given_order = (lambda epoch: order.astype(np.uint32)) if shuffled else "sequence"
        outcome = fit(problem, theta, given_order, 1e-6, size, epochs=2)
        expected = theta
        for start in [*range(0, rows, size)] * 2:
            batch = order[start : start + size]
            expected = expected - 1e-6 * gradient_at(expected, wide[batch], targets[batch])
        assert outcome.nit == 2 * -(-rows // size)
        np.testing.assert_allclose(outcome.x, expected, rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("k", [1, 3])
    @pytest.mark.parametrize("order", ["sequence", "full"])
    def test_the_model_without_features(self, functions: Any, k: int, order: str) -> None:
        y = np.random.default_rng(k).normal(size=(5000, k))
        data, x0 = (y[:, 0], None) if k == 1 else (y, np.zeros(k))
        problem, _ = outside_problem(functions.least_squares, data, x0)
        value, gradient = problem.value_and_gradient(np.full(k, 0.5))
        assert value == pytest.approx(((y - 0.5) ** 2).sum(axis=1).mean(), rel=1e-12)
        np.testing.assert_allclose(gradient, 2 * (0.5 - y.mean(axis=0)), rtol=1e-11)
        outcome = fit(problem, np.zeros(k), order, 0.25, 5000, epochs=60)
        np.testing.assert_allclose(outcome.x, y.mean(axis=0), rtol=1e-9)

    def test_gradients_may_be_set_or_added_to(self, functions: Any) -> None:
        seen, loss = seen_by(functions.least_squares)
        X, y = np.random.default_rng(0).normal(size=(10_000, 2)), np.ones(10_000)
        problem, _ = outside_problem(loss, (X, y), np.zeros(2))
        problem.value(np.ones(2))
        problem.value_and_gradient(np.ones(2))
        assert seen[CALLS] >= 2 * 10_000 / 4096
        assert seen[DIRTY] == seen[NO_GRADIENT] == 0
        problem, _ = outside_problem(functions.square, (X, y), np.zeros((2, 1)))
        value, gradient = problem.value_and_gradient([3.0, -1.0])
        assert (value, gradient.tolist()) == (pytest.approx(10), pytest.approx([6, -2]))


def address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def within(place: float, array: NDArray[Any]) -> bool:
    """Whether a place lies in the memory that an array reaches, whichever way it strides."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return low <= place < high


class TestMemory:
    @pytest.mark.parametrize("n", [100, 9000])
    def test_consecutive_float64_rows_in_c_order_are_read_in_place(self, functions: Any, n: int) -> None:
        rng = np.random.default_rng(n)
        X, y = rng.normal(size=(n, 3)), rng.normal(size=n)
        for rows, in_place in [(X, True), (X.astype("f4"), False), (np.asfortranarray(X), False), (X[:, ::-1], False)]:
            for targets, y_in_place in [(y, True), (y.astype("f4"), False), (y[::-1], False)]:
                seen, loss = seen_by(functions.least_squares)
                problem, _ = outside_problem(loss, (rows, targets), np.zeros(3))
                problem.value(np.zeros(3))
                assert seen[ROWS] == n
                assert within(seen[AT_X], rows) == in_place
                assert within(seen[AT_Y], targets) == y_in_place
        seen, loss = seen_by(functions.least_squares)
        problem, _ = outside_problem(loss, (X, y), np.zeros(3))
        fit(problem, np.zeros(3), "full", 1e-3, n // 2, epochs=1)
        assert seen[CALLS] > 0

    @pytest.mark.parametrize("layout", ["F", "every other column"])
    def test_nothing_but_blocks_is_copied(self, functions: Any, layout: str) -> None:
        X = LAYOUTS[layout](np.random.default_rng(0).normal(size=(100_000, 20)).astype("f4"))
        y = np.ones(100_000)
        assert X.nbytes == 8_000_000
        tracemalloc.start()
        try:
            problem, _ = outside_problem(functions.least_squares, (X, y), np.zeros(20))
            fit(problem, np.zeros(20), "full", 1e-3, 50_000, epochs=1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert 4096 * 20 * 8 < peak < 2_000_000

    def test_wide_rows_come_in_short_blocks(self, functions: Any) -> None:
        seen, loss = seen_by(functions.least_squares)
        X = np.ones((200, 5000), "f4")
        problem, _ = outside_problem(loss, (X, np.zeros(200)), np.zeros(5000))
        assert problem.value(np.ones(5000)) == 25e6
        assert seen[ROWS] == 200
        assert 200 / seen[CALLS] * 5000 * 8 <= 1 << 20

    def test_read_only_data_stays_as_it_is(self, functions: Any) -> None:
        X, y = np.random.default_rng(0).normal(size=(50, 2)), np.ones(50)
        before = X.copy()
        for array in (X, y):
            array.flags.writeable = False
        problem, _ = outside_problem(functions.least_squares, (X, y), np.zeros(2))
        fit(problem, np.zeros(2), "full", 0.1, 8, epochs=2)
        np.testing.assert_array_equal(X, before)
        np.testing.assert_array_equal(y, 1)

    def test_a_problem_keeps_alive_what_it_needs(self) -> None:
        calls = []

        def python(theta: Any, k: int, X: Any, rows: int, cols: int, y: Any, grad: Any, user: Any) -> float:
            calls.append(rows)
            return float(rows)

        problem, _ = outside_problem(PROTOTYPE(python), np.ones(7), 0.0)
        del python
        gc.collect()
        assert problem.value([0.0]) == 1.0
        assert calls == [7]


class TestThreads:
    def test_the_gil_is_free_meanwhile(self, functions: Any) -> None:
        seen, loss = seen_by(functions.waits)
        problem, _ = outside_problem(loss, np.ones(10), 0.0)

        def open_door() -> None:
            while seen[CALLS] == 0:
                time.sleep(0.001)
            seen[DOOR] = 1

        opener = threading.Thread(target=open_door)
        opener.start()
        assert problem.value([0.0]) == 0.1
        opener.join()

    def test_ctrl_c_gets_through_a_long_pass(self, functions: Any) -> None:
        seen, loss = seen_by(functions.slow)
        blocks = 3000
        problem, owner = outside_problem(loss, np.ones(4096 * blocks, "i1"), 0.0)

        def interrupt() -> None:
            while seen[CALLS] < 3:
                time.sleep(0.001)
            _thread.interrupt_main()

        impatient = threading.Thread(target=interrupt)
        impatient.start()
        with pytest.raises(KeyboardInterrupt):
            evaluate(owner, problem.value, np.zeros(1))
        impatient.join()
        assert 3 <= seen[CALLS] < blocks / 2


class TestExceptions:
    def test_what_a_function_of_cython_raises_reaches_the_caller(self, functions: Any) -> None:
        seen, loss = seen_by(functions.raises)
        problem, owner = outside_problem(loss, np.ones(4096 * 5), 0.0)
        with pytest.raises(ArithmeticError, match="in block 3") as caught:
            evaluate(owner, problem.value, np.zeros(1))
        assert caught.value.__context__ is None
        assert seen[CALLS] == 3
        assert evaluate(owner, problem.value, np.zeros(1)) == -5 / problem.rows
        assert seen[CALLS] == 8

    def test_through_minimize(self, functions: Any) -> None:
        seen, loss = seen_by(functions.raises)
        with pytest.raises(ArithmeticError, match="in block 3"):
            steepest.minimize(loss, np.ones(10), x0=0.0, step_size=0.1, epochs=5, method="gd")
        assert seen[CALLS] == 3


class TestMinimize:
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_a_pointer_goes_the_way_of_the_callables(self, functions: Any, dtype: str) -> None:
        rng = np.random.default_rng(7)
        X, y = rng.normal(size=(500, 6)).astype(dtype)[:, ::2], rng.normal(size=500)
        pair = (lambda theta, batch: value_at(theta, *batch), lambda theta, batch: gradient_at(theta, *batch))
        options: dict[str, Any] = {"x0": np.ones(3), "step_size": 0.05, "batch_size": 32, "epochs": 3, "seed": 5}
        ours, theirs = (steepest.minimize(loss, (X, y), **options) for loss in (functions.least_squares, pair))
        np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-5 if dtype == "f4" else 1e-12)
        assert ours.fun == pytest.approx(theirs.fun, rel=1e-5 if dtype == "f4" else 1e-12)
        assert ours.nit == theirs.nit == 3 * 16

    def test_it_goes_the_way_of_the_core(self, functions: Any) -> None:
        rng = np.random.default_rng(8)
        X, y = rng.normal(size=(300, 4)), rng.normal(size=300)
        options: dict[str, Any] = {
            "step_size": 0.05,
            "batch_size": 16,
            "epochs": 2,
            "seed": 1,
            "penalty": steepest.L2(0.1),
        }
        ours = steepest.minimize(functions.least_squares, (X, y), x0=np.zeros(4), **options)
        core = steepest.minimize("mse", (X, y), **options)
        np.testing.assert_allclose(ours.x, core.x, rtol=1e-10)


NAMED = "double (double const *, ptrdiff_t, double const *, ptrdiff_t, ptrdiff_t, double const *, double *, void *)"


def capsule(function: Any, name: str | None, user_data: int = 0) -> Any:
    """A capsule as Cython exports its functions."""
    new, context = ctypes.pythonapi.PyCapsule_New, ctypes.pythonapi.PyCapsule_SetContext
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
    context.argtypes = [ctypes.py_object, ctypes.c_void_p]
    kept = None if name is None else ctypes.create_string_buffer(name.encode())
    made = new(ctypes.cast(function, ctypes.c_void_p), kept, None)
    context(made, user_data)
    NAMES.append(kept)
    return made


# A capsule does not own its name.
NAMES: list[Any] = []


class TestRecognition:
    def test_every_kind_gives_the_address(self, functions: Any) -> None:
        bare = functions.least_squares
        at = ctypes.cast(bare, ctypes.c_void_p).value
        user = np.zeros(8)
        user_data = user.ctypes.data_as(ctypes.c_void_p)
        for loss, expected in [
            (bare, (at, 0)),
            (declared(bare), (at, 0)),
            (LowLevelCallable(declared(bare)), (at, 0)),
            (LowLevelCallable(declared(bare), user_data), (at, address(user))),
            (LowLevelCallable(declared(bare), signature=NAMED), (at, 0)),
            (LowLevelCallable(capsule(bare, NAMED)), (at, 0)),
            (LowLevelCallable(capsule(bare, SIGNATURE), user_data), (at, address(user))),
            (capsule(bare, NAMED), (at, 0)),
            (capsule(bare, NAMED, address(user)), (at, address(user))),
        ]:
            assert is_outside(loss)
            assert is_function_pointer(loss)
            assert function_pointer(loss) == expected
            problem, _ = outside_problem(loss, np.array([1.0, 3.0]), 0.0)
            assert problem.value([1.0]) == 2.0
        assert user[CALLS] == 3

    def test_other_things_are_none(self, functions: Any) -> None:
        for other in (None, 1, len, np.ones(3), "mse", (1, 2), capsule(functions.square, None), capsule(1, "datetime")):
            assert function_pointer(other) is None
            assert not is_function_pointer(other)

    @pytest.mark.parametrize(
        "signature",
        [
            SIGNATURE,
            NAMED,
            "double(double*,long,double*,long,long,double*,double*,void*)",
            "double (*)(const double *, Py_ssize_t, const double *, ssize_t, npy_intp, const double *, double *, S *)",
            "double my_loss(double t[], int64_t k, void *X, size_t n, intptr_t cols, double const *y, real *g, S *s)",
        ],
    )
    def test_signatures_that_fit(self, functions: Any, signature: str) -> None:
        assert ctypes.sizeof(ctypes.c_long) == ctypes.sizeof(SIZE) or "long" not in signature
        assert function_pointer(LowLevelCallable(declared(functions.square), signature=signature)) is not None

    @pytest.mark.parametrize(
        ("signature", "named"),
        [
            (NAMED.replace("double (", "float ("), "returns 'float', not double"),
            (NAMED.replace("double (", "void ("), "returns 'void', not double"),
            (NAMED.replace("double (", "double * ("), r"returns 'double \*', not double"),
            (NAMED.replace(", void *", ""), "takes 7 arguments, not 8"),
            ("double (double)", "takes 1 arguments, not 8"),
            (NAMED.replace("(double const *", "(float const *"), "argument 0 .* is 'float const \\*'"),
            (NAMED.replace("(double const *", "(double"), "argument 0 .* is 'double'"),
            (NAMED.replace("(double const *", "(double **"), r"argument 0 .* is 'double \*\*'"),
            (NAMED.replace("ptrdiff_t,", "int,", 1), "argument 1 .* is 'int'"),
            (NAMED.replace("ptrdiff_t,", "unsigned int,", 1), "argument 1 .* is 'unsigned int'"),
            (NAMED.replace("ptrdiff_t,", "double,", 1), "argument 1 .* is 'double'"),
            (NAMED.replace("ptrdiff_t,", "ptrdiff_t *,", 1), r"argument 1 .* is 'ptrdiff_t \*'"),
            (NAMED.replace("double *,", "long double *,", 1), r"argument 6 .* is 'long double \*'"),
            (NAMED.replace("void *", "double"), "argument 7 .* is 'double'"),
            ("least_squares", "no signature that can be read"),
            ("", "no signature that can be read"),
        ],
    )
    def test_signatures_that_do_not(self, functions: Any, signature: str, named: str) -> None:
        loss = LowLevelCallable(declared(functions.square), signature=signature)
        assert is_outside(loss)
        with pytest.raises(TypeError, match=named) as caught:
            outside_problem(loss, np.ones(3), 0.0)
        assert SIGNATURE in str(caught.value)

    @pytest.mark.parametrize("place", range(8))
    def test_ctypes_functions_with_a_wrong_argument(self, functions: Any, place: int) -> None:
        state = type("State", (ctypes.Structure,), {"_fields_": [("a", ctypes.c_double)]})
        floats = np.ctypeslib.ndpointer(np.float32)
        wrong = [ctypes.c_double, ctypes.c_int, ctypes.py_object, state]
        wrong += [DOUBLES] if place in (1, 3, 4) else [SIZE]
        wrong += [floats, ctypes.POINTER(state), ctypes.POINTER(DOUBLES)] if place in (0, 2, 5, 6) else []
        for other in wrong:
            function = functions["square"]
            function.restype, function.argtypes = ctypes.c_double, [*ARGUMENTS[:place], other, *ARGUMENTS[place + 1 :]]
            with pytest.raises(TypeError, match=f"argument {place} of the ctypes function is "):
                function_pointer(function)

    def test_ctypes_functions_declared_otherwise(self, functions: Any) -> None:
        doubles, anything = np.ctypeslib.ndpointer(np.float64, flags="C"), ctypes.c_void_p
        function = functions["square"]
        function.restype = ctypes.c_double
        function.argtypes = [doubles, SIZE, anything, SIZE, SIZE, doubles, anything, ctypes.py_object]
        with pytest.raises(TypeError, match="argument 7"):
            function_pointer(function)
        function.argtypes = [*function.argtypes[:7], ctypes.POINTER(ctypes.c_int)]
        assert function_pointer(function) is not None
        function.restype = ctypes.c_float
        with pytest.raises(TypeError, match="returns 'float'"):
            function_pointer(function)
        function.restype = None
        with pytest.raises(TypeError, match="returns 'void'"):
            function_pointer(function)

    def test_functions_that_need_the_gil_are_refused(self) -> None:
        with pytest.raises(TypeError, match="need the GIL"):
            function_pointer(ctypes.PYFUNCTYPE(ctypes.c_double, *ARGUMENTS)(lambda *arguments: 0.0))

    def test_a_pair_of_functions_is_refused(self, functions: Any) -> None:
        for pair in [(functions.square, functions.square), (functions.square, len)]:
            with pytest.raises(TypeError, match="not a pair"):
                outside_problem(pair, np.ones(3), 0.0)

    @pytest.mark.parametrize(
        ("data", "x0", "error", "named"),
        [
            (np.ones((0, 2)), 0.0, ValueError, "data is empty"),
            ((np.ones((3, 2)), np.ones(4)), np.zeros(2), ValueError, r"data\[0\] has 3 rows, data\[1\] has 4"),
            ((np.ones((3, 2)),), np.zeros(2), ValueError, r"data \(X, y\) or y, not a tuple of 1"),
            ((np.ones(3), np.ones(3)), 0.0, ValueError, r"X has shape \(3,\)"),
            (np.ones((3, 1, 1)), 0.0, ValueError, r"y has shape \(3, 1, 1\)"),
            ((np.ones((3, 2)), np.ones(3, complex)), np.zeros(2), TypeError, "real numbers"),
            ((np.ones((3, 2)), np.ones(3)), None, ValueError, "x0 is required"),
        ],
    )
    def test_data_is_checked(self, functions: Any, data: Any, x0: Any, error: type[Exception], named: str) -> None:
        with pytest.raises(error, match=named):
            outside_problem(functions.square, data, x0)

    def test_the_owner_reads_only_what_it_can(self) -> None:
        with pytest.raises(ValueError, match=r"X has shape \(3, 2\); needed: \(2, columns\)"):
            PointerLoss(1, 0, np.ones((3, 2)), np.ones(2), 2)
        with pytest.raises(ValueError, match="null"):
            PointerLoss(0, 0, None, np.ones(2), 1)
        unaligned = np.zeros(17, np.uint8)[1:].view(float)
        for y in (np.ones(2, np.float16), np.ones(2, np.dtype(float).newbyteorder()), np.ones(2, complex), unaligned):
            with pytest.raises(TypeError, match="y has dtype"):
                PointerLoss(1, 0, None, y, 1)
