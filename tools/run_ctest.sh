#!/bin/sh
# Run the tests of one build folder and keep their results. usage: tools/run_ctest.sh LABEL BUILD RESULTS [ctest arguments...]
set -u
label=$1 build=$2 results=$3
shift 3
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive} # two tests on two cores: waiting threads must not spin
# Under tsan an allocation too large to be had must fail, as it does outside, in the program that reads HDF5 too.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}" UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:allocator_may_return_null=1}"
echo "== $label"
ctest --test-dir "$build" --parallel "${JOBS:-$(nproc 2>/dev/null || echo 2)}" --output-on-failure "$@" 2>&1 | tee "$results/$label.log" |
  grep --line-buffered -vE '^ *Start|^Test project|^Internal ctest'
