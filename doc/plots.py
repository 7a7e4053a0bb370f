# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Draws the plots of the page "Performance" from what benchmarks have kept.

Run it by ``tools/bench plots``. ``scale.json`` and ``limiter.json`` of the folder ``performance``
are what ``--json`` of these benchmarks wrote; an SVG beside them is written for each plot, the same
from the same figures. It has the page's background, and colours for a light and for a dark one.
"""

import json
import pathlib
import statistics
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib import axes, figure, ticker

_FOLDER = pathlib.Path(__file__).parent / 'source/performance'
_KINDS = ('protect', 'restore', 'delete')
_LEARNS = 5  # seconds that the limiter may take, as in its benchmark

_GREY, _BLUE, _ORANGE = '#767676', '#2f7ed8', '#d2691e'
_STYLE = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'karbor',
    'font.family': 'sans-serif',
    'font.size': 9,
    'text.color': _GREY,
    'axes.edgecolor': _GREY,
    'axes.labelcolor': _GREY,
    'axes.facecolor': 'none',
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': _GREY,
    'grid.alpha': 0.25,
    'figure.facecolor': 'none',
    'legend.frameon': False,
    'xtick.color': _GREY,
    'ytick.color': _GREY,
}


def main() -> None:
    scale = json.loads((_FOLDER / 'scale.json').read_text())
    limiter = json.loads((_FOLDER / 'limiter.json').read_text())
    with mpl.rc_context(_STYLE):
        _save('seconds', _by_count(scale, 'seconds', lambda found, kind, _: found[kind]))
        _save(
            'cpu',
            _by_count(
                scale,
                'ms of CPU a volume',
                lambda found, kind, count: 1000 * found[f'{kind} cpu'] / count,
            ),
        )
        _save('limiter', _rates(limiter))


def _by_count(
    scale: dict[str, Any],
    label: str,
    value: Callable[[dict[str, float], str, int], float],
) -> figure.Figure:
    """Karbor and the floor side by side for each kind of job, medians and all rounds.

    :param value: what is drawn of a round's figures, of a kind of job and a number of volumes.
    """
    drawn = figure.Figure(figsize=(7.5, 2.8), layout='constrained')
    counts = [int(count) for count in scale]
    panels = drawn.subplots(1, len(_KINDS), sharey=True)
    for panel, kind in zip(panels, _KINDS, strict=True):
        for name, colour, marker in (('karbor', _BLUE, 'o'), ('floor', _ORANGE, 's')):
            rounds = [
                [value(found, kind, count) for found in scale[str(count)][name]] for count in counts
            ]
            medians = [statistics.median(values) for values in rounds]
            panel.plot(
                counts, medians, marker=marker, markersize=4, color=colour, label=name.capitalize()
            )
            for count, values in zip(counts, rounds, strict=True):
                panel.plot([count] * 2, [min(values), max(values)], color=colour, alpha=0.4)
        panel.set(title=kind, xlabel='volumes', xscale='log', yscale='log')
        panel.set_xticks(counts)
        panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        _plain_numbers(panel)
    panels[0].set_ylabel(label)
    panels[0].legend(labelcolor=_GREY)
    return drawn


def _rates(limiter: dict[str, Any]) -> figure.Figure:
    """Requests a second of fixed numbers of open requests, and of what the limiter finds."""
    drawn = figure.Figure(figsize=(7.5, 2.8), layout='constrained')
    panel = drawn.subplots()
    fixed = {
        int(name.removeprefix('fixed ')): _rate(results)
        for name, results in limiter.items()
        if name.startswith('fixed ')
    }
    panel.plot(
        list(fixed), list(fixed.values()), marker='s', markersize=4, color=_ORANGE, label='fixed'
    )
    for name, marker in (('limiter', 'o'), ('two limiters', 'D')):
        found = sum(limit for _, _, limit in limiter[name])
        panel.plot(found, _rate(limiter[name]), marker, color=_BLUE, label=name)
    panel.set(xlabel='open requests', ylabel='answers a second', xlim=(0, None), ylim=(0, None))
    panel.legend(labelcolor=_GREY, loc='lower right')
    return drawn


def _rate(results: list[Any]) -> float:
    """Answers a second of some workers together, once they have learnt."""
    return sum(statistics.mean(by_second[_LEARNS:]) for by_second, _, _ in results)


def _plain_numbers(panel: axes.Axes) -> None:
    """10,000 instead of a power of ten."""
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda number, _: f'{number:,g}'))
        axis.set_minor_locator(ticker.NullLocator())


def _save(name: str, drawn: figure.Figure) -> None:
    drawn.savefig(_FOLDER / f'{name}.svg', metadata={'Date': None})


if __name__ == '__main__':
    main()
