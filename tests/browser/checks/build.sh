#!/bin/sh
# Builds the checks into dist/, with the tools that bindings/wasm/build.sh needs. Usage: build.sh [CARGO_PROFILE]
set -eu
cd "$(dirname "$0")"
profile="${1:-wasm}"
out="$profile"
[ "$profile" = dev ] && out=debug
target="${CARGO_TARGET_DIR:-../../../target}/wasm32-unknown-unknown/$out"

cargo build -p gabion-browser-checks --target wasm32-unknown-unknown --profile "$profile"
rm -rf dist
wasm-bindgen --target web --out-dir dist --out-name checks "$target/gabion_browser_checks.wasm"
