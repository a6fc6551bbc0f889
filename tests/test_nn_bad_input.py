"""What modules and their training refuse, and what they say."""

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import steepest as st
from steepest import nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
Y = RNG.integers(3, size=50)


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


def test_layers_that_do_not_fit_are_both_named() -> None:
    with pytest.raises(ValueError, match=r"0 Linear\(4, 5\) gives 5 numbers, 2 Linear\(6, 3, bias=False\) takes 6"):
        nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(6, 3, bias=False))
    with pytest.raises(ValueError, match=r"0\.1 Linear\(4, 5\) gives 5 numbers, 1\.0 Linear\(4, 2\) takes 4"):
        nn.Sequential(nn.Sequential(nn.ReLU(), nn.Linear(4, 5)), nn.Sequential(nn.Linear(4, 2)))


def test_inputs_that_do_not_fit_name_the_layer() -> None:
    with pytest.raises(ValueError, match=r"Linear\(4, 5\) takes 4 numbers per row, not 3"):
        model()(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"Linear\(4, 5\) takes 4 numbers per row, not 3"):
        nn.fit(model(), "softmax", (X[:, :3], Y))
    with pytest.raises(ValueError, match="not a single number"):
        nn.Linear(4, 5)(1.0)


@pytest.mark.parametrize("outputs", [1, 3, 20])
def test_sparse_rows_are_refused(outputs: int) -> None:
    rows = scipy.sparse.csr_array(X)
    y = np.ones((50, outputs), dtype=np.float32) if outputs > 1 else X[:, 0]
    loss = "multi_squared_error" if outputs > 1 else "mse"
    with pytest.raises(TypeError, match=r"X is sparse: pass X.toarray"):
        nn.fit(nn.Linear(4, outputs), loss, (rows, y), epochs=1)
    with pytest.raises(TypeError, match=r"X is sparse: pass X.toarray"):
        nn.fit(nn.Linear(4, outputs), loss, (X, y), epochs=1, validation=(rows, y))
    assert nn.fit(nn.Linear(4, outputs), loss, (rows.toarray(), y), epochs=1).epochs == 1


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [(0, ValueError, "at least 1, not 0"), (2.5, TypeError, "not 2.5"), (True, TypeError, "whole number")],
)
def test_sizes_are_positive_whole_numbers(size: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"out_features must be .*{message}" if error is ValueError else message):
        nn.Linear(3, size)
    with pytest.raises(error):
        nn.Duplicate(size)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0, float("nan")])
def test_dropout_rates_outside_of_0_to_1(rate: float) -> None:
    with pytest.raises(ValueError, match=r"Dropout: the rate p must lie in \[0, 1\)"):
        nn.Dropout(rate)


def test_dropout_rates_are_numbers() -> None:
    with pytest.raises(TypeError, match=r"Dropout: the rate p must be a number"):
        nn.Dropout("0.5")


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 3] + [0] * 47, ValueError, "the label 3, first in row 2; the model has 3 outputs, for labels 0 to 2"),
        ([0, -1] + [0] * 48, ValueError, "y holds -1, first in row 1"),
        ([0.0, 0.5] + [0.0] * 48, ValueError, "y holds 0.5, first in row 1"),
        ([float("nan")] * 50, ValueError, "y holds NaN, first in row 0"),
        (["a", "b"] * 25, TypeError, "whole numbers from 0"),
        ([[0, 1]] * 50, ValueError, "y must be 1-D"),
        ([0] * 49, ValueError, "50 rows"),
    ],
)
def test_labels_outside_of_the_classes(labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.fit(model(), "cross_entropy", (X, labels))


def test_targets_that_do_not_fit_the_outputs() -> None:
    with pytest.raises(ValueError, match="squared_error takes one output per row; the model gives 3"):
        nn.fit(model(), "squared_error", (X, X[:, 0]))
    with pytest.raises(ValueError, match="for 3 say multi_squared_error"):
        nn.fit(model(), "squared_error", (X, X[:, :3]))
    with pytest.raises(ValueError, match="the model gives 3 outputs, y has 4 columns"):
        nn.fit(model(), "multi_squared_error", (X, X))


def test_fit_in_eval_mode() -> None:
    with pytest.raises(ValueError, match=r"in eval mode: call its train\(\)"):
        nn.fit(model().eval(), "softmax", (X, Y))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": lambda x: x}, TypeError, "fit trains a Module"),
        ({"loss": 3}, TypeError, "loss must be a name"),
        ({"loss": "nothing"}, ValueError, "nothing"),
        ({"data": X}, TypeError, "must be a tuple"),
        ({"data": (X,)}, TypeError, "must be a tuple"),
        ({"x0": [0.0]}, TypeError, "x0 must be the Result"),
        ({"fit_intercept": True}, TypeError, "unexpected keyword argument 'fit_intercept'"),
        ({"learning_rate": 1}, TypeError, "unexpected keyword argument 'learning_rate'"),
        ({"callback": 1}, TypeError, "callback must be callable"),
        ({"method": "nothing"}, ValueError, "unknown method"),
        ({"model": nn.ReLU()}, ValueError, "nothing to train"),
        ({"data": (np.where(np.arange(200) == 7, np.nan, X.ravel()).reshape(50, 4), Y)}, ValueError, "row 1, column 3"),
    ],
)
def test_arguments_of_fit(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"model": model(), "loss": "softmax", "data": (X, Y), "epochs": 1} | change
    with pytest.raises(error, match=message):
        nn.fit(arguments.pop("model"), arguments.pop("loss"), arguments.pop("data"), **arguments)


def test_a_model_that_returns_no_tensor() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            return self.layer(x), x

    with pytest.raises(TypeError, match="must return one tensor"):
        nn.fit(Two(), "softmax", (X, Y))


def test_a_parameter_that_is_not_used() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            return self.used(x)

    with pytest.raises(ValueError, match=r"does not depend on .*idle\.weight"):
        nn.fit(Idle(), "softmax", (X, Y))


def test_modules_wired_wrongly() -> None:
    with pytest.raises(TypeError, match="at position 1 there is"):
        nn.Sequential(nn.ReLU(), st.relu)

    class Late(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first"):
        Late()
    with pytest.raises(TypeError, match="Add takes at least one input"):
        nn.Add()()


def test_initialisations() -> None:
    with pytest.raises(ValueError, match="at least two axes"):
        nn.init.xavier_uniform_(nn.Parameter([1.0]))
    with pytest.raises(ValueError, match="mode must be"):
        nn.init.kaiming_normal_(nn.Linear(2, 2).weight, mode="fan")
    with pytest.raises(ValueError, match="unknown nonlinearity 'gelu'"):
        nn.init.kaiming_normal_(nn.Linear(2, 2).weight, nonlinearity="gelu")
    with pytest.raises(ValueError, match="negative_slope"):
        nn.LeakyReLU(float("inf"))


# --- states ---


def test_a_state_of_another_model() -> None:
    state = model().state_dict()
    with pytest.raises(ValueError, match=r"lacks 0\.bias, 0\.weight, 2\.bias, 2\.weight and has bias, weight"):
        model().load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(ValueError, match=r"2\.bias has shape \(4,\) there, \(3,\) here"):
        model().load_state_dict(state | {"2.bias": np.zeros(4)})
    with pytest.raises(ValueError, match=r"2\.bias in the state holds"):
        model().load_state_dict(state | {"2.bias": np.full(3, np.nan)})


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    ours = model()
    before = ours.state_dict()
    with pytest.raises(ValueError, match="here"):
        ours.load_state_dict({name: array + 1 for name, array in before.items()} | {"2.weight": np.zeros((3, 6))})
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_files_of_other_models_and_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    nn.save(nn.Linear(4, 3), path)
    with pytest.raises(ValueError, match=r"model\.safetensors: the state is of another model"):
        nn.load(model(), path)
    nn.save(model(), path)
    whole = path.read_bytes()
    ours = model()
    before = ours.state_dict()
    for cut in (0, 4, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="is no whole safetensors file"):
            nn.load(ours, path)
    path.write_bytes(struct.pack("<Q", 1 << 60) + whole[8:])
    with pytest.raises(ValueError, match="is no whole safetensors file"):
        nn.load(ours, path)
    for name, array in ours.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(FileNotFoundError):
        nn.load(ours, tmp_path / "missing")


def test_saving_without_the_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[nn\]'"):
        nn.save(model(), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_labels_outside_of_the_classes_under_a_loss_of_ones_own() -> None:
    assert Y[:20].max() == 2
    labels = Y.copy()
    labels[17] = 3
    with pytest.raises(ValueError, match=r"log gave NaN, first in row 17"):
        nn.fit(model(), lambda scores, y: st.cross_entropy(scores, y), (X, labels), batch_size=5, epochs=1, seed=0)
    for label in (3, -1, 0.5, np.nan):
        with pytest.raises(ValueError, match=rf"labels holds {label:g} in row 1; .* 3 classes labels are 0 to 2"):
            st.cross_entropy(np.zeros((2, 3)), [0, label])


def test_going_on_from_another_model() -> None:
    earlier = nn.fit(nn.Linear(4, 3), "softmax", (X, Y), epochs=1, seed=0)
    with pytest.raises(ValueError, match=r"x0 is of another model: 0.weight has no place there, shape \(5, 4\) here"):
        nn.fit(model(), "softmax", (X, Y), x0=earlier)
    with pytest.raises(ValueError, match=r"weight has shape \(3, 4\) there, shape \(6, 4\) here"):
        nn.fit(nn.Linear(4, 6), "softmax", (X, Y), x0=earlier)
    with pytest.raises(ValueError, match=r"no result of nn\.fit"):
        nn.fit(model(), "softmax", (X, Y), x0=st.minimize("softmax", (X, Y), epochs=1, seed=0))


@pytest.mark.parametrize("collect", [list, tuple, lambda parts: dict(enumerate(parts))], ids=["list", "tuple", "dict"])
def test_parts_that_hide_in_a_collection(collect: Any) -> None:
    class Hiding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = collect([nn.Linear(4, 4)])
            self.last = nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            return self.last(self.hidden[0](x))

    with pytest.raises(ValueError, match=r"Hiding holds Linear\(4, 4\) in its hidden, a \w+, where it would not be"):
        nn.fit(Hiding(), "softmax", (X, Y), epochs=1)
    known = Hiding()
    known.part = known.hidden[0]
    assert len(nn.fit(known, "softmax", (X, Y), epochs=1, seed=0).params) == 4


def test_states_in_other_types() -> None:
    parts = model()
    state = parts.state_dict()
    with pytest.raises(ValueError, match=r"0.bias in the state holds values that are no finite numbers in float32"):
        parts.load_state_dict(state | {"0.bias": np.full(5, 1e300)})
    with pytest.raises(TypeError, match="a state maps names to arrays; this is list"):
        parts.load_state_dict([*state.values()])  # type: ignore[arg-type]
    assert all((parts.state_dict()[name] == array).all() for name, array in state.items())


def test_files_in_types_that_numpy_lacks(tmp_path: Path) -> None:
    header = b'{"weight":{"dtype":"BF16","shape":[1,1],"data_offsets":[0,2]}}'
    (tmp_path / "half").write_bytes(struct.pack("<Q", len(header)) + header + b"\x80\x3f")
    with pytest.raises(ValueError, match=r"half holds numbers of the type 'BF16', .* save them as float32"):
        nn.load(nn.Linear(1, 1, bias=False), tmp_path / "half")


def test_nan_goes_through_relu() -> None:
    assert np.isnan(st.relu(np.nan).item())
    at = X.copy()
    at[9, 2] = np.nan
    with pytest.raises(ValueError, match=r"data 0 holds NaN, first in row 9, column 2, in batch \d of epoch 0"):
        nn.fit(model(), "softmax", (at, Y), batch_size=10, epochs=2, seed=0, check_finite=False)


def test_gradients_that_are_nan_behind_a_finite_loss() -> None:
    class Trap(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x: Any) -> Any:
            hidden = self.first(x)
            return self.last(st.where(hidden > 0, st.sqrt(hidden), 0.0))

    trap = Trap()
    before = trap.state_dict()
    with pytest.warns(st.ConvergenceWarning, match="a gradient in epoch 0 left parameters that are no finite numbers"):
        result = nn.fit(trap, "softmax", (X, Y), batch_size=10, epochs=3, seed=0)
    assert not result.success
    assert result.epochs == 1
    assert all((trap.state_dict()[name] == array).all() for name, array in before.items())
