#!/usr/bin/env bash
# The table of kinds of input, row by row: what protlm is given, how it must answer, and whether the remedy that it prints works when it is
# pasted. usage: kinds.sh [--table FILE] PROTLM [WORD]   (cases with WORD in their title)   or   kinds.sh --self-test
# The format of a row is told at the top of kinds.txt. bash, coreutils and what a row itself asks for.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE=$(cd "$here/../.." && pwd) FIXTURES=$SOURCE/tests/fixtures
table=$here/kinds.txt
scratch=$(mktemp -d) && trap 'chmod -R u+rwx "$scratch" 2>/dev/null; rm -rf "$scratch"' EXIT

# Nothing of the caller's setting reaches a case.
for name in $(compgen -e); do
  case $name in
    PROTLM | SOURCE | FIXTURES) ;;
    PROTLM_* | SLURM_* | OMP_* | HF_* | XDG_* | PMI_* | PMIX_* | OMPI_* | LC_* | LANGUAGE) unset "$name" ;;
    WORLD_SIZE | RANK | LOCAL_RANK | LOCAL_WORLD_SIZE | GROUP_RANK | MASTER_ADDR | MASTER_PORT | TORCHELASTIC_*) unset "$name" ;;
  esac
done
export LANG=C.UTF-8 OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 SOURCE FIXTURES PATH="$scratch/bin:$PATH"
mkdir "$scratch/bin"

use_program() { # $1: what `protlm` and $PROTLM are
  PROTLM=$(realpath "$1") || exit 2
  export PROTLM
  ln -sf "$PROTLM" "$scratch/bin/protlm"
}

# ---- reading the table ----

# One case, filled by read_table: single values, and lists with one item a line of the row.
clear_case() {
  title='' run='' code='' begun=no
  make=() says=() not=() place=() remedy=() then=() gives=() needs=()
}

malformed() { echo "$table:$line_number: $1"; bad_lines=$((bad_lines + 1)); }

set_once() { # variable, key, value
  [ -z "${!1}" ] || malformed "'$2:' twice in one case"
  printf -v "$1" %s "$3"
}

take_line() { # key, value
  case $1 in
    case) set_once title case "$2" ;;
    run) set_once run run "$2" ;;
    exit) set_once code exit "$2" ;;
    make | says | not | place | remedy | then | gives | needs) local -n list=$1 && list+=("$2") ;;
    *) malformed "unknown key '$1:'" ;;
  esac
  [ -n "$2" ] || malformed "'$1:' without a value"
}

finish_case() {
  [ $begun = yes ] || return 0
  local at=${title:-a block}
  [ -n "$title" ] || malformed "a block without 'case:'"
  [ -n "$run" ] || malformed "'$at' has no 'run:'"
  [[ $code =~ ^[0-9]+$ ]] || malformed "'$at' has no 'exit:' with a number"
  [ ${#says[@]} -gt 0 ] || malformed "'$at' has no 'says:'"
  [ ${#gives[@]} -eq 0 ] || [ ${#then[@]} -gt 0 ] || malformed "'$at' has 'gives:' but no 'then:'"
  [ -z "${titles[$at]:-}" ] || malformed "'$at' is the title of two cases"
  titles[$at]=yes
  if [[ $title == *"$word"* ]]; then run_case; fi
  clear_case
}

read_table() {
  local line
  declare -gA titles=()
  line_number=0 cases=0 failed=0 executed=0 parsed=0 unexecuted=0 skipped=0 bad_lines=0
  clear_case
  while IFS= read -r line || [ -n "$line" ]; do
    line_number=$((line_number + 1))
    case $line in
      '') finish_case ;;
      '#'*) ;;
      [a-z]*': '* | [a-z]*':') begun=yes && line=${line/%:/: } && take_line "${line%%:*}" "${line#*: }" ;;
      *) malformed "neither 'key: value' nor a comment nor blank" ;;
    esac
  done <"$table"
  finish_case
}

# ---- one case ----

complain() { problems+=("$1"); }

# A file as bash can hold it. NUL bytes are left out.
read_file() { { printf -v "$1" %s "$(<"$2")"; } 2>/dev/null; }

# $1: arguments of protlm as a shell's words, which environment and redirections may stand around. Output in out and err.
run_protlm() {
  local assignments=''
  local rest=$1
  while [[ $rest =~ ^([A-Za-z_][A-Za-z_0-9]*=[^\ ]*)\ +(.*)$ ]]; do assignments+="${BASH_REMATCH[1]} " rest=${BASH_REMATCH[2]}; done
  in_case timeout 60 sh -c "$assignments\"\$PROTLM\" $rest" </dev/null >"$room/out" 2>"$room/err"
}

in_case() { # in the directory of the case, with caches and temporary files beside it
  (cd "$room/here" && HOME=$room/home TMPDIR=$room/tmp XDG_CACHE_HOME=$room/home/.cache HF_HOME=$room/home/.cache/huggingface \
    PROTLM_CACHE=$room/cache exec "$@")
}

answered() { # key, words that both outputs together must hold
  [[ $answer == *"$2"* ]] || complain "missing, $1: $2"
}

check_answer() {
  local item
  [ "$status" = "$code" ] || complain "exit code $status, not $code"
  for item in "${says[@]}"; do answered says "$item"; done
  for item in "${place[@]}"; do [[ "$answer " == *"$item"[!0-9]* ]] || complain "missing, place: $item"; done
  for item in "${remedy[@]}"; do [[ $advice == *"$item"* ]] || complain "missing, remedy after 'try: ': $item"; done
  for item in "${not[@]}"; do [[ $answer != *"$item"* ]] || complain "must not be said: $item"; done
  for item in 'Sanitizer:' 'runtime error:' '(null)' 'internal check failed'; do
    [[ $answer != *"$item"* ]] || complain "must never be said: $item"
  done
}

checksums() { (cd "$room/here" && find . -type f -exec cksum {} + | sort); }

# The command of a shell line, behind what sets its environment.
command_of() {
  local rest=$1
  while [[ $rest =~ ^([A-Za-z_][A-Za-z_0-9]*=[^\ ]*|env|-u\ +[A-Za-z_0-9]+|unset\ [^\;\&]*[\;\&]+)\ +(.*)$ ]]; do rest=${BASH_REMATCH[2]}; done
  printf -v "$2" %s "$rest"
}

# A program, or a package of Python, that a line needs and that is not here, or Slurm that does not answer; nothing where all is.
lacking() { # program, line
  local name
  for name in "$1" $(grep -o '&& [a-z0-9]*' <<<"$2" | cut -c4-); do
    command -v "$name" >"$room/remedy" || { echo "$name"; return; }
    [ "$name" != srun ] || timeout 5 sinfo -h >"$room/remedy" 2>&1 || { echo "a cluster for srun"; return; }
  done
  for name in $(sed 's/from \([a-z0-9_]*\)[^ ]* import [A-Za-z_]*/import \1/g' <<<"$2" | grep -o 'import [a-z0-9_, ]*' | sed 's/^import//; s/ as .*//; s/,/ /g'); do
    [ "$name" != pandas ] || name=pandas,pyarrow # which reads its tables
    python3 -c "import $name" 2>"$room/remedy" || { echo "Python's $name"; return; }
  done
}

# What the sanitizer is told: MPI's own libraries leave memory behind.
leaks_of() { case $1 in *mpirun*) echo detect_leaks=0 ;; *) echo "${ASAN_OPTIONS:-}" ;; esac; }

# One shell line of the remedy: fetched, called by hand, or executed here and now.
try_line() {
  local line=$1 command program lack
  command_of "$line" command
  program=${command%%[ ;&|<>]*}
  sh -n -c "$line" 2>"$room/remedy" || { complain "no shell line: $line"; return; }
  case $command in
    'hf '* | 'git lfs'* | 'git -C '*' lfs '* | wget* | curl* | pip* | protlm*) parsed=$((parsed + 1)); return ;;
  esac
  lack=$(lacking "$program" "$line")
  if [ -n "$lack" ]; then
    case $lack in
      "Python's "* | python3 | jq | xz | zstd | bzip2 | lz4 | uncompress | unzip | 7z | unrar | iconv | sqlite3 | samtools | h5repack | h5ls | h5dump | h5clear) ;;
      'a cluster for srun' | srun | sbatch | mpirun | torchrun | pdftotext) ;;
      *) complain "no such program: $line"; return ;;
    esac
    echo "not executed, since $lack is not here: $line"
    unexecuted=$((unexecuted + 1)) absent=yes
    return
  fi
  executed=$((executed + 1)) tried=yes
  in_case env ASAN_OPTIONS="$(leaks_of "$line")" timeout 60 sh -ec "$line" </dev/null >"$room/remedy" 2>&1 || complain "exit code $? of the remedy: $line
$(<"$room/remedy")"
}

follow_remedy() {
  local rest=$advice line item before=$room/before absent=no tried=no
  [[ $rest == *'`'*'`'* ]] || { [ ${#then[@]} -eq 0 ] || complain "'then:', but no remedy with a shell line was printed"; return; }
  checksums >"$before"
  while [[ $rest == *'`'*'`'* ]]; do
    rest=${rest#*'`'} line=${rest%%'`'*} rest=${rest#*'`'}
    try_line "$line"
  done
  [ $tried = no ] || checksums | comm -23 "$before" - | while IFS= read -r item; do echo "${item#* * }"; done >"$room/changed"
  [ $tried = no ] || [ ! -s "$room/changed" ] || complain "the remedy changed an input file: $(<"$room/changed")"
  if [ ${#then[@]} -eq 0 ]; then
    [ $tried = no ] || complain "the remedy has a shell line that can be executed, but the row has no 'then:'"
  elif [ $absent = no ]; then
    [ $tried = yes ] || complain "'then:', but no line of the remedy was executed"
    check_mended
  fi
}

check_mended() {
  local item answer='' out err
  for item in "${then[@]}"; do
    run_protlm "$item" || complain "exit code $? of, then: $item"
    read_file out "$room/out"
    read_file err "$room/err"
    answer+=$out$'\n'$err$'\n'
  done
  for item in "${gives[@]}"; do answered gives "$item"; done
  [ ${#problems[@]} -eq 0 ] || complain "after the remedy: $answer"
}

run_case() {
  local item out err answer advice='' status problems=()
  for item in "${needs[@]}"; do
    command -v "$item" >/dev/null || { echo "skipped, since $item is not here: $title"; skipped=$((skipped + 1)); return; }
  done
  cases=$((cases + 1)) room=$scratch/$cases
  mkdir -p "$room/here" "$room/home" "$room/tmp" "$room/cache"
  for item in "${make[@]}"; do
    in_case timeout 60 sh -ec "$item" </dev/null >"$room/made" 2>&1 || complain "exit code $? of, make: $item
$(<"$room/made")"
  done
  run_protlm "$run"
  status=$?
  read_file out "$room/out"
  read_file err "$room/err"
  answer=$out$'\n'$err
  if [[ $err == *'this build of protlm has no HDF5'* ]]; then
    echo "skipped, since this build reads no HDF5: $title"
    skipped=$((skipped + 1)) cases=$((cases - 1))
    return
  fi
  [[ $err != *'try: '* ]] || advice=${err#*'try: '}
  check_answer
  follow_remedy
  [ ${#problems[@]} -eq 0 ] || report "$out" "$err"
}

report() {
  failed=$((failed + 1))
  printf '\nFAILED: %s\n  protlm %s\n' "$title" "$run"
  printf '  * %s\n' "${problems[@]}"
  printf -- '-- standard output\n%.3000s\n-- standard error\n%.3000s\n' "$1" "$2"
}

# ---- can it fail? ----

# A made-up program: `answer CODE STDOUT STDERR`, `read FILE` (0 when there is such a file, whose text it prints).
make_stub() {
  cat >"$scratch/stub" <<'STUB'
#!/bin/sh
if [ "$1" = read ]; then cat "$2" || exit 3; exit 0; fi
printf '%b\n' "$3"; printf '%b\n' "$4" >&2
exit "$2"
STUB
  chmod +x "$scratch/stub"
  use_program "$scratch/stub"
}

# stdin: a table. What must be reported: $1, and what stands after each `#!`.
expect_failures() {
  local wanted output missing=no
  table=$scratch/table
  cat >"$table"
  output=$(read_table && echo "counted: $cases $failed $executed $parsed $unexecuted $bad_lines")
  while IFS= read -r wanted; do
    [[ $output == *"$wanted"* ]] || { printf 'not reported: %s\n' "$wanted"; missing=yes; }
  done < <(echo "$1"; sed -n 's/^#! //p' "$table")
  [ $missing = no ] || { printf 'in:\n%s\n' "$output"; wrong=1; }
}

self_test() {
  local wrong=0
  make_stub
  expect_failures 'counted: 23 20 8 3 0 0' <"$here/kinds_self_test.txt"
  local block complaint
  while IFS='|' read -r complaint block; do
    expect_failures "$complaint" < <(printf %b "$block")
  done <<'BAD'
unknown key 'say:'|case: a\nrun: answer 0\nexit: 0\nsay: x\n
'a' has no 'says:'|case: a\nrun: answer 0\nexit: 0\n
'a' has no 'run:'|case: a\nexit: 0\nsays: x\n
'a' has no 'exit:' with a number|case: a\nrun: answer 0\nsays: x\n
'a' has no 'exit:' with a number|case: a\nrun: answer 0\nexit: none\nsays: x\n
a block without 'case:'|run: answer 0\nexit: 0\nsays: x\n
'a' is the title of two cases|case: a\nrun: answer 0 x\nexit: 0\nsays: x\n\ncase: a\nrun: answer 0 x\nexit: 0\nsays: x\n
'run:' twice in one case|case: a\nrun: answer 0 x\nrun: answer 0 x\nexit: 0\nsays: x\n
'says:' without a value|case: a\nrun: answer 0 x\nexit: 0\nsays:\n
neither 'key: value' nor|case: a\nrun: answer 0 x\nexit: 0\nsays: x\n  remedy\n
'gives:' but no 'then:'|case: a\nrun: answer 0 x\nexit: 0\nsays: x\ngives: y\n
BAD
  [ $wrong = 0 ] && echo "the runner fails where it must"
  return $wrong
}

# ---- all of them ----

count() { [ "$1" = 1 ] && echo "1 $2" || echo "$1 ${3:-$2s}"; }

word=''
if [ "${1:-}" = --self-test ]; then self_test; exit; fi
if [ "${1:-}" = --table ]; then table=$2; shift 2; fi
[ $# -ge 1 ] || { sed -n '2,4s/^# //p' "$0"; exit 2; }
use_program "$1"
word=${2:-}
read_table
rest=''
[ $unexecuted = 0 ] || rest+=", $unexecuted not executed"
[ $skipped = 0 ] || rest+=", $skipped skipped"
[ $failed = 0 ] || rest+=", $failed FAILED"
[ $bad_lines = 0 ] || rest+=", $bad_lines malformed"
echo "$(count $cases case), $(count $executed remedy remedies) executed, $parsed parsed$rest"
[ $cases -gt 0 ] && [ $failed = 0 ] && [ $bad_lines = 0 ]
