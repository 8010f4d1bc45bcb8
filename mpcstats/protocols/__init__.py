"""Floor 4: secure functions on shared arrays."""

from __future__ import annotations

from mpcstats.protocols.arithmetic import deal, inner_product, multiply, select, sum_of_inputs
from mpcstats.protocols.compare import at_least, bit_decompose, floor_divide, is_negative
from mpcstats.protocols.divide import divide, floor_quotient, reciprocal
from mpcstats.protocols.exact import bit_compose, floor_shift, random_bits, truncate_exact
from mpcstats.protocols.fine import fine_reciprocal, fine_square_root
from mpcstats.protocols.matrix import matmul, matmul_fixed
from mpcstats.protocols.merge import merge, sort
from mpcstats.protocols.normalise import Checked
from mpcstats.protocols.order import (
    absolute,
    amax,
    amin,
    equal,
    equal_zero,
    less,
    less_than_public,
    maximum,
    minimum,
    sign,
)
from mpcstats.protocols.quadratic import quadratic_form
from mpcstats.protocols.roots import inverse_square_root, square_root
from mpcstats.protocols.scan import (
    cumulative_product,
    cumulative_product_exact,
    cumulative_product_fixed,
    prefix_or,
    prefix_sum,
)
from mpcstats.protocols.shuffle import shuffle
from mpcstats.protocols.thresholds import sums_reach
from mpcstats.protocols.truncate import blurred, multiply_fixed, truncate

__all__ = [
    "Checked",
    "absolute",
    "amax",
    "amin",
    "at_least",
    "bit_compose",
    "bit_decompose",
    "blurred",
    "cumulative_product",
    "cumulative_product_exact",
    "cumulative_product_fixed",
    "deal",
    "divide",
    "equal",
    "equal_zero",
    "fine_reciprocal",
    "fine_square_root",
    "floor_divide",
    "floor_quotient",
    "floor_shift",
    "inner_product",
    "inverse_square_root",
    "is_negative",
    "less",
    "less_than_public",
    "matmul",
    "matmul_fixed",
    "maximum",
    "merge",
    "minimum",
    "multiply",
    "multiply_fixed",
    "prefix_or",
    "prefix_sum",
    "quadratic_form",
    "random_bits",
    "reciprocal",
    "select",
    "shuffle",
    "sign",
    "sort",
    "square_root",
    "sum_of_inputs",
    "sums_reach",
    "truncate",
    "truncate_exact",
]
