"""Schedules: the step size over time (A10).

Every class here is made from the compiled core's list; ``available()`` names them. Time t is counted in epochs, as a
fraction (updates done / updates per epoch), so that a schedule means the same at every batch size. A plain function
of t is a schedule too.
"""

from __future__ import annotations

from steepest import _core
from steepest._lists import Member, MemberList, class_name, make_classes, registry


class Schedule(Member):
    """A step size that may change over time.

    Attributes
    ----------
    name, formula : str
        Its name in ``available()``, and the step size as a Python expression of t and the parameters.
    """

    __slots__ = ()

    def __call__(self, t: float, epochs: float = 1.0) -> float:
        """Return the step size at time t.

        Parameters
        ----------
        t : float
            Epochs since the start.
        epochs : float
            Length of the whole run, for the schedules that end with it.

        Examples
        --------
        >>> import steepest as st
        >>> st.schedules.Exponential(0.2, factor=0.5)(2.0)
        0.05
        """
        return float(_core.schedule_at(self._index, self._values, t, epochs))


_classes = make_classes(Schedule, registry["schedules"], __name__)
_list: MemberList[Schedule] = MemberList("schedule", _classes)
globals().update({class_name(name): cls for name, cls in _list._classes.items()})

available = _list.available
get = _list.get

__all__ = ["Schedule", "available", "get", *(class_name(name) for name in _list._classes)]
