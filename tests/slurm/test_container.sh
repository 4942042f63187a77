#!/usr/bin/env bash
# The run inside a container (Charliecloud) on every node, by the MPI that the image has, first Open MPI's and then MPICH's: what it writes
# has the bytes that it has outside, also after a crash and a new start.
# The image: SLURM_TEST_IMAGE, an unpacked directory; without it one is made of this host's program and the libraries that it opens.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"
run_by pmix 2

command -v ch-run >/dev/null || skip "there is no ch-run; \`tools/install-deps.sh --slurm\` installs it"

undisturbed quiet

image=${SLURM_TEST_IMAGE:-$scratch/image}
[ -n "${SLURM_TEST_IMAGE:-}" ] || "$slurm_tests/container_image.sh" "$image" "$(dirname "$PROTLM")" || fail "no image"
note "image of $(du -sm "$image" | cut -f 1) MB"
write_script contained --container "$image" -- --output-dir contained
submit contained
wait_for_checkpoint contained 20
crash_rank contained
wait_for_end "$job" COMPLETED
expect_exit "$job" 0:0
expect_starts "$output" 2
expect_progress "$output"
expect_same_run contained quiet

run_by pmi2 2
write_script mpich --container "$image" -- --output-dir mpich
submit mpich
wait_for_end "$job" COMPLETED
expect_exit "$job" 0:0
expect_same_run mpich quiet
