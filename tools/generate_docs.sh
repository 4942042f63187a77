#!/bin/sh
# Man pages, completions and docs/options.md from the option tables. usage: tools/generate_docs.sh PROTLM ROOT
# With --check: compare with the files under ROOT instead of writing them; names what differs.
set -eu
mode=write
[ "${1:-}" != --check ] || { mode=check; shift; }
protlm=$1 root=$2 stale=0
made=$(mktemp)
trap 'rm -f "$made"' EXIT
for file in $("$protlm" generate-docs); do
  "$protlm" generate-docs "$file" >"$made"
  if [ "$mode" = check ]; then
    cmp -s "$made" "$root/$file" || { echo "$file is not what the option tables say: run make docs" >&2; stale=1; }
  else
    mkdir -p "$root/$(dirname "$file")"
    cp "$made" "$root/$file"
  fi
done
exit $stale
