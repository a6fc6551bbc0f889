"""Parameters rounded off for SciPy's methods: the same optimum in fewer iterations, whatever the rows."""

import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import members
import steepest as st
from members import Array
from steepest import _precondition, methods
from tolerances import DTYPES

SCIPY = [name for name in methods.available() if isinstance(methods.get(name), methods.SciPyMethod)]
SMOOTH = [name for name in st.losses.available() if st.losses.get(name).smooth]
N, D = 300, 6


def related(loss: str, dtype: Any = np.float64) -> tuple[Array, Any]:
    """Draw rows whose columns are nearly alike and of different units, and targets that have to do with them."""
    member, source = st.losses.get(loss), members.random(loss, dtype)
    X = source.normal(size=(N, 1)) + 0.1 * source.normal(size=(N, D))
    members.vary(X)
    z = 20 * (X - X.mean(axis=1, keepdims=True)) @ source.normal(size=(D, 3)) / D + 0.3 * source.normal(size=(N, 3))
    X *= np.geomspace(0.2, 5, D)
    if member.target == "labels":
        return X.astype(dtype), z.argmax(axis=1)
    z = z if member.kind == "scores" else z[:, 0]
    y = {
        "real": lambda: z,
        "binary": lambda: np.where(z > 0, 1.0, -1.0),
        "non_negative": lambda: np.round(np.exp(np.clip(z, -2, 2))),
        "positive": lambda: np.exp(np.clip(z, -2, 2)),
    }[member.target]()
    return X.astype(dtype), y.astype(dtype)


def run(name: str, loss: str, data: Any, most: int = 400, **options: Any) -> Any:
    precondition = options.pop("precondition")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        method = methods.get(name, precondition=precondition)
        return st.minimize(loss, data, method=method, tol=1e-9, epochs=most, **options)


@pytest.mark.parametrize("loss", SMOOTH)
def test_fewer_iterations_to_the_same_optimum(loss: str) -> None:
    data = related(loss)
    options: dict[str, Any] = {"penalty": st.L2(1e-4), "fit_intercept": True}
    plain, better = (run("L-BFGS-B", loss, data, precondition=p, **options) for p in (False, True))
    assert better.fun <= plain.fun * (1 + 1e-8)
    assert better.nit < 0.7 * plain.nit
    assert better.gap is None or better.gap >= better.fun - plain.fun
    exact = st.Objective(loss, data, st.L2(1e-4), fit_intercept=True)
    assert better.fun == pytest.approx(exact.value(better.x), rel=1e-12)
    np.testing.assert_allclose(better.jac, exact.gradient(better.x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SCIPY)
def test_every_method_finds_the_optimum(name: str) -> None:
    for loss in ("log_loss", "softmax"):
        data = related(loss)
        options: dict[str, Any] = {"penalty": st.L2(1e-3), "fit_intercept": True, "precondition": True}
        best = run("L-BFGS-B", loss, data, **options | {"precondition": False})
        found = run(name, loss, data, **options)
        assert found.fun == pytest.approx(best.fun, rel=1e-7)
        assert found.method == methods.get(name, precondition=True)


def test_half_squares_are_round() -> None:
    """Where the Gram matrix is the curvature, a few steps are all."""
    for loss in ("squared_error", "mse", "multi_squared_error"):
        data = related(loss)
        result = run("L-BFGS-B", loss, data, precondition=True, penalty=st.L2(0.01), fit_intercept=True)
        assert 1 <= result.nit <= 6
        np.testing.assert_allclose(result.jac, 0, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["sparse", "scaled", "normalized", "weights", "rows", "empty and alike"])
def test_whatever_the_rows(layout: str, dtype: Any) -> None:
    X, y = related("log_loss", dtype)
    options: dict[str, Any] = {"penalty": st.L2(1e-3), "fit_intercept": True}
    given: Any = X
    if layout == "sparse":
        given = scipy.sparse.csr_array(np.where(np.abs(X) < 0.1, 0, X))
    elif layout == "scaled":
        given = st.data.scaled(X, np.linspace(1, 2, D), 0.5)
    elif layout == "normalized":
        options["normalize"] = True
    elif layout == "weights":
        options["sample_weight"] = np.arange(N) % 3
    elif layout == "rows":
        options["rows"] = np.arange(0, N, 2)
    else:
        given = np.hstack([X, 0 * X[:, :1], X[:, :1]]).astype(dtype)
        options["penalty"] = None
        options["fit_intercept"] = False
    plain, better = (run("L-BFGS-B", "log_loss", (given, y), precondition=p, **options) for p in (False, True))
    assert better.fun == pytest.approx(plain.fun, rel=1e-6 if dtype == np.float64 else 1e-4)
    assert better.nit <= plain.nit


@pytest.mark.parametrize(("scores", "intercept"), [(1, False), (1, True), (3, False), (3, True)])
def test_there_and_back(scores: int, intercept: bool) -> None:
    source = members.random(scores, intercept)
    root = source.normal(size=(D + intercept, D + intercept))
    view = _precondition.Rounded(root.T @ root, scores, D)
    x = source.normal(size=scores * (D + intercept))
    u = view.of(x)
    assert np.linalg.norm(u - x) > 0.1
    np.testing.assert_allclose(view.x(u), x, rtol=1e-9, atol=1e-9)
    slope = source.normal(size=x.size)
    value, seen = view.seen(u, 2.5, slope)
    assert value == 2.5
    step = source.normal(size=x.size)  # a linear function's change along a step is the same in either
    assert seen @ step == pytest.approx(slope @ view.x(step), rel=1e-9)


@pytest.mark.parametrize("sparse", [False, True])
def test_some_rows_are_enough(monkeypatch: pytest.MonkeyPatch, sparse: bool) -> None:
    """Among those that are trained on, in data that are sorted, too."""
    monkeypatch.setattr(_precondition, "LEAST_ROWS", 40)
    monkeypatch.setattr(_precondition, "ROWS_PER_COLUMN", 2)
    seen: list[int] = []
    gram = _precondition.gram_matrix
    monkeypatch.setattr(
        _precondition, "gram_matrix", lambda data, *rest: seen.append(data.trained) or gram(data, *rest)
    )
    X, y = related("log_loss")
    order = np.argsort(X[:, 0])
    data = (scipy.sparse.csr_array(X[order]) if sparse else X[order], y[order])
    options: dict[str, Any] = {"penalty": st.L2(1e-4), "fit_intercept": True, "sample_weight": np.arange(N) % 3}
    for rows, used in ((None, 43), (np.arange(0, N, 2), 50), (slice(70), 70)):
        plain, better = (run("L-BFGS-B", "log_loss", data, precondition=p, rows=rows, **options) for p in (False, True))
        assert seen.pop() == used
        assert better.fun == pytest.approx(plain.fun, rel=1e-7)
        assert better.nit < 0.7 * plain.nit


def test_where_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a tolerance decides, not SciPy's gradients; and where the matrix is smaller than the rows."""
    made: list[int] = []
    init = _precondition.Rounded.__init__
    monkeypatch.setattr(
        _precondition.Rounded, "__init__", lambda self, *given: made.append(given[2]) or init(self, *given)
    )
    X, y = related("log_loss")
    options: dict[str, Any] = {"method": "L-BFGS-B", "penalty": st.L2(0.01)}
    st.minimize("log_loss", (X, y), tol=1e-4, **options)
    assert made.pop() == D
    st.minimize("log_loss", (X, y), epochs=2, **options)
    st.minimize("log_loss", (X, y), **options)
    st.minimize("log_loss", (X[: 4 * D - 1], y[: 4 * D - 1]), tol=1e-4, **options)
    st.minimize("log_loss", (X, y), tol=1e-4, **options | {"penalty": st.L1(0.01)})
    st.minimize("log_loss", (X, y), tol=1e-4, **options | {"method": methods.get("L-BFGS-B", precondition=False)})
    assert not made


def test_where_it_cannot_be() -> None:
    X, y = related("log_loss")
    method = methods.get("L-BFGS-B", precondition=True)

    @st.loss
    def ours(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w))

    pair = (lambda w, batch: float(w @ w), lambda w, batch: 2 * w)
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        ("log_loss", (X, y), {"penalty": st.L1(0.1)}, r"mixes coefficients, which L1\(alpha=0.1\) keeps apart"),
        ("log_loss", (X, y), {"penalty": st.NonNegative()}, r"mixes coefficients, which NonNegative\(\) keeps apart"),
        ("log_loss", y, {}, "is for losses of st.losses over rows of features"),
        (ours, (X, y), {"x0": np.zeros(D)}, "is for losses of st.losses"),
        (pair, (X, y), {"x0": np.zeros(D)}, "is for losses of st.losses"),
        ("log_loss", (np.zeros((2, 2000)), [0, 1]), {}, "is for less than 2000 columns; there are 2000"),
        ("log_loss", (X * 1e200, y), {}, "needs squares of the rows, which leave the range of float64"),
    ]
    for loss, data, options, words in cases:
        with pytest.raises(ValueError, match=f"L-BFGS-B: precondition=True {words}"):
            st.minimize(loss, data, method=method, **options)
    with pytest.raises(TypeError, match="precondition must be True or False, not 1"):
        methods.get("CG", precondition=1)
