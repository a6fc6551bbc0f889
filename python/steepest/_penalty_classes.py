"""The classes of the penalties and nothing else: what the package has at its top level, too."""

from steepest import penalties

__all__ = [name for name in penalties.__all__ if name not in ("Penalty", "available", "get")]
globals().update({name: vars(penalties)[name] for name in __all__})
