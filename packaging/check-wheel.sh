#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment without a home folder and without cargo, and holds what it answers
# against what is expected: check-wheel.sh [WHEEL]
#
# BRIMFUL_TORCH_PYTHON names a Python with PyTorch: a rehearsal with it checks the virtual GPU that the wheel carries.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
most_bytes=$((12 << 20))

fail() { echo "check-wheel: $*" >&2; exit 1; }

clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
wheel=${1:-}
if [ -z "$wheel" ]; then
  packaging/build-wheel.sh "$clean/dist"
  wheel=$(echo "$clean"/dist/*.whl)
fi
bytes=$(stat -c %s "$wheel")
echo "wheel: $(basename "$wheel"), $bytes bytes"
[ "$bytes" -le "$most_bytes" ] || fail "$bytes bytes; at most $most_bytes are allowed"
[[ "$wheel" == *manylinux* ]] || fail "the tag is not manylinux: $(basename "$wheel")"
contents=$(python3 -m zipfile --list "$wheel")
for part in scripts/brimful licenses/LICENSE-MIT licenses/LICENSE-APACHE METADATA; do
  grep -q "$part" <<<"$contents" || fail "the wheel lacks $part"
done

# The binary holds the virtual GPU's library, so that its bytes name the versions of both one's symbols.
python3 -m zipfile --extract "$wheel" "$clean/contents"
newest=$(grep -aohE 'GLIBC_2\.[0-9]+' "$clean"/contents/*.data/scripts/brimful | sort -V | tail -1)
echo "newest glibc symbol, the embedded library's included: $newest"
[ "${newest#GLIBC_2.}" -le 17 ] || fail "$newest is needed; the tag promises glibc 2.17"

# A machine as a newcomer's: Python, the system's tools, an empty home. A cargo that is found would be a wrong machine.
mkdir "$clean/home" "$clean/bin"
bare() { env -i HOME="$clean/home" PATH="$clean/venv/bin:/usr/bin:/bin" LANG=C.UTF-8 "$@"; }
python=$(python3 -c 'import sys; print(sys.executable)')
bare sh -c '! command -v cargo' >/dev/null || echo "cargo is in /usr/bin or /bin: this check does not notice where it is needed"

now() { date +%s.%N; }
start=$(now)
bare "$python" -m venv "$clean/venv"
installing=$(now)
bare "$clean/venv/bin/pip" install --quiet --disable-pip-version-check --no-index --no-cache-dir "$wheel"
installed=$(now)

cd "$clean"
expect() { # STATUS WHAT -- COMMAND…: runs the command into $answer and checks its exit status
  local status=$1 what=$2 got=0
  shift 3
  answer=$(bare "$@") || got=$?
  [ "$got" = "$status" ] || fail "$what: exit status $got, expected $status"
}
holds() { grep -qF -- "$1" <<<"$answer" || fail "expected $1 in: ${answer:0:600}"; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repository/Cargo.toml" | head -1)
expect 0 fit -- brimful fit "$repository/examples/llama-2-7b-full-adamw-a100.toml"
verdict=$(now)
holds "Llama-2-7b-hf on NVIDIA A100 SXM4 80 GB"
expect 0 version -- brimful --version
[ "$answer" = "brimful $version" ] || fail "--version says $answer, expected brimful $version"
expect 0 "fit --json" -- brimful fit --json "$repository/examples/llama-2-7b-full-adamw-a100.toml"
holds '"verdict":"fits"'
# Recorded with PyTorch (fixtures/step): the bytes of the peak.
holds '"peak":{"requested":67384156672,"allocated":67384157184,"reserved":69568823296'
expect 1 "explain -" -- sh -c "brimful explain --json - < '$repository/crates/faces/cli/tests/logs/train.log'"
holds '"is_gpu_oom":true'
holds '"tried_bytes":1825361101'
expect 2 "a wrong job" -- sh -c 'brimful fit no-such-model 2>&1'

if [ -n "${BRIMFUL_TORCH_PYTHON:-}" ]; then
  expect 0 rehearse -- brimful rehearse --json --gpu "24 GiB" -- "$BRIMFUL_TORCH_PYTHON" -c \
    'import torch; torch.empty(2**28, device="cuda")'
  holds '"requested":1073741824'
  echo "rehearsed with the virtual GPU that the wheel carries"
else
  echo "left out: a rehearsal (BRIMFUL_TORCH_PYTHON names no Python with PyTorch)"
fi
python3 - "$start" "$installing" "$installed" "$verdict" <<'PYTHON'
import sys
start, installing, installed, verdict = map(float, sys.argv[1:])
print(f"seconds: {installed - installing:.1f} to install, {verdict - installed:.2f} to the first verdict,"
      f" {verdict - installing:.1f} together ({installing - start:.1f} for the environment before)")
PYTHON
echo "check-wheel: as expected"
