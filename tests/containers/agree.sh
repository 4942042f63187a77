#!/bin/sh
# The Dockerfile and the Apptainer definition make the same image: the same steps in the same order, sources, environment and base, and no
# package outside packages.txt. What is built in the image is what tools/install-deps.sh installs. Their scripts pass shellcheck.
# usage: tests/containers/agree.sh [DIRECTORY]      (default share/containers; the test's own test gives another)
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "${1:-$top/share/containers}" || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
same() { # what A B
  diff -u "$scratch/$2" "$scratch/$3" >"$scratch/diff" && return
  echo "$1 differs:"
  sed -n '3,$p' "$scratch/diff"
  failed=1
}
wrong() { echo "$*"; failed=1; }

# Steps of the stages `build` and `run-cpu`: scripts and folders made.
sed -n '/ AS build$/,/ AS wheels$/p; / AS run-cpu$/,/ AS run-cuda$/p' Dockerfile |
  sed -n 's/^RUN \(--mount=[^ ]* \)*//p' | sed "s/\${MPI}/$(sed -n 's/^ARG MPI="\(.*\)"$/\1/p' Dockerfile)/" >"$scratch/steps.docker"
awk '/^%/ { post = $1 == "%post" } post && /^ +(sh|mkdir|ln|apt|pip)/' protlm.def | sed 's/^ *//' >"$scratch/steps.def"
same "what is run in an image" steps.docker steps.def

sed -n '/ AS build$/,/ AS wheels$/s/^COPY \(.*\) [^ ]*$/\1/p' Dockerfile | tr ' ' '\n' | sed 's,/$,,' | sort >"$scratch/files.docker"
sed -n '/^Stage: build/,/^Bootstrap/p' protlm.def | awk '/^%/ { files = $1 == "%files" } files && /^ / { print $1 }' | sort >"$scratch/files.def"
same "what is copied to be compiled" files.docker files.def

sed -n '/ AS run-cpu$/,/ AS run-cuda$/s/^ENV //p' Dockerfile >"$scratch/env.docker"
awk '/^%/ { on = $1 == "%environment" } on' protlm.def | sed -n 's/^ *export //p' >"$scratch/env.def"
same "the environment" env.docker env.def

sed -n 's/^ARG BASE=//p' Dockerfile >"$scratch/base.docker"
sed -n 's/^From: //p' protlm.def | sort -u >"$scratch/base.def"
same "the base" base.docker base.def

! grep -nE '^[^#]*(apt-get|apt |pip )' Dockerfile protlm.def || wrong "packages are named outside packages.txt"
for role in $(sed -n 's/^[^#]*install\.sh\([^&]*\).*/\1/p' Dockerfile protlm.def | tr ' ' '\n' | grep -E '^[a-z]+$' | sort -u) openmpi mpich; do
  grep -q "^$role " packages.txt || wrong "packages.txt has no role \"$role\""
done
awk 'NF && !/^#/ && NF != 2 { print "packages.txt: not a role and a package: " $0; bad = 1 } END { exit bad }' packages.txt || failed=1

# One list for machines, one for images, but for `make`, which CMake does not need, and what runs an MPI.
sed -n 's/^\(base\|mpi\)="\([^"]*\)".*/\2/p' "$top/tools/install-deps.sh" | tr ' ' '\n' | grep -vxE 'make|openmpi-bin|mpich' | sort >"$scratch/build.machine"
sed -n 's/^build  *//p' packages.txt | sort >"$scratch/build.image"
same "what compiling needs (tools/install-deps.sh, packages.txt)" build.machine build.image

if [ $# = 0 ] && command -v shellcheck >/dev/null 2>&1; then
  shellcheck ./*.sh "$top/tools/build_image.sh" "$top"/tests/containers/*.sh || failed=1
fi
exit $failed
