#!/bin/sh
# Install what building, testing and the demo need. Debian and Ubuntu: by apt, with sudo when not root. Elsewhere: prints the list.
# usage: tools/install-deps.sh [--long|--slurm|--containers]     --long: also what `make check-long` and `make pictures` need;
#   --slurm: `make check-slurm`; --containers: tools/build_image.sh and tests/containers
# PROTLM_NO_INSTALL=1 skips it (offline machines, packages already there).
set -eu

base="gcc libc6-dev make cmake ninja-build pkg-config libhts-dev libjansson-dev libxxhash-dev libyaml-dev zlib1g-dev libdnnl-dev libhdf5-dev"
mpi="libopenmpi-dev openmpi-bin mpich libmpich-dev" # both, for the tests; the program is built without either
test="libcmocka-dev tabix man-db groff-base shellcheck $mpi"
long="gcc-11 gcc-12 clang clang-format lcov chromium zsh fish"
containers="mmdebstrap buildah charliecloud"
slurm="slurm-wlm munge libpmix2 iproute2 charliecloud-runtime uidmap"

wanted="$base $test"
case ${1:-} in
  --long) wanted="$wanted $long" ;;
  --slurm) wanted="$wanted $slurm" ;;
  --containers) wanted="$wanted $slurm $containers" ;;
esac

[ -z "${PROTLM_NO_INSTALL:-}" ] || exit 0

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  cat <<T
This system has no apt. protlm needs (Debian names; none of the lines below has been tried):
  required: a C17 compiler, CMake 3.25 or newer, pkg-config, htslib, jansson, xxHash, libyaml, zlib
  used when found: oneDNN (faster products), HDF5 (the workshop's data format), OpenMP; cmocka for the tests
  Fedora (unverified): dnf install gcc cmake ninja-build htslib-devel jansson-devel xxhash-devel libyaml-devel zlib-devel onednn-devel hdf5-devel libcmocka-devel
  conda  (unverified): conda install -c conda-forge -c bioconda cmake ninja htslib jansson xxhash yaml zlib onednn hdf5 cmocka
Install them, then run the command again with PROTLM_NO_INSTALL=1.
T
  exit 0
fi

missing=
for package in $wanted; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then run=; elif command -v sudo >/dev/null 2>&1; then run=sudo; else
  echo "These packages are missing and this user may not install them:$missing" >&2
  echo "Ask your administrator for:  apt-get install$missing" >&2
  exit 1
fi
echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $run apt-get update -qq && $run apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "apt-get failed: see above. With the packages installed some other way, set PROTLM_NO_INSTALL=1." >&2
  exit 1
fi
