"""Compiled functions, pictures of graphs, and traced losses in the rooms beside minimize."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.optimize

import steepest as st


def rosenbrock(x: Any) -> Any:
    return st.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_compiled_functions_serve_scipy() -> None:
    start = np.array([-1.2, 1.0, 0.7, -0.4])
    compiled = st.compile(rosenbrock)
    found = scipy.optimize.minimize(compiled, start, jac=True, method="BFGS")
    np.testing.assert_allclose(found.x, np.ones(4), rtol=1e-5)
    value, gradient = compiled.value_and_gradient(start)
    assert value == pytest.approx(scipy.optimize.rosen(start), rel=1e-14)
    np.testing.assert_allclose(gradient, scipy.optimize.rosen_der(start), rtol=1e-13)
    assert compiled.value(start) == value
    np.testing.assert_array_equal(compiled.gradient(start), gradient)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_compiled_functions_keep_shape_and_dtype(shape: tuple[int, ...], dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    value, gradient = st.compile(lambda x: st.sum(st.sin(x) * x))(x)
    assert gradient.shape == shape
    assert gradient.dtype == dtype
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(gradient, np.cos(x) * x + np.sin(x), rtol=tolerance, atol=tolerance)
    assert value == pytest.approx(float(np.sum(np.sin(x) * x)), rel=tolerance)


def test_compiled_functions_are_traced_once_for_a_shape() -> None:
    calls = []

    def counted(x: Any) -> Any:
        calls.append(x.shape)
        return st.sum(x * x)

    compiled = st.compile(counted)
    for _ in range(3):
        for n in (2, 3):
            compiled(np.arange(n))
    assert calls == [(2,), (3,)]


def test_compiled_gradients_contain_gradients() -> None:
    def penalised(x: Any) -> Any:
        f = st.sum(x**3)
        (g,) = st.grad(f, x, create_graph=True)
        return f + st.sum(g**2)

    x = np.array([0.5, -1.0])
    value, gradient = st.compile(penalised)(x)
    assert value == pytest.approx((x**3).sum() + (9 * x**4).sum())
    np.testing.assert_allclose(gradient, 3 * x**2 + 36 * x**3)


def test_what_cannot_be_compiled_is_named() -> None:
    with pytest.raises(ValueError, match=r"one number must be returned; the shape is \(3,\)"):
        st.compile(lambda x: x * 2)(np.ones(3))
    with pytest.raises(TypeError, match="takes a function"):
        st.compile(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"where"):
        st.compile(lambda x: x if x > 0 else -x)(1.0)
    with pytest.raises(FloatingPointError, match="log gave NaN"):
        st.compile(lambda x: st.sum(st.log(x)))([1.0, -1.0])
    with pytest.raises(ValueError, match=r"(?s)\(3,\) and \(2,\) do not broadcast.*x \+ np"):
        st.compile(lambda x: x + np.ones(2))(np.ones(3))


def test_anomalies_name_their_operation() -> None:
    x = st.tensor([0.0, 4.0], requires_grad=True)
    with st.detect_anomaly():
        f = st.sum(st.sqrt(x))
        assert f.item() == 2.0
        with pytest.raises(FloatingPointError, match="sqrt gave NaN"):
            st.sqrt(x - 1.0)
        y = st.tensor(0.0, requires_grad=True)
        g = st.exp(y * 1000.0) * st.sqrt(y)
        with pytest.raises(FloatingPointError, match="divide gave NaN"):
            (g * 0.0).backward()
    assert np.isnan(st.sqrt(st.tensor(-1.0)).item())


# --- pictures ---


def example() -> tuple[Any, Any, Any]:
    x, y = st.tensor(2.0, requires_grad=True), st.tensor(5.0, requires_grad=True)
    return (st.log(x) + x * y) - st.sin(y), x, y


def test_b2_the_graph_shows_values_and_gradients_on_its_nodes() -> None:
    f, x, y = example()
    graph = st.graph(f, x=x, y=y)
    assert len(graph) == 7
    by_label = {node.label: node for node in graph.nodes}
    assert set(by_label) == {"x", "y", "log", "×", "+", "sin", "−"}
    assert by_label["x"].gradient.item() == pytest.approx(5.5)
    assert by_label["y"].gradient.item() == pytest.approx(1.7163, abs=5e-5)
    assert by_label["×"].value.item() == 10.0
    for place, node in enumerate(graph.nodes):
        assert all(origin < place for origin in node.inputs)
    assert graph.nodes[-1].gradient.item() == 1.0
    assert x.grad is None


def test_dot_text_has_every_node_and_edge() -> None:
    f, x, y = example()
    text = st.graph(f, x=x, y=y).dot()
    assert text.startswith("digraph {")
    assert text.endswith("}")
    assert text.count("->") == 8
    assert text.count("label=") == 7
    assert r"x\nvalue 2\ngradient 5.5" in text
    assert r"y\nvalue 5\ngradient 1.716" in text
    quoted = st.graph(f, **{'a "name"': x}).dot()
    assert r"a \"name\"" in quoted


def test_the_picture_has_a_box_for_every_node() -> None:
    f, x, y = example()
    figure, ax = plt.subplots()
    assert st.graph(f, x=x, y=y).draw(ax) is ax
    figure.canvas.draw()
    boxes = [text for text in ax.texts if text.get_text()]
    assert len(boxes) == 7
    assert len({text.get_position() for text in boxes}) == 7
    assert len(ax.texts) - len(boxes) == 8
    plt.close(figure)
    assert st.graph(st.tensor(1.0)).draw() is not None
    vector = st.tensor([1.0, 2.0], requires_grad=True)
    assert "of shape (2,)" in st.graph(st.sum(vector)).draw().texts[-2].get_text()


# --- traced losses elsewhere ---


@st.loss
def squared(w: Any, x: Any, y: Any) -> Any:
    return (x @ w - y) ** 2


def regression() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    return X, X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=60)


def test_objectives_take_traced_losses() -> None:
    data, weight = regression(), np.random.default_rng(1).exponential(size=60)
    ours = st.Objective(squared, data, st.L2(0.3), sample_weight=weight)
    theirs = st.Objective("mse", data, st.L2(0.3), sample_weight=weight)
    points = np.random.default_rng(2).normal(size=(4, 3))
    np.testing.assert_allclose(ours.values(points), theirs.values(points), rtol=1e-12)
    np.testing.assert_allclose(ours.gradient(points[0]), theirs.gradient(points[0]), rtol=1e-11)
    with pytest.raises(ValueError, match="curvature"):
        ours.smoothness()


def test_searches_and_the_convexity_check_take_traced_losses() -> None:
    data = regression()
    for options in ({"n": 50, "scale": 2.0, "seed": 3}, {"n": 50, "scale": 2.0, "seed": 4}):
        ours, theirs = st.search.random(squared, data, **options), st.search.random("mse", data, **options)
        np.testing.assert_allclose(ours.x, theirs.x)
        assert ours.fun == pytest.approx(theirs.fun, rel=1e-12)
    assert st.is_convex(squared, data, bounds=(-2, 2), seed=0)
    wavy = st.loss(lambda w, x, y: st.sin(3 * (x @ w)) + (x @ w - y) ** 2 * 0.01)
    assert not st.is_convex(wavy, data, bounds=(-2, 2), seed=0)
