#!/bin/sh
# `make check-long`: what `make check` leaves out because it takes long. The whole suite under asan+ubsan and under tsan, long kill loops,
# other compilers, a build without optional libraries, layout, coverage, the container image. Ends with "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
tools/install-deps.sh --long || exit 1
start=$(date +%s)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
failed=
step() { echo "== $*"; }
build() { tools/build.sh "$@" || failed="$failed; build $*"; }

build release build -DPROTLM_WERROR=ON
build asan build-asan
build tsan build-tsan
build minimal build-minimal
PROTLM_KILLS=200 tools/run_ctest.sh release build "$results"
tools/run_ctest.sh asan build-asan "$results"
tools/run_ctest.sh tsan build-tsan "$results"
tools/run_ctest.sh minimal build-minimal "$results" -L sanitize

for compiler in gcc-11 gcc-12 clang; do
  step "compiles without a warning: $compiler"
  build release "build-$compiler" -DCMAKE_C_COMPILER="$compiler" -DPROTLM_WERROR=ON
done

step "laid out as .clang-format says"
tools/format.sh --check || failed="$failed; format"

step coverage
build coverage build-coverage
tools/run_ctest.sh coverage build-coverage "$results"
tools/coverage.sh build-coverage 85 || failed="$failed; coverage"

step "container image: built, run by Charliecloud, alone and under Slurm"
tools/install-deps.sh --containers || :
tests/containers/image.sh || [ $? = 77 ] || failed="$failed; container image"

tools/summarise_tests.sh "$results" tests/expected_skips || failed="$failed; tests"
echo "took $(($(date +%s) - start)) s"
[ -z "$failed" ] || echo "failed, see above: ${failed#; }"
tail -n 1 "$results/summary"
[ -z "$failed" ]
