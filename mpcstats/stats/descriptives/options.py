"""What a description is to contain."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DescribeOptions"]


@dataclass(frozen=True)
class DescribeOptions:
    """Choices of one request; public.

    Attributes
    ----------
    quantiles : tuple of float
        Shares of people, between 0 and 1.
    quantile_type : int
        1 to 9, as R's `quantile` (Hyndman, Fan 1996).
    conf_level : float
        Of the limits of means.
    shape : bool
        Also skewness and kurtosis.
    mad : bool
        Also the median absolute deviation.
    breaks : tuple of float
        Bounds of a histogram, ascending; () makes none.
    """

    quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)
    quantile_type: int = 7
    conf_level: float = 0.95
    shape: bool = True
    mad: bool = False
    breaks: tuple[float, ...] = ()
