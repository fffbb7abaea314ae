"""Installs what a step needs and does not find: Debian packages, Rust targets, tools, models."""

import ctypes.util
import re
import shutil
import sys
import threading
from pathlib import Path

from . import step
from .step import Failed, ROOT, TARGET, TOOLS, output, say, sh

sys.path.insert(0, str(ROOT / "examples"))
import models  # noqa: E402
import quickstart  # noqa: E402

# command: Debian package that brings it
PACKAGES = {
    "cc": "gcc", "gcc": "gcc", "g++": "g++", "clang": "clang", "cmake": "cmake", "make": "make", "pkg-config": "pkg-config",
    "valgrind": "valgrind", "node": "nodejs", "npm": "npm", "chromium": "chromium", "git": "git",
    "qemu-aarch64": "qemu-user", "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
}
# package: the C library that it does not bring
LIBC = {"gcc": "libc6-dev", "gcc-aarch64-linux-gnu": "libc6-dev-arm64-cross"}

# where Chromium's packages keep SwiftShader
SWIFTSHADER = ["/usr/lib/chromium/vk_swiftshader_icd.json", "/usr/lib/chromium-browser/vk_swiftshader_icd.json"]


# one step at a time installs
INSTALLING = threading.Lock()


def commands(*names: str) -> None:
    """Programs on the path."""
    packages = [PACKAGES[name] for name in names if shutil.which(name) is None]
    install(packages + [LIBC[package] for package in packages if package in LIBC])


def vulkan() -> None:
    """Vulkan's loader and lavapipe, the GPU that every machine has."""
    driver = any(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))
    install(([] if ctypes.util.find_library("vulkan") else ["libvulkan1"]) + ([] if driver else ["mesa-vulkan-drivers"]))


def swiftshader() -> str:
    """SwiftShader's Vulkan driver, which Chromium brings."""
    vulkan()
    commands("chromium")
    found = [str(path) for path in map(Path, SWIFTSHADER) if path.exists()]
    if not found:
        raise Failed(f"SwiftShader is not beside Chromium: none of {', '.join(SWIFTSHADER)}")
    return found[0]


def install(packages: list) -> None:
    if not packages:
        return
    try:
        with INSTALLING:
            quickstart.install(sorted(set(packages)))
    except quickstart.SetupError as error:
        raise Failed(str(error)) from error


def rust() -> None:
    """cargo, and a linker for it."""
    if shutil.which("cargo") is None:
        raise Failed("Rust is missing: install it with rustup (https://rustup.rs)")
    commands("cc")


def target(triple: str) -> bool:
    """The standard library for another platform; False where rustup cannot bring it."""
    installed = output("rustup", "target", "list", "--installed")
    if installed is None:
        raise Failed(f"rustup is missing: it brings the target {triple}")
    if triple in installed.split():
        return True
    say(f"adding the Rust target {triple}")
    with INSTALLING:
        return output("rustup", "target", "add", triple) is not None


def wasm_bindgen() -> None:
    """The tool of exactly the version that Cargo.lock holds: the two must agree."""
    lock = (ROOT / "Cargo.lock").read_text()
    version = re.search(r'name = "wasm-bindgen"\nversion = "([^"]+)"', lock).group(1)
    if version in (output("wasm-bindgen", "--version") or "").split():
        return
    sh("cargo", "install", "wasm-bindgen-cli", "--version", version, "--root", TOOLS, "--debug")


def fetch(*names: str) -> None:
    """Models, into the cache folder where the tests look for them."""
    if output(sys.executable, "-m", "pip", "--version") is None:
        install(["python3-pip"])
    for name in names:
        try:
            models.fetch(models.MODELS[name])
        except (models.FetchError, OSError) as error:
            raise Failed(str(error)) from error


def python(*packages: str) -> Path:
    """A Python of our own with these packages; the system's stays as it is."""
    folder = TARGET / "venv"
    interpreter = folder / "bin" / "python"
    if output(interpreter, "-m", "pip", "--version") is None:
        if output(sys.executable, "-c", "import ensurepip, venv") is None:
            install(["python3-venv"])
        sh(sys.executable, "-m", "venv", "--clear", folder)
    sh(interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return interpreter
