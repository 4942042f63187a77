#!/usr/bin/env bash
# Packing FASTA by two programs: user + system time (the least of five rounds, one after the other) and the most memory.
# usage: bench/reading.sh OLD NEW [FILE] [ROUNDS]    FILE: FASTA; without it 486,000 made-up proteins, 213 MB, in $TMPDIR
# LOWER=1: the made-up proteins in lower case, as files are that are soft-masked from end to end.
# Each program reads FILE into an empty cache directory and shows one record (inspect tokens). Ratio: new / old.
set -euo pipefail
TIMEFORMAT='%3U %3S'
[ $# -ge 2 ] || { sed -n '2,5s/^# //p' "$0"; exit 2; }
old=$1 new=$2 file=${3:-} rounds=${4:-5}
room=$(mktemp -d) && trap 'rm -rf "$room"' EXIT

# Lengths and frequencies as in UniProt, lines of 60, by a generator of its own (Park and Miller): the same everywhere.
make_proteins() {
  awk -v count=486000 -v lower="${LOWER:-0}" 'BEGIN {
    letters = "LLLLLLLLLLAAAAAAAAGGGGGGGVVVVVVVEEEEEEESSSSSSSIIIIIIKKKKKKRRRRRRDDDDDTTTTTPPPPPNNNNQQQQFFFFYYYMMHHCW"
    if (lower) letters = tolower(letters)
    seed = 20261127
    for (i = 0; i < 200000; i++) { seed = seed * 16807 % 2147483647; pool = pool substr(letters, seed % length(letters) + 1, 1) }
    for (i = 0; i < count; i++) {
      seed = seed * 16807 % 2147483647; n = 40 + seed % 700
      seed = seed * 16807 % 2147483647; at = 1 + seed % 199000
      printf ">sp|Q%05d|PROT%d_HUMAN Made-up protein OS=Homo sapiens OX=9606\n", i % 100000, i
      for (; n > 0; n -= 60) { print substr(pool, at, n < 60 ? n : 60); at += 60 }
    }
  }'
}

if [ -z "$file" ]; then
  file=$room/made_up.fasta
  make_proteins >"$file"
fi

measure() { # program -> "seconds KiB"
  rm -rf "$room/cache" && mkdir "$room/cache"
  { time /usr/bin/time -f %M -o "$room/memory" "$1" inspect tokens --no-ids --records 1 --cache-dir "$room/cache" --fasta "$file" >/dev/null 2>&1; } 2>"$room/time"
  awk '{ printf "%.3f ", $1 + $2 }' "$room/time"
  cat "$room/memory"
}

for round in $(seq "$rounds"); do
  echo "old $(measure "$old")"
  echo "new $(measure "$new")"
done >"$room/rounds"
ls -l "$file" | awk '{ printf "%.0f MB of FASTA\n", $5 / 1e6 }'
awk '!($1 in least) || $2 < least[$1] { least[$1] = $2 } $3 > most[$1] { most[$1] = $3 }
  END {
    printf "old: %.3f s user + system, %.0f MiB\nnew: %.3f s, %.0f MiB\n", least["old"], most["old"] / 1024, least["new"], most["new"] / 1024
    printf "ratio %.3f\n", least["new"] / least["old"]
  }' "$room/rounds"
