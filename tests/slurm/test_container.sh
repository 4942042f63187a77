#!/usr/bin/env bash
# The run inside a container (Charliecloud) on every node: what it writes has the bytes that it has outside, also after a crash and a new start.
# The image: SLURM_TEST_IMAGE, an unpacked directory; without it one is made of this host's program and the libraries that it opens.
# shellcheck source=tests/slurm/lib.sh disable=SC2154
. "$(dirname "$0")/lib.sh"

command -v ch-run >/dev/null || skip "there is no ch-run; \`tools/install-deps.sh --slurm\` installs it"

libraries_of() { ldd "$@" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/lib[^ ]*\) (.*/\1/p' | sort -u; }
make_image() { # DIRECTORY
  mkdir -p "$1"/{usr/bin,etc,dev,proc,sys,tmp,run,home,root,var/tmp} || fail "no room for an image"
  cp -L /etc/passwd /etc/group /etc/hosts /etc/nsswitch.conf "$1/etc"
  cp "$PROTLM" "$1/usr/bin/protlm"
  local library
  for library in $(libraries_of "$PROTLM"); do
    mkdir -p "$1$(dirname "$library")"
    cp -L "$library" "$1$library"
  done
}

undisturbed quiet

image=${SLURM_TEST_IMAGE:-$scratch/image}
[ -n "${SLURM_TEST_IMAGE:-}" ] || make_image "$image"
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
