"""Losses outside the core that are Python callables."""

import gc
import hashlib
import traceback
import warnings
import weakref
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import steepest
from steepest import _core, reference
from steepest._callbacks import PythonLoss
from steepest._outcome import Outcome
from steepest._outside import evaluate, is_outside, outside_problem, reraise

SGD = next(i for i, rule in enumerate(_core.registry()["rules"]) if rule["name"] == "sgd")
EPS = np.finfo(float).eps


def mse(theta: Any, batch: Any) -> Any:
    return np.mean((batch - theta) ** 2)


def grad_mse(theta: Any, batch: Any) -> Any:
    return -2 * np.mean(batch - theta)


def least_squares(theta: Any, batch: Any) -> Any:
    X, y = batch
    return np.mean((y - X @ theta) ** 2)


def grad_least_squares(theta: Any, batch: Any) -> Any:
    X, y = batch
    return -2 * X.T @ (y - X @ theta) / len(y)


def regression(n: int, d: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, X @ rng.normal(size=d) + rng.normal(size=n)


def fit(
    problem: Any,
    x0: Any,
    *,
    order: Any = "sequence",
    step: float = 0.1,
    batch_size: int = 1 << 40,
    epochs: int = 1,
    seed: int = 0,
    on_epoch: Any = None,
) -> tuple[Any, Any]:
    size = min(batch_size, problem.rows)
    start = np.ravel(x0).astype(float)
    reached, failure = problem.fit(
        start,
        {"order": order, "seed": seed, "rule": (SGD, []), "schedule": lambda t: step, "batch_size": size,
         "epochs": epochs, "on_epoch": on_epoch},
    )  # fmt: skip
    return Outcome(*reached), failure


def reference_fit(value: Any, gradient: Any, data: Any, x: Any, orders: Any, step: float, batch_size: int) -> list[Any]:
    """The parameters after every update, in NumPy."""
    path = []
    for order in orders:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = tuple(part[rows] for part in data) if isinstance(data, tuple) else data[rows]
            x = x - step * gradient(x, batch)
            path.append(x)
    return path


class Recorded:
    """A callable that keeps what it was called with."""

    def __init__(self, f: Callable[[Any, Any], Any]) -> None:
        self.f = f
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, theta: Any, batch: Any) -> Any:
        self.calls.append((theta, batch))
        return self.f(theta, batch)


class TestPythonValues:
    @pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 1, 2)])
    @pytest.mark.parametrize("n", [1, 7, 5000])
    def test_values_and_gradients_are_those_of_the_callables(self, shape: tuple[int, ...], n: int) -> None:
        rng = np.random.default_rng(n + len(shape))
        data = rng.normal(size=(n, *shape)) * 3 + 1

        def value(theta: Any, batch: Any) -> Any:
            return np.mean((batch - theta) ** 2 * 0.5)

        def gradient(theta: Any, batch: Any) -> Any:
            return np.mean(theta - batch, axis=0) / np.size(theta)

        problem, _ = outside_problem((value, gradient), data, np.zeros(shape))
        assert (problem.rows, problem.parameters) == (n, int(np.prod(shape)))
        points = rng.normal(size=(4, *shape))
        expected = [value(x, data) for x in points]
        assert len(set(expected)) == len(points)
        np.testing.assert_allclose(problem.values(points.reshape(4, -1)), expected, rtol=4 * EPS)
        for x, wanted in zip(points, expected, strict=True):
            assert problem.value(x.ravel()) == pytest.approx(wanted, rel=4 * EPS)
            found, slope = problem.value_and_gradient(x.ravel())
            assert found == pytest.approx(wanted, rel=4 * EPS)
            np.testing.assert_allclose(slope, gradient(x, data).ravel(), rtol=4 * EPS, atol=4 * EPS)

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (np.arange(4.0), np.ndarray),
            ([1.0, 2.0, 4.0], np.ndarray),
            (np.ones(3).view(type("Tagged", (np.ndarray,), {})), np.ndarray),
            ((np.arange(3.0),), tuple),
            ((np.ones((3, 2)), [1, 0, 2]), tuple),
            ((np.ones((3, 2, 2), np.float32), np.arange(3), np.array([True, False, True])), tuple),
        ],
    )
    def test_a_batch_has_the_structure_of_the_data(self, data: Any, kind: type) -> None:
        value, gradient = Recorded(lambda theta, batch: 0.0), Recorded(lambda theta, batch: 0.0)
        problem, _ = outside_problem((value, gradient), data, 0.0)
        for order in ("sequence", lambda epoch: np.arange(problem.rows, dtype=np.uint32)):
            _, failure = fit(problem, 0.0, order=order, batch_size=2)
            assert failure is None
        assert len(value.calls) >= 4
        assert len(gradient.calls) >= 4
        for _, batch in value.calls + gradient.calls:
            assert type(batch) is kind
            parts, wholes = (batch, data) if kind is tuple else ((batch,), (data,))
            assert len(parts) == len(wholes)
            for part, whole in zip(parts, wholes, strict=True):
                assert type(part) is np.ndarray
                assert part.dtype == np.asarray(whole).dtype
                assert part.shape[1:] == np.shape(whole)[1:]
            assert len({len(part) for part in parts}) == 1

    def test_theta_has_the_shape_of_x0(self) -> None:
        for x0, wanted in [(0, ()), (0.0, ()), (np.zeros(1), (1,)), ([[1.0, 2.0]], (1, 2)), (None, ())]:
            value = Recorded(lambda theta, batch: 0.0)
            problem, _ = outside_problem((value, mse), np.arange(3.0), x0)
            problem.value(np.arange(problem.parameters) + 0.5)
            (theta, _), *_ = value.calls
            assert np.shape(theta) == wanted
            assert isinstance(theta, float if wanted == () else np.ndarray)
            np.testing.assert_array_equal(np.ravel(theta), np.arange(problem.parameters) + 0.5)

    def test_numbers_too_large_for_a_square_are_no_error(self) -> None:
        problem, _ = outside_problem((lambda theta, batch: theta**2, None), np.ones(2), 0.0)
        with np.errstate(over="ignore"):
            assert problem.value([1e200]) == np.inf

    @pytest.mark.parametrize(
        "number",
        [2, 2.0, np.float32(2), np.float16(2), np.int8(2), np.array(2), np.array(2.0), np.longdouble(2), Fraction(2)],
    )
    def test_real_numbers_of_any_kind_are_accepted(self, number: Any) -> None:
        problem, _ = outside_problem((lambda theta, batch: number, lambda theta, batch: number), np.arange(3.0), 0.0)
        value, gradient = problem.value_and_gradient([1.0])
        assert (value, gradient.tolist()) == (2.0, [2.0])

    def test_a_gradient_may_be_a_list_or_of_another_dtype_or_order(self) -> None:
        wanted = np.arange(6.0).reshape(2, 3)
        for gradient in (wanted.tolist(), wanted.astype(np.float32), wanted.astype(int), np.asfortranarray(wanted)):
            problem, _ = outside_problem(
                (lambda theta, batch: 0.0, lambda theta, batch, g=gradient: g), np.arange(3.0), np.ones((2, 3))
            )
            np.testing.assert_array_equal(problem.value_and_gradient(np.ones(6))[1], wanted.ravel())

    def test_one_callable_serves_for_values_only(self) -> None:
        problem, owner = outside_problem(mse, np.array([1.0, 3.0]), 0.0)
        assert problem.value([1.0]) == 2.0
        assert problem.values(np.array([[1.0], [3.0], [2.0]])).tolist() == [2.0, 2.0, 1.0]
        with pytest.raises(TypeError, match=r"a gradient is needed.*\(loss, gradient\)"):
            evaluate(owner, problem.value_and_gradient, np.zeros(1))

    def test_values_alone_do_not_ask_for_gradients(self) -> None:
        gradient = Recorded(grad_mse)
        problem, _ = outside_problem((mse, gradient), np.arange(3.0), 0.0)
        problem.value([0.0])
        problem.values(np.zeros((2, 1)))
        assert not gradient.calls
        problem.value_and_gradient([0.0])
        assert len(gradient.calls) == 1


class TestPythonRows:
    @given(
        n=st.integers(1, 40),
        batch_size=st.integers(1, 45),
        epochs=st.integers(1, 3),
        seed=st.integers(0, 1000),
        scalar=st.booleans(),
    )
    def test_an_injected_order_is_followed_step_by_step(
        self, n: int, batch_size: int, epochs: int, seed: int, scalar: bool
    ) -> None:
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(n) for _ in range(epochs)]
        data: Any = rng.normal(size=n) if scalar else regression(n, 3, seed)
        value, gradient = (mse, grad_mse) if scalar else (least_squares, grad_least_squares)
        x0: Any = 0.5 if scalar else np.array([0.5, -1.0, 2.0])
        if batch_size >= n:
            orders = [np.arange(n)] * epochs  # all rows are all rows in any order
        path: list[Any] = []

        def seen(theta: Any, batch: Any) -> Any:
            path.append(theta)
            return gradient(theta, batch)

        problem, _ = outside_problem((value, seen), data, x0)
        outcome, failure = fit(
            problem, x0, order=lambda e: orders[e].astype(np.uint32), step=0.05, batch_size=batch_size, epochs=epochs
        )
        assert failure is None
        expected = reference_fit(value, gradient, data, x0, orders, 0.05, batch_size)
        assert outcome.nit == len(expected) == epochs * -(-n // batch_size)
        np.testing.assert_allclose(outcome.x, np.ravel(expected[-1]), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(path[: len(expected)], [x0, *expected[:-1]], rtol=1e-12, atol=1e-13)

    def test_batches_hold_the_rows_of_the_order(self) -> None:
        n, size = 23, 5
        order = np.random.default_rng(3).permutation(n)
        X, ids = np.random.default_rng(4).normal(size=(n, 2)), np.arange(n)
        gradient = Recorded(lambda theta, batch: theta)
        problem, _ = outside_problem((lambda theta, batch: 0.0, gradient), (X, ids), np.zeros(2))
        fit(problem, np.zeros(2), order=lambda epoch: order.astype(np.uint32), batch_size=size)
        met = [batch for _, batch in gradient.calls if len(batch[1]) <= size]
        assert [len(batch[1]) for batch in met] == [5, 5, 5, 5, 3]
        np.testing.assert_array_equal(np.concatenate([batch[1] for batch in met]), order)
        np.testing.assert_array_equal(np.concatenate([batch[0] for batch in met]), X[order])

    def test_consecutive_rows_are_views_and_all_batches_are_read_only(self) -> None:
        X, y = regression(30, 4, 0)
        X = X[:, ::2]
        for order, shared in [("sequence", True), ("full", False)]:
            for size in (7, 30):
                loss, gradient = Recorded(least_squares), Recorded(grad_least_squares)
                problem, _ = outside_problem((loss, gradient), (X, y), np.zeros(2))
                fit(problem, np.zeros(2), order=order, batch_size=size)
                batches = [batch for _, batch in loss.calls + gradient.calls]
                assert len(batches) >= 4
                for rows, targets in batches:
                    assert not rows.flags.writeable
                    assert not targets.flags.writeable
                    whole = shared or len(targets) == 30
                    assert np.shares_memory(rows, X) == np.shares_memory(targets, y) == whole

    @pytest.mark.parametrize("order", ["sequence", "full"])
    @pytest.mark.parametrize("which", ["loss", "gradient"])
    def test_data_cannot_be_written(self, order: str, which: str) -> None:
        X, y = regression(20, 2, 1)
        before = [hashlib.sha256(part.tobytes()).hexdigest() for part in (X, y)]

        def vandal(theta: Any, batch: Any) -> Any:
            batch[0][...] = 0
            return least_squares(theta, batch)

        pair = (vandal, grad_least_squares) if which == "loss" else (least_squares, vandal)
        problem, owner = outside_problem(pair, (X, y), np.zeros(2))
        _, failure = fit(problem, np.zeros(2), order=order, batch_size=4)
        assert failure == "outside"
        with pytest.raises(ValueError, match="read-only"):
            reraise(owner)
        assert before == [hashlib.sha256(part.tobytes()).hexdigest() for part in (X, y)]
        assert X.flags.writeable
        assert y.flags.writeable

    def test_reshaping_a_batch_in_place_changes_no_later_one(self) -> None:
        def careless(theta: Any, batch: Any) -> Any:
            assert batch.shape == (6,)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                batch.shape = (2, 3)
            return mse(theta, batch)

        problem, owner = outside_problem((careless, careless), np.arange(6.0), 0.0)
        for _ in range(3):
            assert evaluate(owner, problem.value, [0.0]) == pytest.approx(55 / 6)

    def test_theta_is_the_callables_own(self) -> None:
        kept: list[Any] = []

        def value(theta: Any, batch: Any) -> Any:
            result = least_squares(theta, batch)
            kept.append(theta)
            theta[:] = 1e300
            return result

        data = regression(12, 3, 5)
        problem, _ = outside_problem((value, grad_least_squares), data, np.zeros(3))
        plain, _ = outside_problem((least_squares, grad_least_squares), data, np.zeros(3))
        outcome, failure = fit(problem, np.zeros(3), batch_size=5, epochs=2)
        expected, _ = fit(plain, np.zeros(3), batch_size=5, epochs=2)
        assert failure is None
        np.testing.assert_array_equal(outcome.x, expected.x)
        assert len(kept) >= 6
        assert len({theta.ctypes.data for theta in kept}) == len(kept)


class Custom(BaseException):
    """What no `except Exception` stops."""


class TestExceptions:
    @pytest.mark.parametrize(
        "error", [ZeroDivisionError("a"), RuntimeError("b"), KeyboardInterrupt(), Custom(), SystemExit(3)]
    )
    @pytest.mark.parametrize("which", ["loss", "gradient"])
    @pytest.mark.parametrize("after", [0, 4])
    def test_an_exception_comes_out_as_it_went_in(self, error: BaseException, which: str, after: int) -> None:
        calls = 0

        def raises_here(theta: Any, batch: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after:
                raise error
            return (mse if which == "loss" else grad_mse)(theta, batch)

        pair = (raises_here, grad_mse) if which == "loss" else (mse, raises_here)
        data = np.arange(12.0)
        problem, owner = outside_problem(pair, data, 0.0)
        outcome, failure = fit(problem, 0.0, batch_size=2)
        assert failure == "outside"
        assert calls == after + 1
        assert owner.exception is error
        # What the updates before it reached is not lost.
        updates = outcome.nit
        assert updates <= after
        path = reference_fit(mse, grad_mse, data, 0.0, [np.arange(12)], 0.1, 2)
        np.testing.assert_allclose(outcome.x, [path[updates - 1] if updates else 0.0], rtol=1e-12)
        with pytest.raises(type(error)) as caught:
            reraise(owner)
        assert caught.value is error
        assert error.__cause__ is None
        assert error.__context__ is None
        assert "raises_here" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert owner.exception is None
        reraise(owner)
        error.__traceback__ = None

    @pytest.mark.parametrize("error", [OSError("a"), KeyboardInterrupt()])
    def test_evaluations_raise_it_too(self, error: BaseException) -> None:
        def raises(theta: Any, batch: Any) -> Any:
            raise error

        problem, owner = outside_problem((raises, raises), np.arange(3.0), 0.0)
        for method, argument in [
            (problem.value, np.zeros(1)),
            (problem.values, np.zeros((2, 1))),
            (problem.value_and_gradient, np.zeros(1)),
        ]:
            with pytest.raises(type(error)) as caught:
                evaluate(owner, method, argument)
            assert caught.value is error
            assert error.__context__ is None
            assert owner.exception is None

    def test_errors_that_are_not_the_callables_pass(self) -> None:
        problem, owner = outside_problem((mse, grad_mse), np.arange(3.0), 0.0)
        with pytest.raises(ValueError, match="3 parameters"):
            evaluate(owner, problem.value, np.zeros(3))
        assert evaluate(owner, problem.value, np.zeros(1)) == pytest.approx(5 / 3)

    @pytest.mark.parametrize(
        ("answer", "named"),
        [
            (None, "None of type NoneType"),
            ("1.0", "'1.0' of type str"),
            (1j, "1j of type complex"),
            (True, "True of type bool"),
            (np.True_, "of type bool"),
            (np.ones(3), r"array of shape \(3,\) and dtype float64"),
            (np.ones(1), r"array of shape \(1,\)"),
            ([1.0], r"\[1.0\] of type list"),
            (Decimal(1), "of type Decimal"),
            (mse, "function mse"),
            ("x" * 500, r"xxx\.\.\. of type str"),
        ],
    )
    def test_a_loss_that_is_no_real_number(self, answer: Any, named: str) -> None:
        problem, owner = outside_problem((lambda theta, batch: answer, grad_mse), np.arange(3.0), 0.0)
        with pytest.raises(TypeError, match=f"the loss has to return a real number.*{named}"):
            evaluate(owner, problem.value, np.zeros(1))

    @pytest.mark.parametrize(
        ("x0", "answer", "named"),
        [
            (0.0, [1.0], r"gradient has shape \(1,\), theta has shape \(\)"),
            ([0.0], 1.0, r"gradient has shape \(\), theta has shape \(1,\)"),
            ([0.0, 0.0], 1.0, r"gradient has shape \(\), theta has shape \(2,\)"),
            ([0.0, 0.0], np.ones(1), r"gradient has shape \(1,\), theta has shape \(2,\)"),
            ([0.0, 0.0], np.ones((2, 1)), r"gradient has shape \(2, 1\), theta has shape \(2,\)"),
            (np.zeros((2, 3)), np.ones(6), r"gradient has shape \(6,\), theta has shape \(2, 3\)"),
        ],
    )
    def test_a_gradient_of_another_shape(self, x0: Any, answer: Any, named: str) -> None:
        problem, owner = outside_problem((lambda theta, batch: 0.0, lambda theta, batch: answer), np.arange(3.0), x0)
        with pytest.raises(ValueError, match=named):
            evaluate(owner, problem.value_and_gradient, np.zeros(problem.parameters))

    @pytest.mark.parametrize("answer", [None, "ab", [1j, 2.0], [True, False], np.array([1, None], object)])
    def test_a_gradient_that_is_not_real(self, answer: Any) -> None:
        pair = (lambda theta, batch: 0.0, lambda theta, batch: answer)
        problem, owner = outside_problem(pair, np.arange(3.0), [0, 0])
        with pytest.raises(TypeError, match="the gradient has to be real numbers"):
            evaluate(owner, problem.value_and_gradient, np.zeros(2))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_numbers_that_are_not_finite_are_divergence(self, bad: float) -> None:
        problem, owner = outside_problem((lambda theta, batch: bad, grad_mse), np.arange(3.0), 0.0)
        outcome, failure = fit(problem, 0.0)
        assert failure is None
        assert outcome.status == "diverged"
        assert owner.exception is None


P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])


class TestMinimize:
    def test_the_textbook_with_its_own_functions(self) -> None:
        result = steepest.minimize(
            (reference.mse, reference.grad_mse),
            P5,
            method="gd",
            step_size=0.2,
            x0=0.0,
            tol=steepest.StepTolerance(1e-3),
        )
        assert result.x[0] == pytest.approx(14.658511131035242, abs=1e-12)
        assert result.nit == 18

    @given(seed=st.integers(0, 1000), batch_size=st.integers(1, 12), epochs=st.integers(1, 3))
    def test_an_injected_order(self, seed: int, batch_size: int, epochs: int) -> None:
        rng = np.random.default_rng(seed)
        data, x0 = regression(12, 3, seed), rng.normal(size=3)
        orders = [rng.permutation(12) if batch_size < 12 else np.arange(12) for _ in range(epochs)]
        result = steepest.minimize(
            (least_squares, grad_least_squares),
            data,
            x0=x0,
            method="sgd",
            step_size=0.01,
            batch_size=batch_size,
            epochs=epochs,
            shuffle=lambda epoch: orders[epoch],
        )
        path = reference_fit(least_squares, grad_least_squares, data, x0, orders, 0.01, batch_size)
        np.testing.assert_allclose(result.x, path[-1], rtol=1e-12, atol=1e-13)
        assert result.fun == pytest.approx(least_squares(result.x, data), rel=1e-12)
        np.testing.assert_allclose(result.jac, grad_least_squares(result.x, data), rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("error", [ZeroDivisionError("a"), Custom(), SystemExit(3)])
    def test_exceptions_are_the_same_object(self, error: BaseException) -> None:
        def raises_here(theta: Any, batch: Any) -> Any:
            raise error

        for pair in [(mse, raises_here), (raises_here, grad_mse)]:
            with pytest.raises(type(error)) as caught:
                steepest.minimize(pair, P5, x0=0.0, step_size=0.1)
            assert caught.value is error
            assert error.__cause__ is None
            assert error.__context__ is None

    def test_ctrl_c_in_a_callable_keeps_what_was_reached(self) -> None:
        thetas: list[float] = []

        def interrupted(theta: Any, batch: Any) -> Any:
            thetas.append(theta)
            if len(thetas) == 4:
                raise KeyboardInterrupt
            return grad_mse(theta, batch)

        with pytest.raises(steepest.Interrupted) as caught:
            steepest.minimize((mse, interrupted), P5, x0=0.0, step_size=0.1, method="gd", epochs=9)
        assert caught.value.result.x[0] == thetas[-1] != 0.0

    def test_nonsense_is_named(self) -> None:
        with pytest.raises(TypeError, match=r"the loss has to return a real number.*'much'"):
            steepest.minimize((lambda theta, batch: "much", grad_mse), P5, x0=0.0, step_size=0.1)
        with pytest.raises(ValueError, match=r"the gradient has shape \(5,\), theta has shape \(\)"):
            steepest.minimize((mse, lambda theta, batch: batch - theta), P5, x0=0.0, step_size=0.1)

    def test_what_does_not_go_with_callables(self) -> None:
        for wrong in ({"sample_weight": np.ones(5)}, {"fit_intercept": True}):
            with pytest.raises(ValueError, match=f"{next(iter(wrong))} does not go with a loss outside the core"):
                steepest.minimize((mse, grad_mse), P5, x0=0.0, step_size=0.1, **wrong)
        with pytest.raises(ValueError, match="x0 is required"):
            steepest.minimize((least_squares, grad_least_squares), regression(9, 2, 0), step_size=0.1)


class TestArguments:
    def test_what_counts_as_outside(self) -> None:
        assert is_outside((mse, grad_mse))
        pairs: list[Any] = [(mse,), (mse, 1), ("mse", mse), (mse, grad_mse, mse), [mse, grad_mse]]
        for other in (*pairs, "mse", mse, None, np.ones(2)):
            assert not is_outside(other)

    @pytest.mark.parametrize(
        ("data", "x0", "error", "named"),
        [
            ([], 0.0, ValueError, "data is empty"),
            ((), 0.0, ValueError, "empty tuple"),
            (3.0, 0.0, ValueError, "data is a single number"),
            ((np.ones((3, 0)), np.ones(3)), 0.0, ValueError, r"data\[0\] is empty: its shape is \(3, 0\)"),
            ((np.ones((3, 2)), np.ones(4)), 0.0, ValueError, r"data\[0\] has 3 rows, data\[1\] has 4"),
            (np.array(["a"]), 0.0, TypeError, "data must hold real numbers; its dtype is <U1"),
            ((np.ones(2), np.ones(2, complex)), 0.0, TypeError, r"data\[1\] must hold real numbers.*complex"),
            (np.array([None, 1]), 0.0, TypeError, "dtype is object"),
            (np.ma.masked_array([1.0, 2.0], [False, True]), 0.0, TypeError, "data is a masked array"),
            ([1.0], "a", TypeError, "x0 must hold real numbers"),
            ([1.0], [], ValueError, "x0 is empty"),
            (np.ones((3, 2)), None, ValueError, "x0 is required"),
            ((np.ones(3),), None, ValueError, "x0 is required"),
        ],
    )
    def test_refused(self, data: Any, x0: Any, error: type[Exception], named: str) -> None:
        for loss in ((mse, grad_mse), mse):
            with pytest.raises(error, match=named):
                outside_problem(loss, data, x0)

    def test_sparse_rows_are_refused(self) -> None:
        from scipy.sparse import csr_array

        with pytest.raises(TypeError, match="sparse"):
            outside_problem((mse, grad_mse), (csr_array(np.eye(3)), np.ones(3)), np.zeros(3))

    def test_a_problem_keeps_alive_what_it_needs_and_nothing_longer(self) -> None:
        def value(theta: Any, batch: Any) -> Any:
            return mse(theta, batch)

        alive = weakref.ref(value)
        problem, owner = outside_problem((value, grad_mse), [1.0, 3.0], 0.0)
        del value, owner
        gc.collect()
        assert problem.value([1.0]) == 2.0
        del problem
        gc.collect()
        assert alive() is None

    def test_lengths_are_checked_by_the_owner_too(self) -> None:
        with pytest.raises(ValueError, match=r"different lengths: \[2, 3\]"):
            PythonLoss(mse, None, (np.ones(2), np.ones(3)), ())
