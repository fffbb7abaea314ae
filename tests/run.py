#!/usr/bin/env python3
"""Every test of gabion, by one command.

    python3 tests/run.py              all steps; what is missing is installed first (Debian, as root or with sudo)
    python3 tests/run.py rust web     only these steps
    python3 tests/run.py --list       what steps there are

Needs Python 3.9 and Rust. A failing step does not keep later ones from running; the exit code tells whether one failed.
"""

import argparse
import resource
import sys
import time

from steps import house, rust, faces  # noqa: F401  (defines the steps, in this order)
from steps.step import STEPS, Failed, Step


def busy() -> float:
    """Processor seconds of all commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def run(step: Step) -> tuple:
    """Whether a step passed, its seconds, the processors it kept busy, and why it failed."""
    print(f"\n=== {step.name}: {step.about}", flush=True)
    start, before = time.monotonic(), busy()
    try:
        step.run()
        problem = None
    except Failed as failure:
        problem = str(failure)
    except Exception as error:  # a defect of the step itself must not hide the other steps
        problem = f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    print(f"--- {step.name}: {'ok' if problem is None else 'FAILED: ' + problem} ({seconds:.0f} s)", flush=True)
    return problem is None, seconds, (busy() - before) / seconds, problem


def report(results: dict) -> int:
    """Prints the table of steps; the number of failed ones."""
    print(f"\n{'step':12} {'result':8} {'time':>7} {'cores':>5}")
    for name, (passed, seconds, cores, problem) in results.items():
        print(f"{name:12} {'ok' if passed else 'FAILED':8} {seconds:5.0f} s {cores:5.1f}  {problem or ''}")
    failed = sum(not passed for passed, *_ in results.values())
    total = sum(seconds for _, seconds, *_ in results.values())
    print(f"steps: {len(results) - failed} passed, {failed} failed in {total / 60:.1f} min", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description="Run gabion's tests.")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="which steps (default: all)")
    parser.add_argument("--list", action="store_true", help="list the steps")
    args = parser.parse_args()
    unknown = [name for name in args.steps if name not in STEPS]
    if unknown:
        parser.error(f"no step is called {', '.join(unknown)}; there are {', '.join(STEPS)}")
    if args.list:
        print("\n".join(f"{step.name:12} {step.about}" for step in STEPS.values()))
        return 0
    chosen = [step for step in STEPS.values() if not args.steps or step.name in args.steps]
    return min(report({step.name: run(step) for step in chosen}), 1)


if __name__ == "__main__":
    sys.exit(main())
