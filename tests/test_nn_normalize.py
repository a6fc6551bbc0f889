"""A network's first layer that normalises columns: what `normalize=` is for linear scores (C4)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import members
import steepest as st
from steepest import nn
from tolerances import DTYPES, tolerances

UNITS = np.array([1e-3, 1.0, 50.0, 1e4])


def rows(source: np.random.Generator, n: int = 300) -> np.ndarray[Any, np.dtype[Any]]:
    return source.normal(3.0, 1.0, size=(n, len(UNITS))) * UNITS


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("normalize", [True, "scale", 0.5])
@pytest.mark.parametrize("groups", [None, [[0, 2], [1, 3]]])
def test_it_trains_as_normalize_does_for_linear_scores(dtype: Any, normalize: Any, groups: Any) -> None:
    source = members.random(str(dtype), str(normalize), str(groups))
    X = rows(source).astype(dtype)
    y = (X[:, 1] > 3).astype(int) + (X[:, 2] > 150)
    members.vary(X, y)
    layer = nn.Linear(4, 3, dtype=dtype)
    with st.no_grad():
        layer.weight.copy_(np.zeros((3, 4), dtype))
    model = nn.Sequential(nn.Normalize.of(X, normalize=normalize, groups=groups), layer)
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.02, "batch_size": 30, "epochs": 3, "seed": 1}
    nn.fit(model, "softmax", (X, y), **options)
    expected = st.minimize(
        "softmax", (X, y), fit_intercept=True, normalize=normalize, groups=groups, **options
    ).predict(X)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(model(X).numpy(), expected, atol=100 * tolerances(dtype).runs)


def test_it_is_saved_with_the_model_and_left_alone_by_training(tmp_path: Path) -> None:
    source = members.random()
    X = rows(source)
    y = (X[:, 0] > 3e-3).astype(int)

    def model(of: Any) -> nn.Sequential:
        return nn.Sequential(
            nn.Normalize.of(of), nn.Linear(4, 8, dtype=np.float64), nn.Tanh(), nn.Linear(8, 2, dtype=np.float64)
        )

    trained, other = model(X), model(X * 2)
    before = trained.state_dict()["0.mean"].copy()
    result = nn.fit(trained, "cross_entropy", (X, y), batch_size=16, epochs=20, step_size=0.02, seed=0)
    np.testing.assert_array_equal(trained.state_dict()["0.mean"], before)
    assert not any(name.startswith("0.") for name in result.params)
    assert (trained(X).numpy().argmax(axis=1) == y).mean() > 0.9
    nn.save(trained, tmp_path / "model.safetensors")
    nn.load(other, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other(X).numpy(), trained(X).numpy())


def test_weights_count_and_columns_of_one_value_are_centred_only() -> None:
    source = members.random()
    X = rows(source, 20)
    X[:, 3] = 7.0
    weight = source.integers(0, 3, size=20)
    layer = nn.Normalize.of(X, sample_weight=weight)
    np.testing.assert_allclose(layer.mean.numpy(), np.repeat(X, weight, axis=0).mean(axis=0))
    np.testing.assert_allclose(layer.deviation.numpy()[:3], np.repeat(X, weight, axis=0).std(axis=0)[:3])
    assert layer.deviation.numpy()[3] == 1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: nn.Normalize([1.0], [1.0, 2.0]), r"one number per column, not the shapes \(1,\) and \(2,\)"),
        (lambda: nn.Normalize([1.0], [0.0]), "deviations positive and finite"),
        (lambda: nn.Normalize([np.nan], [1.0]), "means must be finite"),
        (lambda: nn.Normalize([0.0], [1e-300]), "in float32; column 0 has mean 0 and deviation 1e-300"),
        (lambda: nn.Normalize([0.0, 0.0], [1.0, 1e-40]), "column 1 has mean 0 and deviation 1e-40"),
        (lambda: nn.Normalize([1.0, 1e300], [1.0, 1.0]), r"column 1 has mean 1e\+300 and deviation 1"),
        (lambda: nn.Normalize([0.0], [1e300]), r"deviation 1e\+300"),
        (lambda: nn.Normalize([0.0], [1e-310], "float64"), "in float64; column 0 has mean 0 and deviation 1e-310"),
        (lambda: nn.Normalize.of(np.eye(3), normalize=False), "leave the layer out"),
        (lambda: nn.Normalize.of(np.eye(3), normalize=np.False_), "leave the layer out"),
        (lambda: nn.Normalize.of(np.array([[1.0], [np.nan]])), "NaN"),
    ],
)
def test_bad_input(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("weight", [[1.0, -2.0, 3.0], [0.0] * 3, [1.0, np.nan, 1.0], [1.0, np.inf, 1.0], [1.0, 2.0]])
def test_weights_are_refused_as_minimize_does(weight: list[float], dtype: Any) -> None:
    X = np.arange(6.0, dtype=dtype).reshape(3, 2) ** 2
    members.vary(X)
    with pytest.raises(ValueError, match=r"^sample_weight ") as expected:
        st.minimize("mse", (X, X[:, 0]), sample_weight=weight, normalize=True)
    with pytest.raises(ValueError, match=r"^sample_weight ") as found:
        nn.Normalize.of(X, sample_weight=weight)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("normalize", [True, "scale"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nearly_constant_columns_are_centred_only(dtype: Any, normalize: Any) -> None:
    least = float(np.finfo(dtype).smallest_subnormal)
    alternating = np.arange(40) % 2
    X = np.column_stack([1 + np.finfo(dtype).eps * alternating, least * (3 + 2 * alternating), alternating])
    X = X.astype(dtype)
    assert (np.ptp(X, axis=0) > 0).all()
    layer = nn.Normalize.of(X, normalize=normalize)
    assert layer.deviation.tolist() == [1.0, 1.0, 0.5]
    assert np.isfinite(layer(X).numpy()).all()
    assert np.ptp(layer(X).numpy()[:, 2]) == 2


def test_the_largest_and_smallest_numbers_that_can_be_divided_by() -> None:
    for dtype, small, large in ((np.float32, 1e-38, 1e38), (np.float64, 1e-307, 1e307)):
        layer = nn.Normalize([0.0, large], [small, large], dtype)
        np.testing.assert_allclose(layer(np.array([[small, -large]], dtype)).numpy(), [[1.0, -2.0]], rtol=1e-5)


def test_sparse_rows_are_refused() -> None:
    from scipy.sparse import csr_array

    with pytest.raises(TypeError, match="sparse"):
        nn.Normalize.of(csr_array(np.eye(3)))


def test_normalize_in_fit_names_the_layer() -> None:
    X, y = np.ones((4, 2)), np.arange(4) % 2
    with pytest.raises(ValueError, match=r"nn\.Normalize"):
        nn.fit(nn.Linear(2, 2, dtype=np.float64), "softmax", (X, y), normalize=True)
