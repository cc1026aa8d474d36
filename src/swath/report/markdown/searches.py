"""The section of a leaderboard about a search: what matters, the score along each range, the best so far."""

import math

from swath.analysis.analyse import Analysis
from swath.analysis.searches.slices import Slice
from swath.analysis.searches.space import value_text
from swath.analysis.searches.summary import BestSoFar, SearchResult
from swath.core.metrics import METRIC_TITLES
from swath.core.text import shortened
from swath.report.format import code, escape, interval_text, markdown, score_text, table
from swath.report.search_sentences import advices, number, remarks, states

_ROWS = 7
_CELLS_SHOWN = 12
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def searches_section(analysis: Analysis, mark: str) -> list[str]:
    """Each searched space under the heading of the section; [] without a search."""
    parts = []
    for result in analysis.searches:
        if len(analysis.searches) > 1:
            parts.append(f"{mark}# In {shortened([code(origin) for origin in result.origins], 6)}")
        parts += _space(analysis, result)
    return [f"{mark} Search", *parts] if parts else []


def _space(analysis: Analysis, result: SearchResult) -> list[str]:
    parts = [escape(states(result))]
    title = METRIC_TITLES[analysis.task.record.metric]
    if result.importances:
        rows = [[escape(name), f"{share:.0%}"] for name, share in result.importances.items()]
        parts.append(table(["field", "importance"], rows, "lr"))
    if result.slices:
        rows = [row for one in result.slices for row in _rows(one)]
        parts.append(table(["along", "value", title, "95 % band"], rows, "lrrr"))
    parts.append("\n".join(f"- {escape(text)}" for text in remarks(result)))
    parts.append("\n".join(markdown(line) for line in advices(result)))
    return [*parts, *_best(result, title)]


def _rows(one: Slice) -> list[list[str]]:
    """Values evenly over the slice; every option of a choice."""
    count = len(one.values)
    few = count if isinstance(one.values[0], str) else min(_ROWS, count)
    places = sorted({round(i * (count - 1) / max(few - 1, 1)) for i in range(few)})
    return [
        [
            escape(one.name) if not row else "",
            escape(number(one.values[at])),
            score_text(one.mean[at]),
            interval_text(one.low[at], one.high[at]),
        ]
        for row, at in enumerate(places)
    ]


def _best(result: SearchResult, title: str) -> list[str]:
    """The best after so many points, in each cell of the grid."""
    several = len(result.best) > 1
    most = max(best.asked for best in result.best)
    counts = [*(n for n in _COUNTS if n < most), most]
    shown = sorted(result.best, key=lambda best: -best.best.score if best.best else math.inf)[:_CELLS_SHOWN]
    rows = [
        [
            *([escape(best.origin)] if several else []),
            *(_after(best, n) for n in counts),
            str(best.number or "-"),
            escape(_point(best)),
        ]
        for best in shown
    ]
    headers = [*(["cell"] if several else []), *(f"after {n}" for n in counts), "best is point", "its values"]
    align = "l" * several + "r" * (len(counts) + 1) + "l"
    more = f" {len(result.best) - len(shown)} more cells are in report.json." if len(result.best) > len(shown) else ""
    note = (
        f"Best {title} so far, after so many points in the order they were asked for. It is the highest of several "
        f"noisy scores, so a little too high.{more}"
    )
    return [note, table(headers, rows, align)]


def _after(best: BestSoFar, count: int) -> str:
    return score_text(best.scores[count - 1]) if count <= best.asked else "-"


def _point(best: BestSoFar) -> str:
    values = best.best.values.items() if best.best else ()
    return ", ".join(f"{name}={value_text(value)}" for name, value in values) or "none has finished"
