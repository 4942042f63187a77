#!/bin/sh
# Documents, and comments of the sources, name files that exist: fails with each that does not. Left out: names with a placeholder (<name>)
# and what has a reason below.
set -u
cd "$(dirname "$0")/.."
elsewhere='llm.c' # another project
rooms='src include tests tools docs share cmake bench'

comments() { # of a C file, a line a line
  awk '{
    line = $0; out = ""
    while (line != "") {
      if (inside) { i = index(line, "*/"); out = out " " (i ? substr(line, 1, i - 1) : line); line = i ? substr(line, i + 2) : ""; inside = !i }
      else { i = index(line, "/*"); line = i ? substr(line, i + 2) : ""; inside = i > 0 }
    }
    print out
  }' "$1"
}

{
  for file in README.md docs/*.md tests/golden/README.md; do sed "s|^|$file |" "$file"; done
  for file in $(find src include \( -name '*.[ch]' -o -name '*.inc' \)); do comments "$file" | sed "s|^|$file |"; done
} | LC_ALL=C awk -v elsewhere="$elsewhere" -v rooms="$rooms" -v list="$(find $rooms; ls)" '
  BEGIN {
    count = split(list, path, "\n")
    for (i = 1; i <= count; i++) { # a file may be named by any end of its path
      end = path[i]
      for (there[end]; sub(/^[^\/]*\//, "", end); there[end]) continue
    }
    count = split(rooms, room, " ")
    for (i = 1; i <= count; i++) is_room[room[i]]
  }
  function matches(pattern,    end) {
    gsub(/\./, "\\.", pattern); gsub(/\*/, "[^/]*", pattern)
    for (end in there) if (end ~ "^" pattern "$") return 1
    return 0
  }
  {
    where = $1; $1 = ""; line = $0
    while (match(line, /[A-Za-z0-9_.\/*<>{}:~$-]+/)) {
      word = substr(line, RSTART, RLENGTH); line = substr(line, RSTART + RLENGTH)
      sub(/^(\.\.\/)+/, "", word); sub(/[.:\/]+$/, "", word)
      if (word ~ /[<>{}:~$]/ || word == elsewhere) continue
      first = word; sub(/\/.*/, "", first)
      if (word !~ /^[a-z_0-9*\/A-Z.-]*[a-z_0-9*]\.(c|h|inc|sh|awk|cmake|md)$/ && !(word ~ /\// && first in is_room)) continue
      if (word in there || (word ~ /\*/ && matches(word))) continue
      print where ": there is no \"" word "\""
      bad = 1
    }
  }
  END { exit bad }'
