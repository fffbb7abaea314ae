"""The Rust workspace: style, lints, tests, documentation, other platforms."""

import sys

from . import need
from .step import Failed, all_of, say, sh, step

# Built for another platform; a person there has its linker and SDK.
PLATFORMS = ["aarch64-unknown-linux-gnu", "aarch64-linux-android", "aarch64-apple-ios", "x86_64-pc-windows-gnu"]
WASM = "wasm32-unknown-unknown"
ARM = PLATFORMS[0]


@step("fmt", "Rust code is formatted")
def fmt() -> None:
    need.rust()
    sh("cargo", "fmt", "--all", "--check")


@step("quickstart", "the model fetcher of the README's first command")
def quickstart() -> None:
    sh(sys.executable, "-m", "unittest", "discover", "tests/quickstart")


@step("models", "SmolLM2 and Gemma3 are there, and sound", alone=True)
def models() -> None:
    need.fetch("smollm2", "gemma3")


@step("rust", "unit, golden, hostile-input and ABI tests on the CPU and on lavapipe")
def rust() -> None:
    need.rust()
    need.vulkan()
    need.commands("gcc", "g++", "clang", "cmake", "make", "pkg-config", "valgrind")
    # all packages at once, here and in every step: each crate is built with one set of features, once
    sh("cargo", "build")
    sh("cargo", "test", "--no-fail-fast", GABION_REQUIRE_GPU="1")


@step("swiftshader", "the kernels on Chromium's SwiftShader, natively: no f16, subgroups of 4")
def swiftshader() -> None:
    need.rust()
    driver = need.swiftshader()
    # it compiles each kernel for seconds: a few cases are enough, lavapipe has the rest
    few = {"OPS": "n=5 rows=[37]", "GABION_ADAPTER": "SwiftShader", "VK_ICD_FILENAMES": driver}
    sh("cargo", "test", "--test", "gpu", "levels", GABION_REQUIRE_GPU="1", **few)


@step("oracle", "gguf-rs reads the same from the same files")
def oracle() -> None:
    need.rust()
    # it reads headers: what must be compiled anew for its features of serde_json is done in a third of the time without optimising
    sh("cargo", "test", "-p", "gabion-oracle", CARGO_PROFILE_DEV_OPT_LEVEL="0")


@step("clippy", "no lint has a complaint")
def clippy() -> None:
    need.rust()
    need.target(WASM)
    strict = ["--", "-D", "warnings"]
    all_of([
        lambda: sh("cargo", "clippy", "--all-targets", *strict),
        lambda: sh("cargo", "clippy", "-p", "gabion-wasm", "--target", WASM, *strict),
    ])


@step("doc", "documentation builds, its links lead somewhere")
def doc() -> None:
    need.rust()
    sh("cargo", "doc", "--no-deps", RUSTDOCFLAGS="-D warnings")


@step("cross", "the core compiles for phones, Windows and ARM servers")
def cross() -> None:
    need.rust()
    others = [triple for triple in PLATFORMS if triple != ARM]  # which `neon` builds
    there = [triple for triple in others if need.target(triple)]
    for triple in set(others) - set(there):
        say(f"skipped: rustup does not bring {triple} here")
    if not there:
        raise Failed("no other platform's target could be added")
    sh("cargo", "check", "-p", "gabion", "--keep-going", *(f"--target={triple}" for triple in there))


@step("neon", "each fifth op case on ARM's vector instructions, in an emulator: with and without dot products")
def neon() -> None:
    need.rust()
    need.commands("qemu-aarch64", "aarch64-linux-gnu-gcc")
    if not need.target(ARM):
        raise Failed(f"rustup does not bring the target {ARM}")
    # a processor that has every extension, and one that has none: there, only products differ, of each type in one shape
    emulated("max", LEVEL="NEON", STEP="5")
    emulated("cortex-a57", LEVEL="NEON", OPS="rows=[37]")


def emulated(processor: str, **more: str) -> None:
    """The op cases on an ARM processor. GPUs are left out: they are most of what would be compiled."""
    cargo = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU"
    tools = {
        f"{cargo}_LINKER": "aarch64-linux-gnu-gcc",
        f"{cargo}_RUNNER": f"qemu-aarch64 -cpu {processor} -L /usr/aarch64-linux-gnu",
    }
    which = ["-p", "gabion-tests", "--no-default-features", "--target", ARM, "--test", "ops"]
    sh("cargo", "test", *which, "every_level", "--", "--nocapture", **tools, **more)
