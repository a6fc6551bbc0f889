"""Made by ``python -m steepest._stubs``: do not edit."""

from steepest.penalties import L1 as L1
from steepest.penalties import L2 as L2
from steepest.penalties import Box as Box
from steepest.penalties import ElasticNet as ElasticNet
from steepest.penalties import GroupLasso as GroupLasso
from steepest.penalties import L1Ball as L1Ball
from steepest.penalties import L2Ball as L2Ball
from steepest.penalties import NonNegative as NonNegative

__all__ = ["L1", "L2", "Box", "ElasticNet", "GroupLasso", "L1Ball", "L2Ball", "NonNegative"]
