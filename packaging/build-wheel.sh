#!/usr/bin/env bash
# Builds the wheel (and with --sdist the source distribution) into a folder: build-wheel.sh [--sdist] FOLDER
#
# maturin and zig come from PyPI into target/packaging/tools. zig links against glibc 2.17, so that the wheel is
# manylinux2014 whatever glibc this machine has.
set -euo pipefail
cd "$(dirname "$0")/.."
sdist=
[ "${1:-}" = --sdist ] && { sdist=yes; shift; }
out=${1:?"usage: packaging/build-wheel.sh [--sdist] FOLDER"}

tools=target/packaging/tools
if [ ! -x "$tools/bin/maturin" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2' ziglang auditwheel
fi
# The time of the last commit stands for the time of the build, and neither this machine's folders nor its caches are
# named in the binary: the same commit gives the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
RUSTFLAGS="--remap-path-prefix=$PWD=brimful --remap-path-prefix=$cargo_home=cargo"
export SOURCE_DATE_EPOCH RUSTFLAGS
PATH="$PWD/$tools/bin:$PATH" CARGO_TARGET_DIR="${BRIMFUL_PACKAGING_TARGET:-target/packaging/build}" \
  "$tools/bin/maturin" build --release --zig --target "$(uname -m)-unknown-linux-gnu" --compatibility manylinux2014 \
  --out "$out"
# `maturin build --sdist` would build the wheel in a folder of a random name, which the binary would hold.
[ -z "$sdist" ] || "$tools/bin/maturin" sdist --out "$out"
