# Sourced: whether the recorded bits can be this build's. $hashes names the record.
recorded() { sed -n "s/^# $1 //p" "$hashes"; }
# why_not PROTLM BUILD COMPILER: the reason why this build has other bits; nothing when it was made as the recorded one.
why_not() {
  [ -n "$(recorded compiler)" ] || { echo "$hashes names no compiler" >&2; exit 1; }
  [ "$2" = Release ] || { echo "the bits were recorded from a plain Release build, this one is '$2'"; return; }
  [ "$3" = "$(recorded compiler)" ] || { echo "the bits were recorded with $(recorded compiler), this build is by $3"; return; }
  library=$("$1" info | awk '$1 == "libraries" { found = 1 } $1 == "oneDNN" { $1 = ""; print substr($0, 2) } END { exit !found }') ||
    { echo "protlm info lists no libraries" >&2; exit 1; }
  [ "$library" = "$(recorded oneDNN)" ] || echo "the bits were recorded with oneDNN $(recorded oneDNN), this build has ${library:-none}"
}
