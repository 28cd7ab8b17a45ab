#!/usr/bin/env bash
# Packages every crate and builds each from its package: cargo serves them to one another from a registry of its own, so that
# what a crate lacks outside of the repository is missed. check-crates.sh
set -euo pipefail
cd "$(dirname "$0")/.."
target=target/packaging/crates
CARGO_TARGET_DIR=$target cargo package --workspace --exclude xtask --exclude brimful-truth --quiet "$@"
fail() { echo "check-crates: $*" >&2; exit 1; }
count=0
for crate in "$target"/package/*.crate; do
  contents=$(tar --list --file "$crate")
  for part in LICENSE-MIT LICENSE-APACHE README.md; do
    grep -q "^[^/]*/$part\$" <<<"$contents" || fail "$(basename "$crate") lacks $part"
  done
  count=$((count + 1))
done
[ "$count" -eq "$(find crates -mindepth 3 -maxdepth 3 -name Cargo.toml | wc -l)" ] || fail "$count crates were packaged"
echo "check-crates: $count crates are packaged, and each builds from its package"
