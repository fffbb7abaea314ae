"""Rules of the house that no compiler checks."""

import re

from .step import Failed, ROOT, say, step, tracked

# longest file of a kind, in lines
LIMITS = {".rs": 600, ".ts": 600, ".py": 600, ".hpp": 600, ".wgsl": 200}
# a path of somebody's machine, in a file meant for everyone
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:work|root|home/\w+|Users/\w+)/")


def lengths() -> list:
    """Files that are too long to read in one go."""
    found = []
    for path in tracked(*(f"*{suffix}" for suffix in LIMITS)):
        lines = path.read_text().count("\n")
        if lines > LIMITS[path.suffix]:
            found.append(f"{path.relative_to(ROOT)} has {lines} lines, the limit is {LIMITS[path.suffix]}")
    return found


def paths() -> list:
    """Files that name a folder of one machine."""
    found = []
    for path in tracked():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue  # not text
        hits = [number for number, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
        found += [f"{path.relative_to(ROOT)}:{number} names a folder of one machine" for number in hits]
    return found


def headings() -> list:
    """Rust modules that do not begin by saying what they own."""
    sources = tracked("*.rs")
    return [f"{path.relative_to(ROOT)} has no //! at its top" for path in sources if not path.read_text().startswith(("//!", "#!"))]


@step("house", "file lengths, no machine's paths, every module says what it owns")
def house() -> None:
    broken = {rule.__name__: rule() for rule in (lengths, paths, headings)}
    for places in broken.values():
        for place in places:
            say(place)
    failed = [name for name, places in broken.items() if places]
    say(f"house: {len(broken) - len(failed)} passed, {len(failed)} failed")
    if failed:
        raise Failed(f"rules broken: {', '.join(failed)}")
