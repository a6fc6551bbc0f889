"""Eager tensors: the sources' programs, backpropagation, and what goes wrong with a clear answer."""

import contextlib
import copy
import gc
import io
import math
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest import _core

PROGRAM_1 = """
import steepest as torch
# initialize random weight and params
W = torch.tensor(0.0, requires_grad=True)
learning_rate = 0.1

for epoch in range (100):
    # Forward
    loss = W**2-4*W+8

    # backward - calculate grads
    loss.backward()

    # optimize wights
    with torch.no_grad():
        W -= learning_rate * W.grad

    if epoch % 10 == 0:
        print(f"epoch= {epoch} W= {W.item():.3f} model={loss:.3f}")

    # zero wights
    W.grad.zero_()

print(f"End W= {W.item():.3f} model={loss:.3f} ")
"""

PROGRAM_2 = """
import steepest as torch
# initialize random weight and params
W = torch.tensor(0.0, requires_grad=True)
learning_rate = 0.1
# init optimizer
optimizer = torch.optim.SGD([W], lr=learning_rate)

for epoch in range (100):
    # Forward
    loss = W**2-4*W+8

    # backward - calculate grads
    loss.backward()

    # optimize wights
    optimizer.step()

    if epoch % 10 == 0:
        print(f"epoch= {epoch} W= {W.item():.3f} model={loss:.3f} grad= {W.grad:.3f}")

    # zero wights
    optimizer.zero_grad()

print(f"End W= {W.item():.3f} model={loss:.3f} ")
"""

# What the source prints: W, loss and gradient at every tenth epoch.
PRINTED = [
    ("0.400", "8.000", "-4.000"),
    ("1.828", "4.046", "-0.429"),
    ("1.982", "4.001", "-0.046"),
    ("1.998", "4.000", "-0.005"),
    ("2.000", "4.000", "-0.001"),
    *[("2.000", "4.000", "-0.000")] * 5,
]


def run(program: str) -> list[str]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    return printed.getvalue().splitlines()


def test_e1_the_first_program_prints_the_sources_numbers() -> None:
    lines = [f"epoch= {10 * i} W= {w} model={loss}" for i, (w, loss, _) in enumerate(PRINTED)]
    assert run(PROGRAM_1) == [*lines, "End W= 2.000 model=4.000 "]


def test_e2_the_program_with_an_optimizer_prints_the_same() -> None:
    lines = [f"epoch= {10 * i} W= {w} model={loss} grad= {grad}" for i, (w, loss, grad) in enumerate(PRINTED)]
    assert run(PROGRAM_2) == [*lines, "End W= 2.000 model=4.000 "]


@pytest.mark.parametrize(
    ("start", "end", "loss"),
    [(0.0, 0.60725202, -1.38274913), (2.0, 0.60725202, -1.38274913), (-4.0, -2.32634546, -6.91409679)],
)
def test_e3_the_start_decides_which_minimum(start: float, end: float, loss: float) -> None:
    w = st.tensor(start, requires_grad=True)
    optimizer = st.optim.SGD([w], lr=0.01)
    for _ in range(1000):
        value = w**4 + 3 * w**3 - w**2 - 3 * w
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert w.item() == pytest.approx(end, abs=5e-9)
    assert (w**4 + 3 * w**3 - w**2 - 3 * w).item() == pytest.approx(loss, abs=5e-9)


def test_b2_the_lectures_example() -> None:
    x, y = st.tensor(2.0, requires_grad=True), st.tensor(5.0, requires_grad=True)
    f = (st.log(x) + x * y) - st.sin(y)
    assert f.item() == pytest.approx(math.log(2) + 10 - math.sin(5))
    f.backward()
    assert x.grad.item() == pytest.approx(5.5, rel=1e-15)
    assert y.grad.item() == pytest.approx(2 - math.cos(5), rel=1e-15)
    assert f"{y.grad:.4f}" == "1.7163"


def test_b2_a_node_used_twice_sums_its_gradients() -> None:
    x = st.tensor(3.0, requires_grad=True)
    a = x * x
    (a * a + a).backward()
    assert x.grad.item() == 4 * 3.0**3 + 2 * 3.0


def test_b2_the_cost_is_linear_where_the_symbolic_derivative_explodes() -> None:
    # f <- f (1 + sin(f) / 2): every step doubles the terms of the derivative written out.
    x = st.tensor(0.3, requires_grad=True)
    f, value, slope = x, 0.3, 1.0
    for _ in range(200):
        slope *= 1 + math.sin(value) / 2 + value * math.cos(value) / 2
        value *= 1 + math.sin(value) / 2
        f = f * (1 + st.sin(f) / 2)
    before = _core.live_nodes()
    (g,) = st.grad(f, x, create_graph=True)
    assert _core.live_nodes() - before < 200 * 20
    assert f.item() == pytest.approx(value, rel=1e-9)
    assert g.item() == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("length", [100_000, 1_000_000])
def test_long_chains_need_no_stack(length: int) -> None:
    x = st.tensor(1.0, requires_grad=True)
    f = x
    for _ in range(length):
        f = f * 1.0000001
    f.backward(retain_graph=True)
    assert x.grad.item() == pytest.approx(1.0000001**length, rel=1e-9)
    before = _core.live_nodes()
    del f
    assert before - _core.live_nodes() >= length


def repeat(v: Any, size: float) -> tuple[Any, int]:
    """Square or double until large: how often depends on the data."""
    f, steps = abs(v).sum(), 0
    while float(f) < size:
        f = f * f + 1 if float(f) > 2 else f * 2
        steps += 1
    return f, steps


def test_c9_graphs_may_depend_on_the_data() -> None:
    rng = np.random.default_rng(3)
    lengths = set()
    for size in (10.0, 1e3, 1e9):
        w = st.tensor(rng.normal(size=4), requires_grad=True)
        f, steps = repeat(w, size)
        lengths.add(steps)
        f.backward()
        check = st.gradients.numerical_gradient(lambda v, size=size: float(repeat(v, size)[0]), w.numpy())
        np.testing.assert_allclose(w.grad.numpy(), check, rtol=1e-6)
    assert len(lengths) > 1


def test_c9_a_graph_that_is_no_stack() -> None:
    x = st.tensor([1.0, 2.0], requires_grad=True)
    left, right = st.exp(x[0] * x[1]), st.tanh(x[0] - x[1])
    st.logsumexp(st.stack([left, right, left * right])).backward()

    def plain(v: NDArray[Any]) -> float:
        a, b = np.exp(v[0] * v[1]), np.tanh(v[0] - v[1])
        return float(np.logaddexp.reduce([a, b, a * b]))

    np.testing.assert_allclose(x.grad.numpy(), st.gradients.numerical_gradient(plain, x.numpy()), rtol=1e-7)


def test_second_derivatives_and_hessian_vector_products() -> None:
    rng = np.random.default_rng(0)
    A, point, v = rng.normal(size=(4, 4)), rng.normal(size=4), rng.normal(size=4)
    x = st.tensor(point, requires_grad=True)
    f = st.sum(st.sin(A @ x)) + (x @ x) ** 2
    (g,) = st.grad(f, x, create_graph=True)
    (product,) = st.grad(st.dot(g, v), x)
    hessian = -A.T @ np.diag(np.sin(A @ point)) @ A + 4 * point @ point * np.eye(4) + 8 * np.outer(point, point)
    np.testing.assert_allclose(product.numpy(), hessian @ v, rtol=1e-12)


def test_backward_adds_to_the_gradient_and_create_graph_keeps_it_differentiable() -> None:
    x = st.tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert first.item() == 12.0
    x.grad = None
    first.backward()
    assert x.grad.item() == 12.0
    (x * 5).backward()
    assert x.grad.item() == 17.0


def test_the_gradient_is_one_object_that_is_changed_in_place() -> None:
    x = st.tensor([1.0, 2.0], requires_grad=True)
    st.sum(x * x).backward()
    held = x.grad
    held.zero_()
    assert x.grad is held
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0])
    st.sum(x * x).backward()
    np.testing.assert_array_equal(held.numpy(), [2, 4])


def test_variables_that_receive_the_same_gradient_do_not_share_it() -> None:
    a, b = st.tensor([1.0, 2.0], requires_grad=True), st.tensor([3.0, 4.0], requires_grad=True)
    st.sum(a + b).backward()
    a.grad.zero_()
    np.testing.assert_array_equal(b.grad.numpy(), [1, 1])


def test_grad_computes_only_what_is_asked_for() -> None:
    x, y = st.tensor(2.0, requires_grad=True), st.tensor(3.0, requires_grad=True)
    (dx,) = st.grad(x * y, x)
    assert dx.item() == 3.0
    assert x.grad is None
    assert y.grad is None


# --- NumPy ----------------------------------------------------------------------------------------


def test_arrays_are_read_only_snapshots() -> None:
    x = st.tensor([1.0, 2.0, 3.0])
    array = np.asarray(x)
    assert array.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 5
    x += 1
    np.testing.assert_array_equal(array, [1, 2, 3])
    np.testing.assert_array_equal(x.numpy(), [2, 3, 4])


def test_ufuncs_and_functions_of_numpy_dispatch_or_refuse() -> None:
    x, y = st.tensor([1.0, 2.0], requires_grad=True), np.array([2.0, 3.0])
    for result in (np.exp(x), np.multiply(y, x), y * x, y @ x, np.sum(x), np.mean(x, axis=0), np.where(y > 2, x, 0.0)):
        assert isinstance(result, st.Tensor)
        assert result.requires_grad
    with pytest.raises(TypeError, match=r"np\.arctan does not know tensors"):
        np.arctan(x)
    with pytest.raises(TypeError, match=r"np\.median does not know tensors"):
        np.median(x)
    with pytest.raises(TypeError, match=r"np\.add"):
        np.add.reduce(x)


def test_tensors_become_numbers_and_text() -> None:
    x = st.tensor(1.5, requires_grad=True)
    assert (float(x), int(x), x.item(), bool(x), f"{x:.2f}") == (1.5, 1, 1.5, True, "1.50")
    assert repr(x) == "tensor(1.5, requires_grad=True)"
    assert repr(st.tensor([1.0, 2.0], dtype=np.float32)) == "tensor([1., 2.], dtype=float32)"
    assert [float(item) for item in st.tensor([1.0, 2.0])] == [1.0, 2.0]
    assert st.tensor([[1.0, 2.0]]).shape == (1, 2)
    with pytest.raises(TypeError, match="format"):
        format(st.tensor([1.0, 2.0]), ".2f")
    with pytest.raises(ValueError, match="one number"):
        bool(st.tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="no length"):
        len(x)


def test_leaves_are_copied_and_pickled() -> None:
    x = st.tensor([1.0, 2.0], dtype=np.float32, requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.requires_grad
        assert twin.dtype == np.float32
        np.testing.assert_array_equal(twin.numpy(), x.numpy())
    with pytest.raises(TypeError, match="detach"):
        copy.deepcopy(x * 2)


# --- bad input ------------------------------------------------------------------------------------


def test_shapes_that_do_not_fit_are_named() -> None:
    a, b = st.tensor(np.ones((2, 3))), st.tensor(np.ones(4))
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(4,\) do not broadcast"):
        a + b
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(4,\): 3 columns meet 4 rows"):
        a @ b
    with pytest.raises(ValueError, match=r"\(2, 3\) cannot become \(4,\)"):
        a.reshape(4)
    with pytest.raises(ValueError, match="in place"):
        b += np.ones((2, 4))
    with pytest.raises(IndexError, match="too many indices"):
        b[0, 0]
    with pytest.raises(IndexError, match="out of bounds"):
        b[4]
    with pytest.raises(IndexError, match="out of bounds"):
        b[[1, 4]]
    with pytest.raises(ValueError, match="axis 2"):
        a.sum(axis=2)


def test_dtypes_do_not_mix() -> None:
    wide, narrow = st.tensor([1.0, 2.0]), st.tensor([1.0, 2.0], dtype=np.float32)
    with pytest.raises(TypeError, match="float32 and float64"):
        wide + narrow
    with pytest.raises(TypeError, match="float64"):
        narrow * np.ones(2)
    assert (narrow * 2.0 + np.array([1, 2])).dtype == np.float32
    assert (wide + narrow.astype(np.float64)).dtype == np.float64
    for wrong in (1j, "one", [object()]):
        with pytest.raises(TypeError, match="real numbers"):
            st.tensor(wrong)
    with pytest.raises(TypeError, match="float64 or float32"):
        st.tensor(1.0, dtype=np.int64)
    with pytest.raises(TypeError):
        wide + "one"


def test_backward_needs_one_number_or_a_seed() -> None:
    x = st.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"shape is \(2,\)"):
        (x * x).backward()
    (x * x).backward(np.array([1.0, 10.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [2, 40])
    with pytest.raises(ValueError, match="to start from"):
        (x * x).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="requires a gradient"):
        st.tensor(1.0).backward()


def test_backward_twice_is_refused_unless_asked_for() -> None:
    x = st.tensor(2.0, requires_grad=True)
    f = x * x * x
    f.backward(retain_graph=True)
    f.backward()
    assert x.grad.item() == 24.0
    with pytest.raises(RuntimeError, match="retain_graph"):
        f.backward()


def test_a_value_that_the_graph_needs_cannot_change_meanwhile() -> None:
    x = st.tensor(2.0, requires_grad=True)
    f, g = x * x, 3 * x
    with st.no_grad():
        x += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        f.backward()
    g.backward()
    assert x.grad.item() == 3.0
    with pytest.raises(RuntimeError, match="no_grad"):
        x -= 1
    y = x * 2
    y += 1
    y.backward()
    assert x.grad.item() == 5.0


def test_items_are_set_in_place_under_no_grad() -> None:
    x = st.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with st.no_grad():
        x[1:] = 0
        x[0] -= 5
    np.testing.assert_array_equal(x.numpy(), [-4, 0, 0])
    assert x.requires_grad
    assert x.is_leaf
    st.sum(x * x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), [-8, 0, 0])


def test_inputs_of_grad_must_be_used_and_require_a_gradient() -> None:
    x, y = st.tensor(1.0, requires_grad=True), st.tensor(1.0, requires_grad=True)
    with pytest.raises(RuntimeError, match="does not depend on input 1"):
        st.grad(x * 2, (x, y))
    assert st.grad(x * 2, (x, y), allow_unused=True)[1] is None
    with pytest.raises(RuntimeError, match="does not require"):
        st.grad(x * 2, st.tensor(1.0))


def test_optimizers_step_leaves() -> None:
    with pytest.raises(ValueError, match="lr"):
        st.optim.SGD([st.tensor(1.0, requires_grad=True)])
    with pytest.raises(ValueError, match="require a gradient"):
        st.optim.SGD([st.tensor(1.0)], lr=0.1)
    with pytest.raises(TypeError, match="steps tensors"):
        st.optim.SGD([np.ones(2)], lr=0.1)
    with pytest.raises(ValueError, match="no tensors"):
        st.optim.SGD([], lr=0.1)


# --- life and death -------------------------------------------------------------------------------


def test_graphs_live_as_long_as_somebody_needs_them() -> None:
    x = st.tensor([1.0, 2.0], requires_grad=True)
    y = st.exp(x)
    f = st.sum(y * y)
    del y
    gc.collect()
    f.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(2 * np.array([1.0, 2.0])))
    g = st.sum(x * 3)
    del x
    gc.collect()
    g.backward()


def test_a_gradient_that_holds_its_graph_makes_no_cycle() -> None:
    gc.collect()
    before = _core.live_nodes()
    for power in (2, 3, 4):
        x = st.tensor(np.arange(10.0), requires_grad=True)
        st.sum(x**power).backward(create_graph=True)
        st.sum(x.grad * x).backward()
    del x
    assert _core.live_nodes() == before


def test_threads_have_their_own_graphs_and_their_own_no_grad() -> None:
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            barrier.wait()
            for _ in range(200):
                value = rng.normal()
                x = st.tensor(value, requires_grad=True)
                with st.no_grad() if seed % 2 else contextlib.nullcontext():
                    assert (x * 2).requires_grad != bool(seed % 2)
                (st.sin(x) * x).backward()
                assert x.grad.item() == pytest.approx(math.sin(value) + value * math.cos(value), rel=1e-12)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
