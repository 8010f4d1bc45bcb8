"""What the methods of a consortium share: how a request is made, run and wrapped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from mpcstats.errors import SpecError
from mpcstats.sdk.results import Result, wrap
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import parse_spec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.spec import AnalysisSpec

__all__ = ["Methods", "names", "plain_value", "several_values"]

R = TypeVar("R", bound=Result)


class Methods(ABC):
    """Base of the classes that give a consortium its methods."""

    @abstractmethod
    def _run(self, spec: AnalysisSpec) -> Outcome:
        """Run one analysis."""

    def _dictionary_of(self, dataset: str) -> Dictionary:
        """The data dictionary of a data set, for requests that are put together from several."""
        raise SpecError(f"the dictionary of data set {dataset!r} is not at hand")

    def _ask(self, result: type[R], **request: Any) -> R:
        """Validate a request, run it, and wrap its outcome in the class of its results."""
        found = wrap(self._run(parse_spec(request)))
        assert isinstance(found, result)
        return found


def names(columns: Sequence[str] | str) -> tuple[str, ...]:
    """One name or several."""
    return (columns,) if isinstance(columns, str) else tuple(columns)


def several_values(values: Any) -> tuple[Any, ...] | None:
    """One value stands for itself: a text is not a sequence of letters here."""
    if values is None:
        return None
    several = isinstance(values, Iterable) and not isinstance(values, str)
    return tuple(map(plain_value, values if several else (values,)))


def plain_value(value: Any) -> Any:
    """A NumPy number as Python's."""
    return value.item() if hasattr(value, "item") else value
