"""Builds the library that the tests load, and finds models: the tiny ones of the shared folder, else the default model."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"

sys.path.insert(0, str(ROOT / "bindings/python"))
if "GABION_LIBRARY" not in os.environ:
    subprocess.run(["cargo", "build", "--quiet", "-p", "gabion-c"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    name = {"win32": "gabion.dll", "darwin": "libgabion.dylib"}.get(sys.platform, "libgabion.so")
    os.environ["GABION_LIBRARY"] = str(target / "debug" / name)


def shared(name: str) -> Path:
    """A test asset, beside the repository or in $GABION_SHARED."""
    return Path(os.environ.get("GABION_SHARED", ROOT.parent / "shared")) / name


def cached(name: str) -> Path:
    """A real model, in $GABION_MODELS or the cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("GABION_MODELS", cache / "gabion")) / name


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """A real model with a chat template."""
    path = cached(SMOLLM2)
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small random models: decoder, encoder, classifier, reranker, fills."""
    program = Path(os.environ["GABION_LIBRARY"]).parent / ("gabion-toys.exe" if sys.platform == "win32" else "gabion-toys")
    if not program.exists():
        pytest.skip(f"{program} is not here: cargo build makes it")
    folder = tmp_path_factory.mktemp("toys")
    subprocess.run([program, folder], check=True)
    return folder


@pytest.fixture(scope="session")
def model_path(request: pytest.FixtureRequest) -> Path:
    """The smallest model there is."""
    tiny = shared("tiny/llama.gguf")
    return tiny if tiny.exists() else request.getfixturevalue("smollm2")


@pytest.fixture(scope="session")
def model(model_path: Path):
    import gabion

    with gabion.Model(model_path, "cpu") as model:
        yield model


@pytest.fixture
def session(model):
    with model.session() as session:
        yield session
