"""Manhattan and quantile-quantile plots of an association scan, from a table in PLINK 2 columns."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import betaincinv

from mpcstats.sdk.plots import style

__all__ = ["GENOME_WIDE", "SUGGESTIVE", "plot_association", "plot_manhattan", "plot_qq"]

GENOME_WIDE = 5e-8
SUGGESTIVE = 1e-5

Floats = NDArray[np.float64]
_TONES = ("#0072B2", "#7A8896")


def plot_association(
    table: pd.DataFrame, *, genomic_control_lambda: float | None = None, title: str | None = None
) -> Figure:
    """Manhattan plot and QQ plot side by side."""
    figure = style.new_figure(11, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(2.3, 1))
    plot_manhattan(table, ax=left, title=title)
    plot_qq(table, ax=right, genomic_control_lambda=genomic_control_lambda)
    return figure


def plot_manhattan(table: pd.DataFrame, *, ax: Axes | None = None, title: str | None = None) -> Figure | Axes:
    """-log10 p along the genome, chromosomes in alternating tones, with the genome-wide and suggestive levels.

    `table` has columns #CHROM, POS and LOG10_P; variants without p are left out. An infinite -log10 p is drawn as a
    triangle at the top. Returns a new figure, or the axes that were given.
    """
    figure = None
    if ax is None:
        figure = style.new_figure(8.4, 3.8)
        ax = figure.add_subplot()
    known = table[table["LOG10_P"].notna()]
    level, infinite = _finite(known["LOG10_P"].to_numpy(dtype=np.float64))
    place, chromosomes, index, label = _positions(known, ax)
    for tone in (0, 1):
        chosen = (index % 2 == tone) & ~infinite
        ax.scatter(place[chosen], level[chosen], s=7, color=_TONES[tone], linewidths=0, rasterized=True, zorder=2)
    ax.scatter(place[infinite], level[infinite], s=22, marker="^", color=style.COLOURS[1], linewidths=0, zorder=3)
    top = max(float(level.max()) * 1.08 if level.size else 0.0, -np.log10(GENOME_WIDE) * 1.12)
    ax.set_ylim(0, top)
    for p, dashes, name in ((GENOME_WIDE, "solid", "5e-8"), (SUGGESTIVE, (0, (4, 3)), "1e-5")):
        ax.axhline(-np.log10(p), color=style.COLOURS[1], linestyle=dashes, linewidth=0.9, zorder=1)
        ax.annotate(
            name,
            (1, -np.log10(p)),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            annotation_clip=False,
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL_SIZE,
            color=style.COLOURS[1],
        )
    if len(chromosomes) > 1:
        ax.tick_params(axis="x", length=0)
    style.clean(ax, x=label, y=r"$-\log_{10}\,p$", title=title)
    return figure if figure is not None else ax


def plot_qq(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    genomic_control_lambda: float | None = None,
    title: str | None = None,
) -> Figure | Axes:
    """Observed against expected -log10 p with the pointwise 95% band of independent null tests; column LOG10_P."""
    figure = None
    if ax is None:
        figure = style.new_figure(4.2, 4.0)
        ax = figure.add_subplot()
    level, infinite = _finite(table["LOG10_P"].dropna().to_numpy(dtype=np.float64))
    order = np.argsort(-level, kind="stable")
    level, infinite = level[order], infinite[order]
    count = level.size
    if count:
        rank = np.arange(1, count + 1)
        expected = -np.log10((rank - 0.5) / count)
        shown = np.unique(np.geomspace(1, count, min(count, 400)).astype(np.int64))
        # the i-th smallest of n uniform p-values has a beta(i, n + 1 - i) distribution
        low, high = (-np.log10(betaincinv(shown, count + 1 - shown, q)) for q in (0.975, 0.025))
        ax.fill_between(
            expected[shown - 1],
            low,
            high,
            color=style.LIGHT_GREY,
            alpha=0.7,
            linewidth=0,
            zorder=1,
            label="95% under the null",
        )
        end = float(expected[0])
        ax.plot([0, end], [0, end], color=style.GREY, linewidth=0.9, zorder=2)
        ax.scatter(
            expected[~infinite],
            level[~infinite],
            s=7,
            color=style.COLOURS[0],
            linewidths=0,
            rasterized=True,
            zorder=3,
            label=f"{count:,} variants",
        )
        ax.scatter(
            expected[infinite], level[infinite], s=22, marker="^", color=style.COLOURS[1], linewidths=0, zorder=4
        )
        ax.legend(frameon=False, fontsize=style.SMALL_SIZE, loc="upper left", handletextpad=0.5, borderaxespad=0.2)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    if genomic_control_lambda is not None and np.isfinite(genomic_control_lambda):
        ax.text(
            0.97,
            0.04,
            rf"$\lambda_{{\mathrm{{GC}}}}$ = {genomic_control_lambda:.3f}",
            transform=ax.transAxes,
            ha="right",
            fontsize=style.LABEL_SIZE,
        )
    style.clean(ax, x=r"Expected $-\log_{10}\,p$", y=r"Observed $-\log_{10}\,p$", title=title)
    return figure if figure is not None else ax


def _finite(level: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Infinite values moved just above the largest finite one, and where they were."""
    infinite = np.isinf(level)
    largest = float(level[~infinite].max()) if np.any(~infinite) else 0.0
    return np.where(infinite, max(1.08 * largest, 9.0), level), infinite


def _positions(table: pd.DataFrame, ax: Axes) -> tuple[Floats, list[str], NDArray[np.int64], str]:
    """Places on the x axis, chromosomes in order, the chromosome number of each row, the axis label; sets the ticks."""
    names = table["#CHROM"].astype(str).to_numpy()
    chromosomes = sorted(set(names), key=_chromosome_key)
    index = np.array([chromosomes.index(name) for name in chromosomes], dtype=np.int64)
    lookup = dict(zip(chromosomes, index, strict=True))
    number = np.array([lookup[name] for name in names], dtype=np.int64)
    position = table["POS"].to_numpy(dtype=np.float64)
    if len(chromosomes) <= 1:
        scale, unit = _unit(position)
        where = f"Position on chromosome {chromosomes[0]} ({unit})" if chromosomes else "Position"
        return position / scale, chromosomes, number, where
    spans = [(float(position[number == i].min()), float(position[number == i].max())) for i in index]
    gap = 0.01 * sum(last - first for first, last in spans) + 1
    starts = np.concatenate([[0.0], np.cumsum([last - first + gap for first, last in spans])])
    place = position - np.array([first for first, _ in spans])[number] + starts[number]
    centres = [start + (last - first) / 2 for start, (first, last) in zip(starts[:-1], spans, strict=True)]
    _chromosome_ticks(ax, chromosomes, centres, float(starts[-1]))
    return place, chromosomes, number, "Chromosome"


def _chromosome_ticks(ax: Axes, chromosomes: list[str], centres: list[float], width: float) -> None:
    """A label per chromosome, leaving out those that would touch the one before."""
    labels, last = [], -width
    for name, centre in zip(chromosomes, centres, strict=True):
        free = centre - last > (0.012 + 0.011 * len(name)) * width
        labels.append(name if free else "")
        last = centre if free else last
    ax.set_xticks(centres, labels)
    ax.set_xlim(-0.01 * width, width)


def _unit(position: Floats) -> tuple[float, str]:
    largest = float(position.max()) if position.size else 0.0
    if largest >= 2e6:
        return 1e6, "Mb"
    return (1e3, "kb") if largest >= 2e4 else (1.0, "bp")


def _chromosome_key(name: str) -> tuple[int, int, str]:
    bare = re.sub("^chr", "", name, flags=re.IGNORECASE)
    if bare.isdigit():
        return (0, int(bare), name)
    sex = {"X": 1, "Y": 2, "XY": 3, "M": 4, "MT": 4}
    return (1, sex[bare.upper()], name) if bare.upper() in sex else (2, 0, name)
