#!/bin/sh
# Lay the C files, .inc included, out as .clang-format says (clang-format 14: other versions differ in places). usage: tools/format.sh [--check]
# --check changes nothing, and fails naming each file that would change.
set -u
cd "$(dirname "$0")/.."
tool=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format is not installed: tools/install-deps.sh --long"; exit 1; }
case $("$tool" --version) in *"version 14."*) ;; *) echo "clang-format 14 is needed, this is: $("$tool" --version)"; exit 1 ;; esac
files=$(git ls-files 'include/*.h' 'src/*.[ch]' 'src/*.inc' 'tests/*.[ch]')
# shellcheck disable=SC2086
if [ "${1:-}" = --check ]; then
  exec "$tool" --style=file --dry-run --Werror --ferror-limit=1 $files
fi
# shellcheck disable=SC2086
exec "$tool" --style=file -i $files
