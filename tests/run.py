#!/usr/bin/env python3
"""Every test of gabion, by one command.

    python3 tests/run.py              all steps; what is missing is installed first (Debian, as root or with sudo)
    python3 tests/run.py rust web     only these steps
    python3 tests/run.py --jobs 1     one step after another
    python3 tests/run.py --list       what steps there are

Needs Python 3.9 and Rust. Two steps run at once, as tests leave part of a machine idle that compilers use. A failing step does not
keep others from running; the exit code tells whether one failed.
"""

import argparse
import itertools
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from steps import house, rust, faces  # noqa: F401  (defines the steps, in this order)
from steps.step import CURRENT, STEPS, Failed, Step, say


def run(step: Step) -> tuple:
    """Whether a step passed, its seconds, and why not."""
    say(f"=== {step.name}: {step.about}")
    start = time.monotonic()
    try:
        step.run()
        problem = None
    except Failed as failure:
        problem = str(failure)
    except Exception as error:  # a defect of the step itself must not hide the other steps
        problem = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    say(f"--- {step.name}: {'ok' if problem is None else 'FAILED: ' + problem} ({seconds:.0f} s)")
    return problem is None, seconds, problem


def run_together(steps: list, jobs: int) -> list:
    """Runs steps, some at once, each line of their output behind the step's name."""

    def named(step: Step) -> tuple:
        CURRENT.name = step.name
        return run(step)

    pool = ThreadPoolExecutor(jobs)
    try:
        return list(pool.map(named, steps))
    finally:
        pool.shutdown(cancel_futures=True)  # at Ctrl-C: those that wait do not begin


def run_all(steps: list, jobs: int) -> dict:
    """What `run` tells of each step, by its name."""
    results = {}
    for alone, group in itertools.groupby(steps, lambda step: step.alone):
        group = list(group)
        one_by_one = alone or jobs == 1 or len(group) == 1
        results.update(zip((step.name for step in group), map(run, group) if one_by_one else run_together(group, jobs)))
    return results


def busy() -> float:
    """Processor seconds of all commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def report(results: dict, seconds: float) -> int:
    """Prints the table of steps, and how long they took together; the number of failed ones."""
    print(f"\n{'step':12} {'result':8} {'time':>7}")
    for name, (passed, took, problem) in results.items():
        print(f"{name:12} {'ok' if passed else 'FAILED':8} {took:5.0f} s  {problem or ''}")
    failed = sum(not passed for passed, _, _ in results.values())
    passed, cores = len(results) - failed, busy() / seconds
    print(f"steps: {passed} passed, {failed} failed in {seconds / 60:.1f} min, {cores:.1f} cores busy", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description="Run gabion's tests.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="which steps (default: all)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="steps at once (default: 2)")
    parser.add_argument("--list", action="store_true", help="list the steps")
    args = parser.parse_args()
    unknown = [name for name in args.steps if name not in STEPS]
    if unknown:
        parser.error(f"no step is called {', '.join(unknown)}; there are {', '.join(STEPS)}")
    if args.list:
        print("\n".join(f"{step.name:12} {step.about}" for step in STEPS.values()))
        return 0
    chosen = [step for step in STEPS.values() if not args.steps or step.name in args.steps]
    start = time.monotonic()
    results = run_all(chosen, max(args.jobs, 1))
    return min(report(results, time.monotonic() - start), 1)


if __name__ == "__main__":
    sys.exit(main())
