"""Floor 4: secure functions on shared arrays."""

from __future__ import annotations

from mpcstats.protocols.arithmetic import deal, inner_product, multiply, select, sum_of_inputs
from mpcstats.protocols.compare import at_least, bit_decompose, floor_divide, is_negative
from mpcstats.protocols.truncate import multiply_fixed, truncate

__all__ = [
    "at_least",
    "bit_decompose",
    "deal",
    "floor_divide",
    "inner_product",
    "is_negative",
    "multiply",
    "multiply_fixed",
    "select",
    "sum_of_inputs",
    "truncate",
]
