"""The faces that other tools build and test: Python, and the web package with its page in a real browser."""

import functools

from . import need
from .rust import WASM
from .step import TARGET, sh, step


@step("python", "the Python package: against the header, on models, as a wheel in a fresh environment")
def python() -> None:
    need.rust()
    need.commands("gcc")
    interpreter = need.python("pytest", "setuptools>=70.1")
    sh("cargo", "build")
    library = TARGET / "debug" / "libgabion.so"
    sh(interpreter, "-m", "pytest", "-q", cwd="bindings/python", GABION_LIBRARY=str(library))


@step("wasm", "the npm package is built, and what the browser's tests need")
@functools.cache
def wasm() -> None:
    need.rust()
    need.target(WASM)
    need.commands("node", "npm")
    need.wasm_bindgen()
    sh("sh", "bindings/wasm/build.sh")
    sh("sh", "tests/browser/checks/build.sh")


@step("web", "the npm package and its chat page in Chromium: WebGPU on SwiftShader, and the CPU", alone=True)
def web() -> None:
    wasm()  # once, also where both steps run
    need.commands("chromium")
    need.fetch("smollm2")
    # the native answers that the browser's are compared with
    sh("cargo", "build")
    sh("npm", "ci", "--no-audit", "--no-fund", cwd="tests/browser")
    sh("npm", "test", cwd="tests/browser")
