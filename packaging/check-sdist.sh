#!/usr/bin/env bash
# Builds a wheel from the source distribution as pip does where there is no wheel: check-sdist.sh SDIST
set -euo pipefail
sdist=$(realpath "${1:?"usage: packaging/check-sdist.sh SDIST"}")
fail() { echo "check-sdist: $*" >&2; exit 1; }
clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
contents=$(tar --list --file "$sdist")
for part in Cargo.lock LICENSE-MIT LICENSE-APACHE README.md pyproject.toml crates/rehearse/virtual-gpu/data/symbols.tsv; do
  grep -q "^[^/]*/$part\$" <<<"$contents" || fail "the sdist lacks $part"
done
# Nothing of the repository is in reach: what the sdist lacks is missed.
cd "$clean"
python3 -m venv venv
venv/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist "$sdist"
venv/bin/pip install --quiet --disable-pip-version-check --no-index --no-deps dist/*.whl
version=$(venv/bin/brimful --version)
[[ "$(basename "$sdist")" == "${version/ /-}.tar.gz" ]] || fail "$(basename "$sdist") builds $version"
venv/bin/brimful fit llama-3-8b --gpu l4 --json >fit.json || [ $? -eq 1 ]
grep -q '"schema":"brimful.fit/1"' fit.json || fail "fit answers $(head -c 300 fit.json)"
echo "check-sdist: $version builds from its sdist and answers"
