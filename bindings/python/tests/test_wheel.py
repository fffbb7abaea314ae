"""The wheel and the example: built, installed in a fresh environment, and run as a user would."""

import os
import subprocess
import sys
import venv
import zipfile

import pytest
from conftest import ROOT

RUN = """
import sys, gabion
assert gabion.__file__.startswith(sys.prefix), gabion.__file__
with gabion.Model(sys.argv[1], "cpu") as model, model.session() as session:
    print(len([p for p in session.events("hello", max_tokens=5, ignore_eog=True) if p.token is not None]), gabion.version())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # the library that was built for these tests goes in: no second build
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, "."]
    subprocess.run(command, cwd=ROOT / "bindings/python", check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


def test_tag_and_contents(wheel):
    assert wheel.name.startswith("gabion-") and "-py3-none-" in wheel.name
    assert "any" not in wheel.stem.rsplit("-", 1)[1]
    names = zipfile.ZipFile(wheel).namelist()
    assert "gabion/py.typed" in names
    assert any(name.startswith("gabion/lib/") for name in names)


def test_runs_in_a_fresh_environment(wheel, model_path, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    alone = {k: v for k, v in os.environ.items() if k not in ("GABION_LIBRARY", "PYTHONPATH")}
    install = [python, "-m", "pip", "install", "--quiet", "--no-index", wheel]
    subprocess.run(install, check=True, env=alone)
    result = subprocess.run([python, "-c", RUN, model_path], check=True, env=alone, cwd=tmp_path, capture_output=True)
    count, version = result.stdout.split()
    assert int(count) == 5
    assert version.decode() in wheel.name


def test_example(model_path, smollm2, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python")}
    command = [sys.executable, ROOT / "examples/python/chat.py", smollm2, "cpu", "6"]
    result = subprocess.run(command, input="Hi\n", env=environment, check=True, capture_output=True, text=True)
    assert result.stdout.strip()
    assert "loading 100 %" in result.stderr
    missing = subprocess.run(command[:2] + ["missing.gguf", "cpu"], env=environment, capture_output=True, text=True)
    assert missing.returncode == 1 and "missing.gguf" in missing.stderr
