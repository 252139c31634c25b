"""Curves of a load as PNGs: throughput and latency by steps, or second by second beside memory and handles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bench.memory import Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 60  # stretches of time at most
PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


class Shot(Protocol):
    """What became of one request: when it ended, how long it took, and what it was worth."""

    @property
    def verdict(self) -> str: ...

    @property
    def last_s(self) -> float: ...

    @property
    def ended_s(self) -> float: ...


def draw_steps(name: str, steps: Sequence[tuple[float, dict[str, Any]]], file: Path) -> None:
    """Answers a second, and times to the first and to the last byte, over the steps."""
    figure, (rate, first, last) = _panels(3)
    at = [step for step, _ in steps]
    rate.plot(at, [figures["per_s"] for _, figures in steps], "o-")
    rate.set_ylabel("right answers / s")
    for axes, what in ((first, "first"), (last, "last")):
        for percentile in PERCENTILES:
            axes.plot(at, [figures[what].get(percentile, np.nan) for _, figures in steps], "o-", label=percentile[:3])
        axes.set_ylabel(f"{what} byte, ms")
        axes.legend()
    _from_zero([rate, first, last])
    last.set_xlabel(name.replace("_per_s", ", requests / s"))
    figure.savefig(file)


def draw_seconds(shots: Sequence[Shot], samples: Sequence[Sample], file: Path) -> None:
    """Answers and refusals a second and latency over time; with samples, memory by process and handles too."""
    figure, panels = _panels(4 if samples else 2)
    end_s = max([shot.ended_s for shot in shots], default=1.0)
    edges = np.linspace(0, end_s, min(BINS, max(2, int(end_s))) + 1)
    for verdict in sorted({shot.verdict for shot in shots}):
        ended = [shot.ended_s for shot in shots if shot.verdict == verdict]
        panels[0].stairs(np.histogram(ended, edges)[0] / np.diff(edges), edges, label=verdict)
    panels[0].set_ylabel("requests / s")
    panels[0].legend()
    right = [shot for shot in shots if shot.verdict == "right"]
    panels[1].plot([shot.ended_s for shot in right], [1000 * shot.last_s for shot in right], ".", markersize=3)
    panels[1].set_ylabel("last byte, ms")
    if samples:
        _draw_samples(samples, panels[2], panels[3])
    panels[-1].set_xlabel("seconds")
    _from_zero(panels)
    panels[-1].set_xlim(0, end_s)
    figure.savefig(file)


def _draw_samples(samples: Sequence[Sample], memory: Axes, handles: Axes) -> None:
    at = [sample.at_s for sample in samples]
    by_name = [sample.by_name("pss_mib") for sample in samples]
    names = sorted(by_name[-1], key=lambda name: -by_name[-1][name])[:6]
    memory.plot(at, [sample.pss_mib for sample in samples], "k", label="all")
    for name in names:
        memory.plot(at, [one.get(name, 0.0) for one in by_name], label=name.rsplit(":", 1)[-1])
    memory.set_ylabel("PSS, MiB")
    memory.legend(fontsize="small", ncols=2)
    handles.plot(at, [sample.handles for sample in samples])
    handles.set_ylabel("open handles")


def _from_zero(panels: Sequence[Axes]) -> None:
    """Room above the curves, and 0 below them."""
    for axes in panels:
        axes.set_ylim(0, 1.1 * max(axes.dataLim.y1, 1e-3))


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.4 * count), layout="constrained")
    return figure, list(figure.subplots(count, 1, sharex=True))
