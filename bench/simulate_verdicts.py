"""Are the report's verdicts true, whatever the design? Drawn sweeps with known effects, judged by the report's code.

One line each: share of intervals that hold the truth, share of whole reports with a false verdict (a difference where
there is none, or of the wrong sign), share of comparisons called equivalent that are not, power that was claimed and
not had, and share of intervals of the winner that hold its score. Then sweeps that are reported on after each added
seed until there is a verdict: share of false ones. Totals come last: `coverage MEAN LOWEST HIGHEST`,
`false_positive WORST_FAMILY WHOLE_REPORT`, `equivalence WRONG`, `power SHORTFALL`, `winner COVERAGE`, `looks WORST`.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
from drawn_scores import MATTERS, Chance, Design, draw
from threadpoolctl import threadpool_limits

from swath.analysis.effects import significance as verdicts
from swath.analysis.effects.paired_effects import Effect
from swath.analysis.effects.power import POWER

_APART = 1_000_000  # first seeds of two sets of draws; none has as many sweeps


@dataclass
class Tally:
    """Counts over sweeps; two of them add up."""

    reports: int = 0
    stated: int = 0
    covered: int = 0
    false_reports: int = 0
    false_families: int = 0
    families: int = 0
    verdicts: int = 0
    equivalent: int = 0
    not_equivalent: int = 0
    wrongly_equal: int = 0
    claimed: float = 0.0
    had: int = 0
    winners: int = 0
    winners_held: int = 0
    tied_held: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def designs() -> list[Design]:
    """All settings."""
    quiet, loud = Chance(images=0.002), Chance(images=0.006, seed=0.004)
    shared = [
        Design(f"shared seeds, rho {rho}, {cells} cells, {seeds} seeds", levels, seeds, chance=Chance(0.002, rho=rho))
        for rho in (0.1, 0.3, 0.5)
        for cells, levels in ((2, (2,)), (6, (3, 2)), (24, (3, 4, 2)))
        for seeds in (2, 3, 5)
    ]
    own = [
        Design(f"own streams, {cells} cells, {seeds} seeds", levels, seeds, chance=chance)
        for cells, levels in ((2, (2,)), (6, (3, 2)), (24, (3, 4, 2)))
        for seeds, chance in ((1, quiet), (2, quiet), (3, quiet), (3, loud), (6, quiet))
        if seeds > 1 or cells == 24
    ]
    noisy = [
        Design(f"one backbone 8 x noisier, {seeds} seeds", (3, 2, 2), seeds, chance=Chance(0.002, 0.002, noisy=8))
        for seeds in (2, 3, 5)
    ]
    uneven = [
        Design("cells that lost seeds", (3, 2, 2), 4, chance=quiet, uneven=True),
        Design("noisier backbone, lost seeds", (3, 2, 2), 4, chance=Chance(0.002, 0.002, noisy=8), uneven=True),
    ]
    stars = [
        Design(f"star of {n}{', no effect' * null}", (2,) * n, 3, star=True, chance=quiet, null=null)
        for n in (4, 8, 12)
        for null in (False, True)
    ]
    grids = [
        Design(f"grid of 5 factors{', no effect' * null}", (2,) * 5, 2, chance=quiet, null=null)
        for null in (False, True)
    ]
    folded = [
        Design(f"5 folds, {seeds} seed, {name}", levels, seeds, 5, star, Chance(images, split=split))
        for name, levels, star in (("one pair", (2,), False), ("star of 4", (2,) * 4, True), ("grid", (3, 2), False))
        for seeds in (1, 2)
        for images, split in ((0.004, 0.0), (0.002, 0.006))
    ]
    failed = [
        Design(f"{share:.0%} of one level failed, {seeds} seeds", levels, seeds, chance=quiet, failed=share, null=True)
        for share in (0.1, 0.35)
        for levels, seeds in (((2, 2, 2), 3), ((3, 4), 4), ((2,), 8))
    ]
    small = [
        Design(f"equivalence, {seeds} seeds", (3, 2, 2), seeds, chance=Chance(0.001, 0.002), effect=MATTERS)
        for seeds in (3, 6)
    ]
    return [*own, *shared, *noisy, *uneven, *stars, *grids, *folded, *failed, *small]


def one_sweep(design: Design, seed: int) -> Tally:
    """Draw a sweep, judge it, compare with the truth."""
    drawn = draw(design, np.random.default_rng([seed, *design.name.encode()]))
    tally = Tally(reports=1)
    false_of: dict[str, bool] = {}
    for e, truth in zip(drawn.effects, drawn.truths, strict=True):
        false_of[e.factor] = false_of.get(e.factor, False) or has_false_verdict([e], [truth])
        tally.verdicts += e.verdict in ("better", "worse")
        wrong = abs(truth) >= MATTERS - 1e-12
        tally.equivalent += e.verdict == "equivalent"
        tally.not_equivalent += wrong and bool(e.power)
        tally.wrongly_equal += wrong and e.verdict == "equivalent"
        if e.estimate is None or e.estimate.source == "none":
            continue
        tally.stated += 1
        tally.covered += e.estimate.low <= truth <= e.estimate.high
        if e.power and np.isfinite(e.power.smallest):
            # What the comparison would have shown, had the true difference been the smallest that it claims to show.
            found = e.estimate.noise.p_value(e.power.smallest + e.estimate.difference - truth)
            tally.claimed += POWER
            tally.had += found < verdicts.ALPHA / max(e.family, 1)
    tally.false_reports = int(any(false_of.values()))
    tally.false_families, tally.families = sum(false_of.values()), len(false_of)
    if drawn.best is not None:
        tally.winners = 1
        tally.winners_held = int(drawn.best.low <= drawn.winner <= drawn.best.high)
    return tally


def has_false_verdict(effects: Sequence[Effect], truths: Sequence[float]) -> bool:
    """True where a difference is claimed that is none, or is of the other sign."""
    return any(
        (e.verdict == "better" and truth <= 0) or (e.verdict == "worse" and truth >= 0)
        for e, truth in zip(effects, truths, strict=True)
    )


def looks_until_verdict(design: Design, seed: int, first: int) -> bool:
    """A report with the first seeds, then one after each further seed, until one has a verdict: is it false?"""
    for last in range(first, design.seeds + 1):
        rng = np.random.default_rng([seed, *design.name.encode()])
        drawn = draw(design, rng, tuple(range(first, last + 1)))
        if any(e.verdict in ("better", "worse") for e in drawn.effects):
            return has_false_verdict(drawn.effects, drawn.truths)
    return False


def run(design: Design, sweeps: int, workers: int, seed: int = 0) -> Tally:
    """Draw many sweeps of a design; each seed gives other ones."""
    seeds = range(seed * _APART, seed * _APART + sweeps)
    if workers < 2:
        return sum((one_sweep(design, s) for s in seeds), Tally())
    # One thread each: processes whose matrix products take all cores wait for each other.
    with ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        return sum(pool.map(partial(one_sweep, design), seeds, chunksize=25), Tally())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=500, help="sweeps of each setting")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    parser.add_argument("--seed", type=int, default=0, help="of all draws; another one gives independent sweeps")
    asked = parser.parse_args()
    print(f"{'setting':46} coverage  false reports  families  equivalent: wrong  power had  winner")
    tallies: list[tuple[Design, Tally]] = []
    for design in designs():
        if asked.only in design.name:
            tallies.append((design, run(design, asked.sweeps, asked.workers, asked.seed)))
            print(_line(*tallies[-1]), flush=True)
    lines = totals([t for _, t in tallies])
    looked = [d for d in looked_at() if asked.only in d.name]
    lines += [f"looks {max(_looks(d, asked) for d in looked):.4f}"] if looked else []
    print("\n".join(lines))
    return 0


def looked_at() -> list[Design]:
    """Settings that are reported on after each added seed, from the third to the twelfth."""
    return [
        Design(f"looks, {cells} cells, images {images:.4f}", levels, 12, chance=Chance(images), null=True)
        for cells, levels in ((2, (2,)), (12, (3, 4)))
        for images in (0.0005, 0.003)
    ]


def _looks(design: Design, asked: argparse.Namespace) -> float:
    """Share of sweeps whose first verdict, at whichever look, is false."""
    seeds = range(asked.seed * _APART, asked.seed * _APART + asked.sweeps)
    with ProcessPoolExecutor(asked.workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        share = float(np.mean(list(pool.map(partial(looks_until_verdict, design, first=3), seeds, chunksize=25))))
    print(f"{design.name:46} false at the first verdict: {share:.3f}", flush=True)
    return share


def _line(design: Design, t: Tally) -> str:
    return (
        f"{design.name:46} {_share(t.covered, t.stated)}  {_share(t.false_reports, t.reports)}          "
        f"{_share(t.false_families, t.families)}     {t.equivalent:6}: {_share(t.wrongly_equal, t.not_equivalent)}     "
        f"{_share(t.had, t.claimed / POWER)}      {_share(t.winners_held, t.winners)}"
    )


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.3f}" if whole else "  -  "


def totals(tallies: Sequence[Tally]) -> list[str]:
    """The lines that sum up all settings."""
    coverage = [t.covered / t.stated for t in tallies if t.stated]
    lines = []
    if coverage:
        lines.append(f"coverage {np.mean(coverage):.4f} {min(coverage):.4f} {max(coverage):.4f}")
    family = max(t.false_families / max(t.families, 1) for t in tallies)
    lines.append(f"false_positive {family:.4f} {max(t.false_reports / t.reports for t in tallies):.4f}")
    wrong = [t.wrongly_equal / t.not_equivalent for t in tallies if t.not_equivalent]
    lines += [f"equivalence {max(wrong):.4f}"] if wrong else []
    short = [POWER - POWER * t.had / t.claimed for t in tallies if t.claimed]
    lines += [f"power {max(short):.4f}"] if short else []
    winners = [t.winners_held / t.winners for t in tallies if t.winners]
    lines += [f"winner {min(winners):.4f}"] if winners else []
    return lines


if __name__ == "__main__":
    sys.exit(main())
