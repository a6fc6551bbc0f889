"""Fashion-MNIST's loader, on small files of the same format."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import members
import steepest as st
from steepest import _fashion


def write(place: Path, compressed: bool = True, rows: tuple[int, int] = (50, 20)) -> dict[str, np.ndarray]:
    """Write four files; return what they hold."""
    source = members.random("fashion", rows)
    arrays = {}
    for part, n in zip(("train", "test"), rows, strict=True):
        arrays[f"X_{part}"] = source.integers(0, 256, size=(n, 4, 3), dtype=np.uint8)
        arrays[f"y_{part}"] = source.permutation(np.arange(n) % 10).astype(np.uint8)
    members.vary(*arrays.values())
    for name, array in arrays.items():
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
        content = header + array.tobytes()
        file = place / (_fashion.FILES[name] + ".gz" * compressed)
        file.write_bytes(gzip.compress(content) if compressed else content)
    return arrays


@pytest.mark.parametrize("compressed", [True, False])
def test_files_are_read(tmp_path: Path, compressed: bool) -> None:
    written = write(tmp_path, compressed)
    found = st.data.fashion_mnist(str(tmp_path))
    assert set(found) == set(written)
    for name, array in written.items():
        expected = array.reshape(len(array), -1) if name.startswith("X") else array
        assert found[name].dtype == np.uint8
        assert np.array_equal(found[name], expected)
        with pytest.raises(ValueError, match="read-only"):
            found[name][0] = 1
    result = st.minimize("softmax", (st.data.scaled(found["X_train"], 1 / 255), found["y_train"]), epochs=2)
    assert result.coef.shape == (10, 12)


def test_missing_files_name_the_package(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"no t10k-labels-idx1-ubyte.gz in .*install dataset-fashion-mnist"):
        st.data.fashion_mnist(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no IDX file"),
        (b"\x00\x00\x08", "no IDX file"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x02ab", "no IDX file of unsigned bytes"),
        (b"\x00\x00\x08\x03\x00\x00\x00\x02", "no IDX file"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abc", "announces 5 bytes and holds 3"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x03abc", "pictures and as many labels are needed"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, words: str) -> None:
    write(tmp_path, compressed=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        st.data.fashion_mnist(tmp_path)


def test_broken_compression(tmp_path: Path) -> None:
    write(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    for content in (file.read_bytes()[:60], b"plain"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be unpacked"):
            st.data.fashion_mnist(tmp_path)
