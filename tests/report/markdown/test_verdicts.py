"""What a report says of effects: its words against the numbers they stand for."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from swath.analysis.analyse import analyse
from swath.analysis.effects.paired_effects import Effect
from swath.report.markdown.leaderboard import leaderboard
from swath.report.report_json import numbers
from swath.report.sentences import remarks, verdict_sentences
from swath.store.storage import Storage
from tests.support.fake_store import CHAINS, LOSSES, FakeTask, FakeTrial, Study, write_study


def study(path: Path, seeds: int = 4, failed: int = 0, matters: float = 0.005, **more: Any) -> Study:
    """Sharpening helps, the loss does nothing; with a few trials of the sharpened ones failed."""
    trials = [
        FakeTrial(p, loss=n, seed=s, quality=0.6 + 0.6 * (p != "raw"), **more)
        for s, p, n in itertools.product(range(seeds), CHAINS, LOSSES)
    ]
    for trial in [t for t in trials if t.preprocess != "raw"][:failed]:
        trial.state = "FAILED"
    extra = {"matters": matters}
    return write_study(Storage(str(path)), [FakeTask(train=600)], {"scenes": trials}, rule="", extra=extra)


def analysed(path: Path, **more: Any) -> tuple[dict[str, Effect], str, str, dict[str, Any]]:
    """Effects by factor, the leaderboard and the verdict sentences on one line each, and report.json."""
    results = study(path, **more).read()
    analysis = analyse(results.tasks[0])
    text = " ".join(leaderboard(results, [analysis], [{}]).split())
    said = " ".join(line.plain() for line in verdict_sentences(analysis))
    return {e.factor: e for e in analysis.effects.effects}, text, said, numbers(results, [analysis])


def interval(e: Effect) -> str:
    assert e.estimate is not None
    return f"{100 * e.estimate.low:+.1f} to {100 * e.estimate.high:+.1f} points"


def test_what_matters_to_the_study_is_said_in_points(tmp_path: Path) -> None:
    effects, text, said, kept = analysed(tmp_path, matters=0.08)
    loss = effects["loss"]
    assert (effects["preprocess"].verdict, loss.verdict) == ("better", "equivalent")
    assert f"Practically equal, by less than 8 points: focal against bce ({interval(loss)})." in said
    assert "smaller than 8 points, which is what matters here" in text
    level = next(f["levels"][0] for f in kept["tasks"][0]["effects"] if f["factor"] == "loss")
    assert level["equivalence_p"] == pytest.approx(loss.equivalence_p)
    assert level["verdict"] == f"focal: equivalent ({interval(loss)})"


def test_what_is_neither_is_undecided_with_what_it_would_take(tmp_path: Path) -> None:
    effects, text, said, _ = analysed(tmp_path)
    better, loss = effects["preprocess"], effects["loss"]
    assert (better.verdict, loss.verdict) == ("better", "undecided")
    assert better.estimate is not None
    points, low, high = (100 * x for x in (better.estimate.difference, better.estimate.low, better.estimate.high))
    shown = f"grayscale|sharpen is {points:.1f} points better than raw ({low:.1f} to {high:.1f}"
    assert f"What made a difference: {shown}, with a confound" in said
    assert f"Undecided: focal against bce ({interval(loss)})." in said
    assert better.power is not None
    assert loss.power is not None
    could = f"preprocess {100 * better.power.smallest:.1f}, loss {100 * loss.power.smallest:.1f}."
    assert f"would have shown four times in five, in points: {could}" in said
    assert any("a difference of 0.5 points" in remark for remark in remarks(loss))
    assert "smaller than 0.5 points, which is what matters here" in text
    assert "p is multiplied by the number of comparisons of this task (Bonferroni)" in text


def test_failures_are_said_with_how_far_they_reach(tmp_path: Path) -> None:
    effects, text, _, _ = analysed(tmp_path, seeds=6, failed=3)
    e = effects["preprocess"]
    assert e.lost is not None
    assert e.estimate is not None
    low, high = 100 * (e.estimate.difference - e.lost.too_high), 100 * (e.estimate.difference + e.lost.too_low)
    remark = next(r for r in remarks(e) if "failed" in r)
    assert "of its trials 3 failed with grayscale|sharpen, 0 with raw" in remark
    assert f"would be between {low:+.1f} and {high:+.1f} points" in remark
    assert "3 failed with grayscale" in text


def test_one_seed_with_shared_random_numbers_states_no_interval(tmp_path: Path) -> None:
    effects, _, said, _ = analysed(tmp_path, seeds=1, streams="common")
    assert {e.verdict for e in effects.values()} == {"no interval"}
    assert "For 2 comparisons no interval can be stated" in said
    assert "No choice is shown" not in said  # nothing was judged
