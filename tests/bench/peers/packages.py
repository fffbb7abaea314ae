"""The peers' packages and gabion's own build. Packages are kept in a folder of their own in the cache, made on first use."""

import functools
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))
from steps import need, step
from steps.need import models

CPU = "xllamacpp==2026.10.11549"
# its CPU part is chosen when it is loaded: it runs on any x86-64
VULKAN = "@node-llama-cpp/linux-x64-vulkan@3.22.1"
BROWSER = "@wllama/wllama@3.8.1"
NPM_QUIET = ["--no-audit", "--no-fund", "--silent"]


def home() -> Path:
    return models.cache_folder() / "peers"


def environment() -> Path:
    """The folder with the Python that has the packages of PyPI."""
    if not (home() / "bin/pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home())], check=True)
    pip = [str(home() / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", CPU, "numpy"]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    return home() / "bin"


def npm(package: str) -> Path:
    """The folder of a package of npm's."""
    need.commands("node", "npm")
    command = ["npm", "install", "--ignore-scripts", "--prefix", str(home()), *NPM_QUIET, package]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return home() / "node_modules" / package.rpartition("@")[0]


@functools.cache
def web() -> None:
    """gabion's npm package, and what drives Chromium."""
    need.target("wasm32-unknown-unknown")
    need.commands("node", "npm", "chromium")
    need.wasm_bindgen()
    options = {"env": step.environment(), "stdout": sys.stderr, "check": True}
    subprocess.run(["npm", "ci", *NPM_QUIET], cwd=REPOSITORY / "tests/browser", **options)
    subprocess.run(["sh", "bindings/wasm/build.sh"], cwd=REPOSITORY, **options)


def build() -> Path:
    """gabion's release build."""
    command = ["cargo", "build", "--release", "-p", "gabion-cli", "--message-format", "json-render-diagnostics"]
    result = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    return Path([m["executable"] for m in messages if m.get("executable")][-1])
