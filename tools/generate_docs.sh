#!/bin/sh
# Man pages and docs/options.md from the option tables. usage: tools/generate_docs.sh PROTLM ROOT
# With --check: compare with the files under ROOT instead of writing them; names what differs.
set -eu
mode=write
[ "${1:-}" != --check ] || { mode=check; shift; }
protlm=$1 root=$2 stale=0
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
mkdir -p "$made/share/man/man1" "$made/docs"
"$protlm" __options >"$made/tables"
LC_ALL=C awk -v root="$made" -f "$(dirname "$0")/generate_docs.awk" "$made/tables"
for file in $(cd "$made" && find share docs -type f); do
  if [ "$mode" = check ]; then
    cmp -s "$made/$file" "$root/$file" || { echo "$file is not what the option tables say: run make docs" >&2; stale=1; }
  else
    mkdir -p "$root/$(dirname "$file")"
    cp "$made/$file" "$root/$file"
  fi
done
exit $stale
