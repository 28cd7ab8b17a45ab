#!/usr/bin/env bash
# The two first contacts that README.md promises, each on a machine as a newcomer has it (an empty home, no cache, nothing of
# this checkout but what is committed): check-first-contact.sh [WHEEL]
#
# With Python only: the wheel is installed and answers (check-wheel.sh). With Rust only: a clone, and README's first command.
# README's second command is what `.ci/run` runs as its tests.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "check-first-contact: $*" >&2; exit 1; }

clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
mkdir "$clean/home"
git clone --quiet --no-hardlinks . "$clean/brimful"
# The first line of the first code block that is a command for cargo.
command=$(awk '/^```/ { inside = !inside; next } inside && /^cargo / { print; exit }' README.md)
[ -n "$command" ] || fail "README.md opens with no command for cargo"
# Rust itself is there, as the README says; what cargo downloads and builds is not.
rust=$(dirname "$(command -v cargo)")
keep=()
for name in http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY SSL_CERT_FILE SSL_CERT_DIR; do
  [ -z "${!name:-}" ] || keep+=("$name=${!name}")
done
bare() {
  (cd "$clean/brimful" && env -i "${keep[@]}" HOME="$clean/home" CARGO_HOME="$clean/home/.cargo" CARGO_TERM_COLOR=never \
    RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" PATH="$rust:/usr/bin:/bin" LANG=C.UTF-8 "$@" 2>"$clean/said")
}
# A registry that does not answer says nothing about this repository: that part is then left out, and said to be.
python3 -m venv "$clean/venv"
if ! "$clean/venv/bin/pip" download --quiet --no-deps --dest "$clean" maturin >/dev/null 2>&1; then
  echo "left out: the wheel (PyPI does not answer)"
else
  packaging/check-wheel.sh "$@"
fi
if ! bare cargo fetch --quiet --locked; then
  echo "left out: the README's first command on an empty home (crates.io does not answer)"
  exit
fi
rm -r "$clean/home/.cargo"
start=$(date +%s.%N)
answer=$(bare bash -c "$command") || [ $? -eq 1 ] || fail "$command: $(tail -5 "$clean/said")"
end=$(date +%s.%N)
grep -q '^✓ fits: full training of Llama-2-7b-hf on NVIDIA A100 SXM4 80 GB$' <<<"$answer" ||
  fail "$command answers: ${answer:0:600}"
python3 -c "print(f'seconds: {$end - $start:.0f} from a clone to the first verdict, with Rust')"
echo "check-first-contact: as expected"
