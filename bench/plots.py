"""Plots of a load as PNG: throughput and latency by step, or over time together with memory and open handles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bench.memory import Snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BINS = 60
PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


class Sample(Protocol):
    """The part of ``bench.generator.Sample`` that is drawn."""

    @property
    def verdict(self) -> str: ...

    @property
    def last_s(self) -> float: ...

    @property
    def ended_s(self) -> float: ...


def draw_steps(name: str, steps: Sequence[tuple[float, dict[str, Any]]], file: Path) -> None:
    """Draw correct responses per second, and the times to the first and to the last byte, over the steps."""
    figure, (rate, first, last) = _panels(3)
    x = [step for step, _ in steps]
    rate.plot(x, [figures["correct_per_s"] for _, figures in steps], "o-")
    rate.set_ylabel("correct responses / s")
    for axes, what in ((first, "first"), (last, "last")):
        for percentile in PERCENTILES:
            axes.plot(x, [figures[what].get(percentile, np.nan) for _, figures in steps], "o-", label=percentile[:3])
        axes.set_ylabel(f"{what} byte, ms")
        axes.legend()
    _from_zero([rate, first, last])
    last.set_xlabel(name.replace("_per_s", ", requests / s"))
    figure.savefig(file)


def draw_timeline(samples: Sequence[Sample], snapshots: Sequence[Snapshot], file: Path) -> None:
    """Draw responses per second and latency over time; with snapshots, also memory by process and open handles."""
    figure, panels = _panels(4 if snapshots else 2)
    end_s = max([sample.ended_s for sample in samples], default=1.0)
    edges = np.linspace(0, end_s, min(MAX_BINS, max(2, int(end_s))) + 1)
    for verdict in sorted({sample.verdict for sample in samples}):
        ended = [sample.ended_s for sample in samples if sample.verdict == verdict]
        panels[0].stairs(np.histogram(ended, edges)[0] / np.diff(edges), edges, label=verdict)
    panels[0].set_ylabel("requests / s")
    panels[0].legend()
    correct = [sample for sample in samples if sample.verdict == "correct"]
    latencies_ms = [1000 * sample.last_s for sample in correct]
    panels[1].plot([sample.ended_s for sample in correct], latencies_ms, ".", markersize=3)
    panels[1].set_ylabel("last byte, ms")
    if snapshots:
        _draw_snapshots(snapshots, panels[2], panels[3])
    panels[-1].set_xlabel("seconds")
    _from_zero(panels)
    panels[-1].set_xlim(0, end_s)
    figure.savefig(file)


def _draw_snapshots(snapshots: Sequence[Snapshot], memory: Axes, handles: Axes) -> None:
    x = [snapshot.at_s for snapshot in snapshots]
    by_name = [snapshot.by_name("pss_mib") for snapshot in snapshots]
    names = sorted(by_name[-1], key=lambda name: -by_name[-1][name])[:6]
    memory.plot(x, [snapshot.pss_mib for snapshot in snapshots], "k", label="all")
    for name in names:
        memory.plot(x, [usage.get(name, 0.0) for usage in by_name], label=name.rsplit(":", 1)[-1])
    memory.set_ylabel("PSS, MiB")
    memory.legend(fontsize="small", ncols=2)
    handles.plot(x, [snapshot.handles for snapshot in snapshots])
    handles.set_ylabel("open handles")


def _from_zero(panels: Sequence[Axes]) -> None:
    """Start the y axes at 0, with a margin above the highest value."""
    for axes in panels:
        axes.set_ylim(0, 1.1 * max(axes.dataLim.y1, 1e-3))


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.4 * count), layout="constrained")
    return figure, list(figure.subplots(count, 1, sharex=True))
