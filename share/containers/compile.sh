#!/bin/sh
# Inside the stage that is thrown away: compile protlm and its MPI modules for any x86-64 machine, into PREFIX.
# usage: compile.sh SOURCE PREFIX
set -eu
cmake -S "$1" -B /tmp/build -G Ninja -DCMAKE_BUILD_TYPE=Release -DPROTLM_TESTS=OFF -DCMAKE_INSTALL_PREFIX="$2" \
  -DPROTLM_MPI_OPENMPI=ON -DPROTLM_MPI_MPICH=ON
cmake --build /tmp/build
cmake --install /tmp/build --strip
rm -rf /tmp/build "$2/share/man" "$2/share/fish" "$2/share/zsh" "$2/share/bash-completion"
"$2/bin/protlm" --version
