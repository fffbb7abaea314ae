"""Builds a wheel with the library inside: one for each platform, whatever the Python.

    pip wheel --no-deps bindings/python      needs Rust; GABION_LIBRARY=PATH takes a library that is already built
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parents[2]
NAME = {"win32": "gabion.dll", "darwin": "libgabion.dylib"}.get(sys.platform, "libgabion.so")


def library() -> Path:
    given = os.environ.get("GABION_LIBRARY")
    if given:
        return Path(given)
    subprocess.run(["cargo", "build", "--release", "-p", "gabion-c"], cwd=ROOT, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / NAME


def version() -> str:
    """The workspace's: there is one version, in Cargo.toml."""
    return re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        folder = Path(self.build_lib) / "gabion" / "lib"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(library(), folder / NAME)


class Platform(Distribution):
    def has_ext_modules(self) -> bool:
        """Not pure Python: a wheel for this platform only."""
        return True


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple:
        # no Python extension is in it, so any Python 3 will do
        return "py3", "none", super().get_tag()[2]


commands = {"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel}
setup(version=version(), cmdclass=commands, distclass=Platform)
