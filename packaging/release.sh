#!/usr/bin/env bash
# Makes everything that a release publishes, and publishes nothing: release.sh [--dry-run] [FOLDER]
#
# Into FOLDER (target/packaging/release where none is given): the wheel, the sdist, the archive for `cargo binstall` with
# completions and man pages, the software bill of materials, SHA256SUMS. --dry-run allows uncommitted changes and a commit
# without the version's tag.
set -euo pipefail
cd "$(dirname "$0")/.."
dry=
[ "${1:-}" = --dry-run ] && { dry=yes; shift; }
out=${1:-target/packaging/release}
fail() { echo "release: $*" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
target=$(uname -m)-unknown-linux-gnu
if [ -z "$dry" ]; then
  [ -z "$(git status --porcelain)" ] || fail "there are uncommitted changes; commit them, or try --dry-run"
  git tag --points-at HEAD | grep -qx "v$version" || fail "the commit has no tag v$version; git tag v$version, or try --dry-run"
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

packaging/build-wheel.sh --sdist "$out"

# The archive has the wheel's own binary: one build, one glibc, one set of bytes to trust.
name=brimful-$version-$target
mkdir -p "$work/$name/completions" "$work/$name/man"
python3 -m zipfile -e "$out"/*.whl "$work/wheel"
install -m 755 "$work/wheel/brimful-$version.data/scripts/brimful" "$work/$name/brimful"
cp README.md LICENSE-MIT LICENSE-APACHE "$work/$name/"
for shell in bash zsh fish elvish powershell; do
  "$work/$name/brimful" completions "$shell" >"$work/$name/completions/brimful.$shell"
done
"$work/$name/brimful" man "$work/$name/man"
# Order, owners and times are fixed: the same commit gives the same archive.
tar --create --directory "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "$name" |
  gzip --no-name --best >"$out/$name.tgz"

cargo run --quiet --package xtask -- sbom "$target" >"$out/brimful-$version.cdx.json"
(cd "$out" && sha256sum -- *.whl *.tar.gz *.tgz *.cdx.json >SHA256SUMS && sha256sum --check --quiet SHA256SUMS)
cat "$out/SHA256SUMS"
echo "release: $version for $target is in $out; packaging/README.md says how it is published"
