#!/bin/sh
# agree.sh sees each way in which the Dockerfile and the Apptainer definition can come apart.
set -u
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
sees() { # WORDS FILE EDIT: with FILE changed by the sed script EDIT, agree.sh fails and says WORDS
  cp -r "$here/../../share/containers" "$scratch/copy"
  sed -i "$3" "$scratch/copy/$2"
  if cmp -s "$scratch/copy/$2" "$here/../../share/containers/$2"; then echo "the edit changes nothing: $2: $3"; failed=1; fi
  if "$here/agree.sh" "$scratch/copy" >"$scratch/said" 2>&1 || ! grep -q "$1" "$scratch/said"; then
    echo "not seen: $2: $3"
    cat "$scratch/said"
    failed=1
  fi
  rm -rf "$scratch/copy"
}
sees "what is run in an image differs" protlm.def 's/install.sh run openmpi mpich$/install.sh run openmpi/'
sees "what is run in an image differs" Dockerfile 's,mkdir -p /host,mkdir -p /other,'
sees "what is copied to be compiled differs" protlm.def '/^  cmake /d'
sees "the environment differs" Dockerfile '/^ENV OMPI_MCA/d'
sees "the base differs" protlm.def '0,/^From: debian/s//From: ubuntu/'
sees "outside packages.txt" Dockerfile 's/^RUN mkdir.*/&\nRUN apt-get install -y vim/'
sees "has no role" Dockerfile 's/install.sh rocm/install.sh rocmm/'
sees "not a role and a package" packages.txt 's/^run *zlib1g/run zlib1g another/'
sees "what compiling needs" packages.txt '/^build *libyaml-dev/d'
exit $failed
