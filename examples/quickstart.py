#!/usr/bin/env python3
"""One command from a fresh checkout to generated text.

    python3 examples/quickstart.py "Why is the sky blue?"

Installs what is missing (a C linker and pip, on Debian and its kin), builds the command line tool, fetches a small
model (checked by sha256, kept in a cache folder) and answers. Needs Python 3.9 and Rust; nothing else.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import models
from models import note

REPOSITORY = Path(__file__).resolve().parent.parent
PROMPT = "Why is the sky blue? Answer in two sentences."
# The model that only continues texts gets no question.
BASE_PROMPT = "The sky is blue because"


class SetupError(Exception):
    """What is missing and how to get it."""


def install(packages: list) -> None:
    """Installs Debian packages, or says which command does."""
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    advice = f"please run: sudo {' '.join(command)}"
    if shutil.which("apt-get") is None:
        raise SetupError(f"missing: {', '.join(packages)} (Debian's names). Install them with your system's package manager")
    if os.geteuid() == 0:
        prefix = []
    elif shutil.which("sudo") and (sys.stdin.isatty() or succeeds(["sudo", "-n", "true"])):
        prefix = ["sudo"]
    else:
        raise SetupError(advice)
    note(f"installing {', '.join(packages)}")
    for step in (["apt-get", "update"], command):
        if subprocess.run([*prefix, *step], stdout=sys.stderr).returncode != 0:
            raise SetupError(advice)


def succeeds(command: list) -> bool:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def install_missing(build: bool) -> None:
    """What the build and the fetch stand on."""
    packages = []
    if build and shutil.which("cc") is None:
        packages += ["gcc", "libc6-dev"]
    if importlib.util.find_spec("pip") is None:
        packages.append("python3-pip")
    if packages:
        install(packages)
        importlib.invalidate_caches()
    if build and shutil.which("cargo") is None:
        raise SetupError("Rust is missing: install it with rustup (https://rustup.rs), then run this again")


def build() -> Path:
    """Builds the command line tool and returns its path, which cargo alone knows for certain."""
    note("building gabion (the first time takes some minutes)")
    command = ["cargo", "build", "--release", "-p", "gabion-cli", "--message-format", "json-render-diagnostics"]
    result = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise SetupError("the build failed; cargo's messages above say why")
    for message in map(json.loads, result.stdout.splitlines()):
        if message.get("executable") and message["target"]["name"] == "gabion":
            return Path(message["executable"])
    raise SetupError("cargo named no executable")


def run(command: list) -> int:
    """Runs a command that handles Ctrl-C itself."""
    # Mesa's drivers complain on stderr where a container has no such folder
    environment = {"XDG_RUNTIME_DIR": tempfile.gettempdir(), **os.environ}
    process = subprocess.Popen(command, env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def generate(gabion: Path, model: Path, args: argparse.Namespace) -> int:
    chat = args.model == "smollm2"
    prompt = args.prompt or (PROMPT if chat else BASE_PROMPT)
    note(f"{prompt}\n")
    command = [str(gabion), "run", "-m", str(model), "-p", prompt, "-n", str(args.n_predict), "--device", args.device]
    status = run(command + (["--chat", "--temp", "0.2"] if chat else []))
    if status == 0:
        note(f"\nTo talk with it: {gabion} chat -m {model}" if chat else "")
    return status


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build gabion, fetch a small model, generate text.")
    parser.add_argument("prompt", nargs="?", help="what to ask (default: about the sky)")
    parser.add_argument("--model", choices=models.MODELS, default="smollm2", help="which model (default: smollm2)")
    parser.add_argument("--fetch-only", action="store_true", help="only fetch the model and print its path")
    parser.add_argument("--device", default="auto", help="auto, cpu, gpu or part of an adapter's name")
    parser.add_argument("-n", "--n-predict", type=int, default=200, help="most tokens to generate (default: 200)")
    return parser.parse_args()


def main() -> int:
    args = parse()
    try:
        install_missing(build=not args.fetch_only)
        if args.fetch_only:
            print(models.fetch(models.MODELS[args.model]))
            return 0
        gabion = build()
        return generate(gabion, models.fetch(models.MODELS[args.model]), args)
    except (SetupError, models.FetchError, OSError) as error:
        note(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
