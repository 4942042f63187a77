#!/bin/sh
# Add up what run_ctest.sh kept. usage: tools/summarise_tests.sh RESULTS EXPECTED_SKIPS
# EXPECTED_SKIPS: one test name a line (# comments); a skip that is not listed is a failure.
set -u
results=$1 expected=$2
lines=$(cat "$results"/*.log | grep -E '^ *[0-9]+/[0-9]+ Test +#')
passed=$(printf '%s\n' "$lines" | grep -c ' Passed ')
skipped_names=$(printf '%s\n' "$lines" | grep -E '\*\*\*Skipped|Not Run \(Disabled\)' | sed -E 's/.*Test +#[0-9]+: ([^ ]+).*/\1/' | sort -u)
skipped=$(printf '%s\n' "$lines" | grep -cE '\*\*\*Skipped|Not Run \(Disabled\)')
failed=$(printf '%s\n' "$lines" | grep -vE ' Passed |\*\*\*Skipped|Not Run \(Disabled\)' | grep -c .)
for log in "$results"/*.log; do
  grep -qE 'tests passed,|No tests were found' "$log" || { echo "$(basename "$log" .log): the test runner did not finish"; failed=$((failed + 1)); }
  ! grep -q 'No tests were found' "$log" || { echo "$(basename "$log" .log): no tests were found"; failed=$((failed + 1)); }
done
for name in $skipped_names; do
  if ! grep -v '^#' "$expected" | grep -qxF "$name"; then
    echo "skipped, but not listed in $expected: $name"
    failed=$((failed + 1))
  fi
done
printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped" >"$results/summary"
[ "$failed" = 0 ]
