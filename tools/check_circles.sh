#!/bin/sh
# No circles of files: fails naming each set of C files that need each other's symbols, directly or through others (by nm, over the objects
# of a build), unless it is allowed below. usage: tools/check_circles.sh BUILD-DIRECTORY
set -u
build=$(cd "${1:?usage: tools/check_circles.sh BUILD-DIRECTORY}" && pwd) || exit 2
root=$(cd "$(dirname "$0")/.." && pwd)

# The files of a circle (or of a larger one that it is left of), and why it may stay.
allowed='
base/alloc.c base/text.c: what is out of memory says how much in words, and words are allocated
base/file.c base/file_system.c: writing goes through a table, whose usual entries ask how much a disk has left when they fail
formats/safetensors_dtype.c formats/safetensors_read.c: a file is checked by the table of types, and a tensor read by it names its file
kernels/cpu/backend_cpu.c kernels/cpu/gemm_own.c kernels/cpu/level.c kernels/cpu/linear_onednn.c: the backend lists layers of operators, and a layer asks which of them were built
model/attention.c model/build.c model/config.c model/families/esm2.c model/params.c model/plan.c: the registry knows the families, and a family is written with the blocks, builder and plan that find it there
'

circles() { # one a line: files with a blank between
  find "$build/src" -name '*.c.o' | while read -r object; do # what is left of a file that is gone does not count
    source=$(printf '%s\n' "${object#"$build"/}" | sed -E 's|CMakeFiles/[^/]*\.dir/||; s|\.o$||')
    [ ! -f "$root/$source" ] || printf '%s\n' "$object"
  done | xargs nm -A -P 2>/dev/null | sed -E "s|^$build/src/([^:]*): |\1 |; s|CMakeFiles/[^/]*\.dir/||; s|\.o | |" | awk '
    $3 == "U" { needs[$1, $2]; next }
    $3 ~ /^[A-Z]$/ { home[$2] = $1 }
    END {
      for (pair in needs) {
        split(pair, p, SUBSEP)
        if (p[2] in home && home[p[2]] != p[1]) next_of[p[1]] = next_of[p[1]] " " home[p[2]]
      }
      for (f in next_of) { # all that f reaches
        count = split(next_of[f], queue, " ")
        for (i = 1; i <= count; i++) {
          if ((f, queue[i]) in reach) continue
          reach[f, queue[i]]
          more = split(next_of[queue[i]], found, " ")
          for (j = 1; j <= more; j++) queue[++count] = found[j]
        }
      }
      for (pair in reach) { split(pair, p, SUBSEP); if ((p[2], p[1]) in reach) print p[1], p[2] }
    }' | LC_ALL=C sort | awk '
    $1 != last { if (NR > 1) print line; last = $1; line = "" }
    { line = line (line == "" ? "" : " ") $2 }
    END { if (NR > 0) print line }' | LC_ALL=C sort -u
}

circles | awk -v list="$allowed" '
  BEGIN {
    count = split(list, lines, "\n")
    for (i = 1; i <= count; i++) { sub(/:.*/, "", lines[i]); lines[i] = " " lines[i] " " }
  }
  {
    for (i = 1; i <= count; i++) {
      inside = 1
      for (j = 1; j <= NF; j++) if (index(lines[i], " " $j " ") == 0) inside = 0
      if (inside) next
    }
    print "a circle of files: " $0
    bad = 1
  }
  END { exit bad }'
