"""Which coefficients belong together: groups as users give them, and as the core reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NAMES = ("rows", "columns")


class Groups(NamedTuple):
    """Checked groups.

    A name, or for each feature or coefficient the position of its group, -1 for none; `largest` is the largest index
    that a list of lists named.
    """

    given: Any
    labels: NDArray[np.int64] | None = None
    largest: int = -1

    @property
    def key(self) -> Any:
        """What makes groups the same."""
        return self.given if self.labels is None else (self.labels.shape, self.labels.tobytes())


def check_groups(owner: str, given: Any) -> Groups:
    """Check groups apart from the coefficients they are to fit."""
    if isinstance(given, str):
        if given not in NAMES:
            raise ValueError(f'{owner}: groups must be "rows", "columns", an index array or lists, not {given!r}')
        return Groups(given)
    if (
        isinstance(given, (list, tuple))
        and given
        and all(isinstance(part, (list, tuple, np.ndarray)) for part in given)
    ):
        return _from_lists(owner, given)
    array = np.asarray(given)
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2) or not array.size:
        raise TypeError(
            f"{owner}: groups must be the group of each feature, whole numbers of shape (d,) or (K, d), or lists of "
            f"features, not {given!r:.60}"
        )
    if array.min() < -1:
        raise ValueError(f"{owner}: groups are numbered from 0, and -1 stands for none; there is {array.min()}")
    labels = array.astype(np.int64)
    labels.setflags(write=False)
    return Groups(labels, labels)


def _from_lists(owner: str, given: Sequence[Any]) -> Groups:
    """Return the groups that lists of features make; features in none are left alone."""
    found: dict[int, int] = {}
    for group, part in enumerate(given):
        members = np.asarray(part)
        if members.size == 0:
            raise ValueError(f"{owner}: group {group} is empty")
        if members.ndim != 1 or members.dtype.kind not in "iu":
            raise TypeError(f"{owner}: group {group} must be a list of whole numbers, not {part!r:.60}")
        for feature in members.tolist():
            if feature < 0:
                raise ValueError(f"{owner}: group {group} names feature {feature}; features are numbered from 0")
            if feature in found:
                raise ValueError(
                    f"{owner}: groups must not overlap; feature {feature} is in group {found[feature]} and in group "
                    f"{group}"
                )
            found[feature] = group
    labels = np.full(max(found) + 1, -1, dtype=np.int64)
    labels[list(found)] = list(found.values())
    labels.setflags(write=False)
    return Groups([list(map(int, part)) for part in given], labels, max(found))


def groups_of(groups: Groups, owner: str, shape: tuple[int, ...]) -> tuple[list[int], NDArray[np.int64]]:
    """Return where each group begins, and the coefficients group by group, for coefficients of a shape."""
    features = shape[-1]
    scores = shape[0] if len(shape) == 2 else 1
    if groups.labels is None:
        each = np.arange(scores)[:, None] if groups.given == "rows" else np.arange(features)[None, :]
        labels = np.broadcast_to(each, (scores, features))
    elif groups.largest >= 0:
        if groups.largest >= features:
            raise ValueError(f"{owner}: groups name feature {groups.largest}; there are {features}, from 0")
        padded = np.full(features, -1, dtype=np.int64)
        padded[: groups.labels.size] = groups.labels
        labels = np.broadcast_to(padded, (scores, features))
    else:
        if groups.labels.shape not in (shape, (features,)):
            expected = " or ".join(str(s) for s in dict.fromkeys(((features,), shape)))
            raise ValueError(f"{owner}: groups has shape {groups.labels.shape}; these coefficients take {expected}")
        labels = np.broadcast_to(groups.labels, (scores, features))
    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[flat[order] >= 0]
    sizes = np.bincount(flat[order]) if order.size else np.zeros(0, dtype=np.int64)
    return [0, *np.cumsum(sizes).tolist()], order.astype(np.int64)
