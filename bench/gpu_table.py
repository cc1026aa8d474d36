"""The table that ends `make gpu-check`: checks of `pytest -m gpu`, then what `gpu.py` measured, with targets.

python bench/gpu_table.py build/gpu/tests.xml build/gpu/bench.json
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Row = dict[str, Any]
Line = tuple[str, str, str, str]
"""Check, verdict, target, measured."""
PASSED = ("passed", "met", "information", "rehearsed")


def tested(file: Path | None) -> list[Line]:
    """A line for each test of a JUnit file."""
    if file is None:
        return []
    if not file.is_file():
        return [("tests", "FAILED", "", f"there is no {file}: they did not end")]
    lines = []
    for case in ElementTree.parse(file).getroot().iter("testcase"):
        name = case.get("name", "").removeprefix("test_").replace("_", " ")
        notes = [p.get("value", "") for p in case.iter("property") if p.get("name") == "measured"]
        verdict = "passed"
        for kind in ("skipped", "failure", "error"):
            if (problem := case.find(kind)) is not None:
                verdict = "skipped" if kind == "skipped" else "FAILED"
                message = (problem.get("message") or "").strip().splitlines()
                notes += message[:1]
        lines.append((name, verdict, "", "; ".join(notes)))
    return lines


def benched(rows: list[Row], rehearsal: bool) -> list[Line]:
    """A line for each row that was measured."""
    lines = []
    for row in rows:
        value, target = row.get("value"), row.get("target")
        if "error" in row:
            lines.append((row["check"], "FAILED", "", row["error"]))
            continue
        if rehearsal:
            verdict = "rehearsed"
        elif value is None:
            verdict = "no reading"
        elif target is None:
            verdict = "information"
        else:
            verdict = "met" if value >= target else "MISSED"
        spread = f" ({row['low']:.2f} to {row['high']:.2f})" if "low" in row else ""
        shown = "" if value is None else f"{value:.2f}{spread}; "
        lines.append((row["check"], verdict, "" if target is None else f"{target:.2f}", shown + row["detail"]))
    return lines


def show(tests: Path | None, rows: list[Row], rehearsal: bool = False) -> int:
    """Print the table; 1 if a check failed, a target was missed, or something was not measured."""
    lines = [*tested(tests), *benched(rows, rehearsal)]
    table = [("check", "", "target", "measured"), *lines]
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    print(card())
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=False)) + "  " + line[3])
    failed = sum(verdict not in PASSED for _, verdict, _, _ in lines)
    print(f"{len(lines) - failed} of {len(lines)} as they should be")
    return int(failed > 0)


def card() -> str:
    """Name of the GPU and its driver."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "no GPU"


if __name__ == "__main__":
    bench = Path(sys.argv[2])
    sys.exit(show(Path(sys.argv[1]), json.loads(bench.read_text()) if bench.is_file() else []))
