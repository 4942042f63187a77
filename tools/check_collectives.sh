#!/bin/sh
# Places where ranks meet: counts them, and fails where a stage of a run has a name that no test fails at (tests/unit/test_train_ranks.c).
# What a name cannot tell, the test does that has the n-th meeting of a run fail, for all n.
set -u
cd "$(dirname "$0")/.." || exit 2
test=tests/unit/test_train_ranks.c
calls='plm_agree|plm_agree_same|plm_agree_on_first|plm_agree_on_text|plm_agree_any|plm_control_agree|plm_sum_exact|plm_comm_end'
members='exchange|broadcast|reduce|gather|wait|drain'
sites=$(grep -rnoE "(^|[^a-z_])($calls)\(|comm->($members)\(" src/train src/app src/cli src/dist/preflight.c --include='*.c' | wc -l)
stages=$(grep -rhoE 'plm_agree(_on_first|_on_text|_any)?\([^"]*"[a-z]+"' src/train --include='*.c' | sed -E 's/.*"([a-z]+)"$/\1/' | sort -u)
bad=0 count=0
for stage in $stages; do
  case $stage in stop | step | finite) continue ;; esac # by every_agreement_may_fail; "batch" is a failure before the step's
  count=$((count + 1))
  grep -qE "\"$stage(:[0-9]+)?\"" "$test" || { echo "stage \"$stage\" of src/train: no test of $test fails at it"; bad=1; }
done
grep -q 'every_agreement_may_fail' "$test" || { echo "$test: the test that fails every agreement is gone"; bad=1; }
[ $bad -eq 0 ] && echo "$sites call sites, $count stages, each failed by a test"
exit $bad
