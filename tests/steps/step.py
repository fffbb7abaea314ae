"""What a step is, and how it runs commands."""

import os
import subprocess
import threading
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Union

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
# tools that steps install for themselves, without touching the user's own
TOOLS = TARGET / "tools"


class Step(NamedTuple):
    name: str
    about: str
    run: Callable[[], None]
    # whether it wants the machine for itself
    alone: bool


class Failed(Exception):
    """Why a step failed, in a line."""


STEPS: Dict[str, Step] = {}


def step(name: str, about: str, alone: bool = False) -> Callable:
    """Registers a function as a step; steps begin in the order in which they are defined."""

    def register(function: Callable[[], None]) -> Callable[[], None]:
        STEPS[name] = Step(name, about, function, alone)
        return function

    return register


class Current(threading.local):
    """Of each thread that runs a step beside others: the step's name, which all that is printed there bears."""

    name: Optional[str] = None


CURRENT = Current()


def say(text: str) -> None:
    """Prints a line."""
    print((f"{CURRENT.name:11} | {text}" if CURRENT.name else text) + "\n", end="", flush=True)


def environment(**more: str) -> Dict[str, str]:
    """The environment of every command: one target folder, tools of our own first."""
    path = os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", "")])
    # symbols for every backtrace of an expected panic cost minutes
    fixed = {"PATH": path, "CARGO_TARGET_DIR": str(TARGET), "RUST_BACKTRACE": "0"}
    # build folders of a throw-away checkout are never built twice
    if os.environ.get("CI"):
        fixed["CARGO_INCREMENTAL"] = "0"
    return {**os.environ, **fixed, **more}


def sh(*command: Union[str, Path], cwd: Union[str, Path] = ".", **more: str) -> None:
    """Runs a command in a folder of the repository; its output is the step's."""
    words = [str(word) for word in command]
    say(f"$ {' '.join(words)}")
    options = dict(cwd=ROOT / cwd, env=environment(**more), stdin=subprocess.DEVNULL)
    if CURRENT.name:
        code = relayed(words, options)
    else:
        code = subprocess.run(words, **options).returncode
    if code != 0:
        raise Failed(f"{words[0]} ended with {code}: {' '.join(words)}")


def relayed(words: List[str], options: dict) -> int:
    """Runs a command and says each line that it prints; its exit code."""
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    with subprocess.Popen(words, **options, **pipes) as process:
        for line in process.stdout:
            say(line.rstrip("\n"))
    return process.returncode


def output(*command: Union[str, Path]) -> Optional[str]:
    """What a command prints; None if it fails or is not there."""
    try:
        result = subprocess.run(command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return None
    return result.stdout if result.returncode == 0 else None


def tracked(*patterns: str) -> List[Path]:
    """Files of the repository that match git's patterns; new ones that are not ignored count too."""
    listed = output("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns)
    if listed is None:
        raise Failed("git does not list the repository's files")
    return sorted(path for path in {ROOT / line for line in listed.splitlines()} if path.is_file())


def all_of(checks: Sequence[Callable[[], None]]) -> None:
    """Runs every check, then fails if one did."""
    failures = []
    for check in checks:
        try:
            check()
        except Failed as failure:
            failures.append(str(failure))
            say(f"failed: {failure}")
    if failures:
        raise Failed("; ".join(failures))
