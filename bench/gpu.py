"""swath on one GPU beside a plain tuned loop on images that lie on the GPU, in one run.

    make gpu-check    # or: python bench/gpu.py --tests build/gpu/tests.xml

Every section is a process with a time limit: one that fails costs its rows of the table. One warm-up, then the median
of three pairs in turn, with the lowest and the highest. Weights and images are drawn; nothing is downloaded. `--cpu`
runs all of it on small things without a GPU, to see that it works.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gpu_table

LIMITS_S = {
    "large steps": 85,
    "exact augmentation": 70,
    "heavy augmentation": 85,
    "small steps": 45,
    "super-resolution": 50,
    "halves": 70,
}
"""Name of each section and what it may take."""


def measure_here(section: str, root: Path, cpu: bool, out: Path) -> None:
    """One section, in this process."""
    import torch
    from gpu_sections import SECTIONS
    from gpu_study import QUICK, Size

    if not cpu and not torch.cuda.is_available():
        raise SystemExit("needs a CUDA GPU, and torch sees none; --cpu rehearses without one")
    rows = SECTIONS[section](root, QUICK if cpu else Size(), torch.device("cpu" if cpu else "cuda"))
    out.write_text(json.dumps(rows))


def measure(section: str, limit_s: float, root: Path, cpu: bool) -> list[gpu_table.Row]:
    """One section in a process of its own; a row that says what went wrong where something did."""
    out, log = root / "rows.json", root / "log"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--section", section, "--root", str(root), "--json", str(out)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command + ["--cpu"] * cpu, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return [{"check": section, "error": f"took more than {limit_s:.0f} s"}]
        finally:  # with what it started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode or not out.is_file():
        text = log.read_text(errors="replace").strip()
        print(text[-4000:], file=sys.stderr, flush=True)
        return [{"check": section, "error": (text.splitlines() or [f"exit status {process.returncode}"])[-1][:200]}]
    return json.loads(out.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="rehearse without a GPU")
    parser.add_argument("--tests", type=Path, help="JUnit file of `pytest -m gpu`: its checks come first in the table")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--only", nargs="*", choices=LIMITS_S, default=list(LIMITS_S))
    parser.add_argument("--minutes", type=float, default=4.5, help="for all sections; what does not fit is cut")
    parser.add_argument("--section", choices=LIMITS_S, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.section:
        measure_here(options.section, options.root, options.cpu, options.json)
        return
    root = Path(tempfile.mkdtemp(prefix="swath-gpu-"))
    rows: list[gpu_table.Row] = []
    started = time.monotonic()
    try:
        for section in options.only:
            left = 60 * options.minutes - (time.monotonic() - started)
            limit_s = 600 if options.cpu else min(LIMITS_S[section], left)
            begun = time.monotonic()
            if limit_s > 5:
                rows += measure(section, limit_s, root, options.cpu)
            else:
                rows.append({"check": section, "error": f"no time left of {options.minutes:g} minutes"})
            print(f"{section}: {time.monotonic() - begun:.0f} s", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print()
    sys.exit(gpu_table.show(options.tests, rows, rehearsal=options.cpu))


if __name__ == "__main__":
    main()
