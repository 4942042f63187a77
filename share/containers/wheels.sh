#!/bin/sh
# Inside the stage that is thrown away: unpack the libraries of the packages of role `cuda` into DIRECTORY.
# usage: wheels.sh DIRECTORY
set -eu
list=$(dirname "$0")/packages.txt
mkdir -p "$1"
# shellcheck disable=SC2046
python3 -m pip download --quiet --no-deps --dest /tmp/wheels $(sed -n 's/^cuda \{1,\}//p' "$list")
for wheel in /tmp/wheels/*.whl; do
  python3 -m zipfile -e "$wheel" /tmp/unpacked
done
find /tmp/unpacked -name '*.so.*' -exec mv {} "$1" \;
rm -rf /tmp/wheels /tmp/unpacked
