#!/bin/sh
# A struct of src/train is changed only by the chapter that declares it: fails naming each assignment to a member of such a struct outside
# the .c file that belongs to its header. What a caller fills in (options, requests) is the caller's. And plm_run stays small.
set -u
cd "$(dirname "$0")/.."

awk -v most_members=12 '
  function owner_of(name) { # where it is not the file named as the header
    if (name == "plm_progress") return "src/train/clock.c"
    if (name == "plm_train_result") return "src/train/run.c"
    return owner[name]
  }
  function strip(line) {
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    gsub(/\/\*([^*]|\*[^\/])*\*\//, " ", line)
    if (line ~ /^ *(\/?\*)/) return ""
    sub(/\/\*.*/, "", line)
    return line
  }
  function add_member(text,    words, type, names, count, i, name) {
    gsub(/\[[^]]*\]/, "", text); gsub(/\*/, " ", text); gsub(/const |unsigned /, "", text)
    sub(/^ +/, "", text)
    type = text; sub(/[ ;].*/, "", type); sub(/^[^ ]+ +/, "", text); sub(/;.*/, "", text)
    count = split(text, names, / *, */)
    for (i = 1; i <= count; i++) { name = names[i]; gsub(/ /, "", name); member[struct, name] = type; members[struct]++ }
  }
  function declare(line,    text) { # variables and parameters whose type is a struct of ours
    while (match(line, /plm_[a-z0-9_]+ +\**[a-z_0-9]+/)) {
      text = substr(line, RSTART, RLENGTH); line = substr(line, RSTART + RLENGTH)
      gsub(/\*/, " ", text); split(text, part, / +/)
      if (part[1] in members) variable[part[2]] = part[1]
    }
  }
  function judge(path,    part, count, i, type) {
    sub(/^(\+\+|--)/, "", path); gsub(/\[[^]]*\]/, "", path); gsub(/->/, ".", path)
    sub(/ *([-+*\/|&^%]?=.?|\+\+|--)$/, "", path)
    count = split(path, part, ".")
    type = variable[part[1]]
    for (i = 2; i < count; i++) type = member[type, part[i]]
    if (type in members && type !~ /_(options|request)$/ && owner_of(type) != FILENAME) {
      print FILENAME ":" FNR ": \"" path "\" is a member of " type ", which " owner_of(type) " alone changes"
      bad = 1
    }
  }
  FNR == 1 { split("", variable); struct = ""; held = "" }
  { line = strip($0) }
  FILENAME ~ /\.h$/ {
    if (line ~ /^typedef struct [a-z0-9_]+ \{/) { split(line, w, " "); struct = w[3]; members[struct] += 0; owner[struct] = FILENAME; sub(/\.h$/, ".c", owner[struct]); next }
    if (line ~ /^\}/) { struct = ""; held = ""; next }
    if (struct == "") next
    held = held " " line
    if (held ~ /;/) { if (held !~ /\(/) add_member(held); held = "" }
    next
  }
  /^}/ { split("", variable) }
  {
    declare(line)
    while (match(line, /(\+\+|--)?[a-z_][a-z_0-9]*(\[[^]]*\])?((->|\.)[a-z_0-9]+(\[[^]]*\])?)+( *([-+*\/|&^%]?=[^=]|[-+*\/|&^%]?=$|\+\+|--))?/)) {
      text = substr(line, RSTART, RLENGTH); line = substr(line, RSTART + RLENGTH)
      if (text ~ /(=.?|\+\+|--)$/ || text ~ /^(\+\+|--)/) judge(text)
    }
  }
  END {
    if (members["plm_run"] < 1) { print "plm_run was not found"; bad = 1 }
    if (members["plm_run"] > most_members) { print "plm_run has " members["plm_run"] " members, more than " most_members; bad = 1 }
    exit bad
  }' include/protlm/train.h src/train/*.h src/train/*.c src/app/*.c
