#!/bin/sh
# Builds the npm package into dist/. Needs cargo, npm, and the wasm-bindgen CLI of the version in Cargo.toml:
#   cargo install wasm-bindgen-cli --version 0.2.130
# Usage: build.sh [CARGO_PROFILE]; the default `wasm` is small and fast, `dev` builds quicker.
set -eu
cd "$(dirname "$0")"
profile="${1:-wasm}"
out="$profile"
[ "$profile" = dev ] && out=debug
target="${CARGO_TARGET_DIR:-../../target}/wasm32-unknown-unknown/$out"

cargo build -p gabion-wasm --target wasm32-unknown-unknown --profile "$profile"
rm -rf dist
wasm-bindgen --target web --out-dir dist/wasm --out-name gabion "$target/gabion_wasm.wasm"
[ -d node_modules ] || npm ci
npx tsc
