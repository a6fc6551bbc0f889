"""Computation graphs to look at: values flow forward, gradients back (B2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from steepest import _core
from steepest._extras import require

_SYMBOLS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "negative": "−", "matmul": "@"}
_COLOURS = {"input": "#cfe8cf", "constant": "#eeeeee", "operation": "#cfdcf0", "end": "#f5d9b8"}


class GraphNode(NamedTuple):
    """A node: what it is called, where its inputs stand, and what flows through it."""

    label: str
    kind: str
    inputs: list[int]
    value: Any
    gradient: Any


class Graph:
    """The graph behind a tensor, its nodes in topological order; made by `graph`.

    Attributes
    ----------
    nodes : list of GraphNode
        Inputs before what is computed from them; the end is the last.
    """

    def __init__(self, end: Any, names: dict[str, Any]) -> None:
        if end.traced:
            raise TypeError("a traced tensor has no values to show; call the function with numbers")
        called = {tensor._node: name for name, tensor in names.items()}
        found = _core.nodes(end, end.requires_grad and end.size == 1)
        self.nodes = []
        for place, (operation, inputs, value, gradient) in enumerate(found):
            named = called.get(value._node)
            if operation is not None:
                kind = "end" if place == len(found) - 1 else "operation"
                symbol = _SYMBOLS.get(operation, operation)
                label = symbol if named is None else f"{named} = {symbol}"
            else:
                kind = "input" if value.requires_grad else "constant"
                label = named or ("input" if value.requires_grad else "")
            self.nodes.append(GraphNode(label, kind, list(inputs), value, gradient))

    def __len__(self) -> int:
        return len(self.nodes)

    def dot(self) -> str:
        r"""Return the graph in the language of Graphviz.

        Examples
        --------
        >>> import steepest as st
        >>> x = st.tensor(3.0, requires_grad=True)
        >>> print(st.graph(x * x, x=x).dot())
        digraph {
          rankdir=LR
          node [shape=box, style="rounded,filled", fontname="sans-serif"]
          n0 [label="x\nvalue 3\ngradient 6", fillcolor="#cfe8cf"]
          n1 [label="×\nvalue 9\ngradient 1", fillcolor="#f5d9b8"]
          n0 -> n1
          n0 -> n1
        }
        """
        lines = ["digraph {", "  rankdir=LR", '  node [shape=box, style="rounded,filled", fontname="sans-serif"]']
        for place, node in enumerate(self.nodes):
            text = "\\n".join(_quoted(line) for line in _lines(node))
            lines.append(f'  n{place} [label="{text}", fillcolor="{_COLOURS[node.kind]}"]')
        for place, node in enumerate(self.nodes):
            lines += [f"  n{origin} -> n{place}" for origin in node.inputs]
        return "\n".join([*lines, "}"])

    def draw(self, ax: Any = None) -> Any:
        """Draw the graph with matplotlib: inputs on the left, the end on the right.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; new ones by default.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            Where matplotlib is missing.

        Examples
        --------
        >>> import steepest as st
        >>> x, y = st.tensor(2.0, requires_grad=True), st.tensor(5.0, requires_grad=True)
        >>> f = st.log(x) + x * y - st.sin(y)
        >>> axes = st.graph(f, x=x, y=y).draw()
        >>> axes.texts[-1].get_text().splitlines()
        ['−', 'value 11.65', 'gradient 1']
        """
        if ax is None:
            columns = 1 + max(self._depths())
            figure = require("matplotlib.figure", extra="plot").Figure(
                figsize=(1.9 * columns, 4.5), layout="constrained"
            )
            ax = figure.add_subplot()
        places = self._places()
        for place, node in enumerate(self.nodes):
            for origin in node.inputs:
                ax.annotate(
                    "",
                    xy=places[place],
                    xytext=places[origin],
                    arrowprops={"arrowstyle": "-|>", "color": "#666666", "shrinkA": 22, "shrinkB": 33},
                )
        for place, node in enumerate(self.nodes):
            ax.text(
                *places[place],
                "\n".join(_lines(node)),
                ha="center",
                va="center",
                fontsize=8,
                bbox={"boxstyle": "round", "facecolor": _COLOURS[node.kind], "edgecolor": "#666666"},
            )
        xs, ys = zip(*places, strict=True)
        ax.set_xlim(min(xs) - 0.6, max(xs) + 0.6)
        ax.set_ylim(min(ys) - 0.6, max(ys) + 0.6)
        ax.set_axis_off()
        return ax

    def _depths(self) -> list[int]:
        """Return how many operations lie before each node; inputs stand right before what they are first used in."""
        depths: list[int] = []
        for node in self.nodes:
            depths.append(1 + max((depths[i] for i in node.inputs), default=-1))
        nearest = dict.fromkeys(range(len(depths)), max(depths, default=0))
        for place, node in enumerate(self.nodes):
            for origin in node.inputs:
                nearest[origin] = min(nearest[origin], depths[place] - 1)
        return [
            depth if node.inputs else nearest[i] for i, (depth, node) in enumerate(zip(depths, self.nodes, strict=True))
        ]

    def _places(self) -> list[tuple[float, float]]:
        """Return a column for every depth; within it, nodes are ordered by the mean of their inputs."""
        depths = self._depths()
        places: list[tuple[float, float]] = [(0.0, 0.0)] * len(depths)
        for column in range(max(depths, default=0) + 1):
            members = [i for i, depth in enumerate(depths) if depth == column]
            members.sort(key=lambda i: -np.mean([places[j][1] for j in self.nodes[i].inputs] or [-i]))
            for row, i in enumerate(members):
                places[i] = float(column), (len(members) - 1) / 2 - row
        return places


def _lines(node: GraphNode) -> list[str]:
    """Return the lines of a node's box."""
    lines = [node.label] if node.label else []
    lines.append(f"value {_shown(node.value)}")
    return lines if node.gradient is None else [*lines, f"gradient {_shown(node.gradient)}"]


def _shown(tensor: Any) -> str:
    if tensor.size == 1:
        return f"{float(tensor.numpy().ravel()[0]):.4g}"
    return f"of shape {tensor.shape}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def graph(end: Any, **names: Any) -> Graph:
    """Look at the graph that a tensor was computed by (B2).

    Parameters
    ----------
    end : Tensor
        The end node. Where it is one number, every node shows its gradient too.
    **names : Tensor
        What tensors are to be called: ``graph(f, x=x, y=y)``.

    Returns
    -------
    Graph
        With ``.nodes``, ``.dot()`` and ``.draw()``.

    Examples
    --------
    >>> import steepest as st
    >>> x = st.tensor(2.0, requires_grad=True)
    >>> [node.label for node in st.graph(st.exp(x) * 3, x=x).nodes]
    ['x', 'exp', '', '×']
    """
    return Graph(end, names)
