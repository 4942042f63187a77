#!/bin/sh
# The test golden/bits: does this program compute the bits of hashes.txt? usage: bits.sh PROTLM CASES BUILD COMPILER HASHES
# CASES: a shell pattern of case names. BUILD: the build type and what else shapes its code; "any" when no arithmetic is looked at.
# COMPILER: name and version. Code 77: not the build that was recorded. Cases of levels that this processor lacks are skipped by name.
set -eu
protlm=$1 cases=$2 build=$3 compiler=$4 hashes=$5
here=$(cd "$(dirname "$0")" && pwd)

. "$here/fits.sh"
if [ "$build" != any ]; then
  reason=$(why_not "$protlm" "$build" "$compiler")
  [ -z "$reason" ] || { echo "skipped: $reason"; exit 77; }
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$here/record.sh" "$protlm" "$scratch/runs" "$cases" >"$scratch/table" 2>"$scratch/skipped" || {
  cat "$scratch/skipped"
  echo "record.sh failed"
  exit 1
}
cat "$scratch/skipped"
# Every recorded line of these cases is there and equal, and none besides; only what was skipped may lack.
awk -v cases="$cases" -v again="$0 $protlm \047%s\047 $build \047$compiler\047 $hashes" '
  BEGIN { gsub(/\*/, ".*", cases); cases = "^" cases "$" }
  function differs(name, words) { if (++wrong <= 40) print name ": " words; if (!bad[name]++) count++ }
  FILENAME == ARGV[1] { if ($1 == "skipped:") { sub(/:$/, "", $2); skipped[$2] = 1 } next }
  /^#/ { next }
  FILENAME == ARGV[2] { is[$1 " " $2] = $3; next }
  $1 in skipped || $1 !~ cases { next }
  { held++; known[$1 " " $2] = 1; now = is[$1 " " $2] }
  now != $3 { differs($1, sprintf("%s was %.16s..., is %s", $2, $3, now == "" ? "missing" : substr(now, 1, 16) "...")) }
  END {
    for (line in is) if (!(line in known)) { split(line, part, " "); differs(part[1], part[2] " is not in the record") }
    if (count) print count " cases are not the recorded ones; one alone:"
    for (name in bad) if (++shown <= 5) printf "  " again "\n", name
    if (!held) print "no case was held"
    if (count || !held) exit 1
    print held " hashes are the recorded ones"
  }' "$scratch/skipped" "$scratch/table" "$hashes" || {
  echo "recorded on: $(recorded processor); here: $(sed -n 's/^# processor //p' "$scratch/table")"
  exit 1
}
