"""What a search found, in sentences: along each range, where to look next, and what the numbers rest on."""

from collections.abc import Sequence

from swath.analysis.analyse import Analysis
from swath.analysis.searches.slices import Slice
from swath.analysis.searches.space import Parameter, Point, Value
from swath.analysis.searches.summary import EXPLAINED, LEAST, SearchResult
from swath.core.metrics import METRIC_TITLES
from swath.core.text import count, shortened
from swath.report.format import interval_text, score_text
from swath.report.marked_text import Label, Sentence, Strong, sentence

_SHOWN = 3


def search_headline(analysis: Analysis) -> list[Sentence]:
    """The first lines of a report on a search: what its ranges do to the score, or why nothing can be said."""
    lines = []
    if analysis.searches and not analysis.task.factors:
        lines.append(sentence("There is no factor to compare: the points of a search are no levels of one."))
    for result in analysis.searches:
        clear = [one for one in _by_importance(result) if not one.flat]
        lines += [along(one, METRIC_TITLES[analysis.task.record.metric]) for one in clear[:_SHOWN]]
        if result.slices and not clear:
            names = ", ".join(one.name for one in result.slices)
            lines.append(sentence(f"Along {names} no change of the score is shown."))
        lines += advices(result)[:_SHOWN]
        if not result.slices:
            lines.append(sentence(why_no_model(result)))
    return lines


def _by_importance(result: SearchResult) -> list[Slice]:
    order = list(result.importances)
    return sorted(result.slices, key=lambda one: order.index(one.name))


def along(one: Slice, metric: str) -> Sentence:
    """Where a slice is highest and lowest."""
    best, least = _ends(one)
    return sentence(
        *("Along ", Label(one.name), f" {metric} is highest near {number(one.values[best])}: "),
        *(Strong(score_text(one.mean[best])), f" (95 % band {interval_text(one.low[best], one.high[best])}), "),
        f"and lowest near {number(one.values[least])}: {score_text(one.mean[least])} "
        f"({interval_text(one.low[least], one.high[least])}), averaged over what else was searched.",
    )


def _ends(one: Slice) -> tuple[int, int]:
    places = range(len(one.mean))
    return max(places, key=lambda at: one.mean[at]), min(places, key=lambda at: one.mean[at])


def advices(result: SearchResult) -> list[Sentence]:
    """Which ranges to narrow or widen, and how sure that is."""
    lines = []
    for one in _by_importance(result):
        advice = one.advice
        if advice is None:
            continue
        sure = f" ({advice.sure:.0%} of what the model holds possible, from {count(result.modelled, 'point')})."
        if advice.kind == "narrow":
            text = f" look from {number(advice.low)} to {number(advice.high)}: its best value lies there"
        elif advice.kind == "up":
            text = f" look above {number(one.values[-1])} as well: its best value is at the upper end of what was tried"
        else:
            text = f" look below {number(one.values[0])} as well: its best value is at the lower end of what was tried"
        lines.append(sentence("Where to look next: along ", Label(one.name), text + sure))
    return lines


def why_no_model(result: SearchResult) -> str:
    """Why a search has no slices."""
    if result.modelled:
        return (
            f"Its {count(result.modelled, 'finished point')} do not say how the score depends on what was searched: "
            f"predicted from the others, they explain {result.explained:.0%} of the differences (needed: "
            f"{EXPLAINED:.0%})."
        )
    finished = count(len(result.points), "point")
    return (
        f"No effects along ranges yet: {finished} of the search finished, and a model needs {LEAST} different ones "
        "with different scores."
    )


def states(result: SearchResult) -> str:
    """How many points there are, and what became of them."""
    asked = sum(best.asked for best in result.best)
    ranges = ", ".join(map(range_text, result.parameters))
    cells = f" in {len(result.origins)} cells of the grid" if len(result.origins) > 1 else ""
    text = f"A {result.search} search over {ranges}: {count(asked, 'point')}{cells}, {len(result.points)} finished"
    others = ((result.stopped, "stopped early"), (result.failed, "failed"), (result.waiting, "not finished"))
    return text + "".join(f", {n} {what}" for n, what in others if n) + "."


def range_text(one: Parameter) -> str:
    """`lr (1e-05 to 0.1, log scale)`."""
    if not one.numeric:
        return f"{one.name} ({shortened(one.options, 6)})"
    scale = {"loguniform": ", log scale", "integers": ", whole numbers"}.get(one.kind, "")
    return f"{one.name} ({number(one.low)} to {number(one.high)}{scale})"


def remarks(result: SearchResult) -> list[str]:
    """What a reader must know of the numbers, a sentence or two each."""
    texts = []
    if result.slices:
        noise = "noise between points (seeds among it) and the choice of validation images"
        if not result.images:
            noise = "noise between points (seeds among it), not the choice of validation images"
        texts.append(
            "Slices are the score of a Gaussian process over all that was searched, averaged evenly over the other "
            f"fields within what was tried; 95 % bands cover {noise}. Left out one at a time, points are predicted "
            f"well enough to explain {result.explained:.0%} of their differences; the rest is noise, or finer than so "
            "many points show. Importances (fANOVA) are what each field alone has of the variance of its predictions."
        )
        if result.modelled < len(result.points):
            texts.append(f"The model takes {result.modelled} of the {len(result.points)} points, evenly chosen.")
    else:
        texts.append(why_no_model(result))
    flat = [one.name for one in result.slices if one.flat]
    if flat:
        texts.append(f"No change is shown along {', '.join(flat)}: a level line fits into the band.")
    if result.constant and len(result.points) > 1:
        texts.append(f"All finished points have the same {', '.join(result.constant)}, so nothing is said of it.")
    if result.search != "random":
        texts.append(
            f"{result.search} proposes points where earlier ones scored well, so they lie dense around the best: "
            "importances speak of that region more than of the whole ranges, and bands are wide elsewhere."
        )
    if result.stopped:
        texts.append(
            f"{count(result.stopped, 'stopped point')} had a smaller budget and {'are' if result.stopped > 1 else 'is'}"
            " in none of these numbers: slices and importances are those of points that survived."
        )
    return texts


def number(value: Value) -> str:
    """Three digits, or the text of a choice."""
    return value if isinstance(value, str) else f"{value:.3g}"


def point_text(point: Point | None, name: str) -> str:
    """Value of a parameter at a point, as its label shows it; `-` for none."""
    value = point.values.get(name) if point else None
    return "-" if value is None else value if isinstance(value, str) else f"{value:g}"


def point_names(analysis: Analysis) -> Sequence[str]:
    """Names of all parameters searched in a task."""
    return tuple(dict.fromkeys(one.name for space in analysis.task.searches for one in space.parameters))
