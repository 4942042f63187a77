#!/bin/sh
# The image of tools/build_image.sh: small, complete, silent about where it was made, and run by Charliecloud with the lines of
# docs/CONTAINERS.md: its own MPIs, one container a job and one a rank; the host's MPI by bind in an image without; two nodes of Slurm.
# usage: tests/containers/image.sh [DIRECTORY]       (root; DIRECTORY keeps the image, /tmp/... by default)
# 77: what it needs cannot be had here.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
failed=0
for tool in buildah mmdebstrap ch-run mpicc.openmpi mpicc.mpich; do
  command -v $tool >/dev/null 2>&1 || { echo "skipped: $tool is not here: tools/install-deps.sh --containers"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "skipped: building an image needs root"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
out=${1:-$scratch}
export USER="${USER:-root}" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # USER: ch-run insists
lib=/usr/lib/$(gcc -print-multiarch)

check() { # NAME WORDS COMMAND...: the command ends with 0 and says the words
  name=$1 words=$2
  shift 2
  timeout -k 8 60 "$@" >"$scratch/said" 2>&1
  code=$?
  # Debian's MPICH may never leave MPI_Finalize over TCP, its work done (docs/CONTAINERS.md): what was said counts.
  case $* in *UCX_TLS=^shm*) [ $code = 0 ] || code=0 ;; esac
  if [ $code = 0 ] && grep -q -e "$words" "$scratch/said"; then echo "ok: $name"; return; fi
  echo "FAILED: $name (exit $code; looked for \"$words\"): $*"
  tail -n 15 "$scratch/said"
  failed=1
}
on_two_nodes() { # uses $scratch and $image; runs inside tests/slurm/cluster.sh
  spool=$(scontrol show config | sed -n 's/^SlurmdSpoolDir *= *//p')
  case $spool in *%*) spool=${spool%%%*} spool=${spool%/*} ;; esac # of each node: what holds them all
  mkdir -p "$image$spool" "$scratch/bare$spool" "$scratch/quick$spool"
  set -- -b "$spool:$spool" -b "$scratch:/data"
  check "srun, Open MPI of the image" "4 of 4 ranks, Open MPI" \
    srun --mpi=pmix -N2 -n4 ch-run "--set-env=$image/ch/environment" "$@" "$image" -- /data/two.openmpi
  check "srun, Open MPI of the image, joined" "4 of 4 ranks, Open MPI" srun --mpi=pmix -N2 -n4 ch-run --join "$@" "$image" -- /data/two.openmpi
  check "srun, MPICH of the image" "2 of 2 ranks, MPICH" env UCX_TLS=^shm srun --mpi=pmi2 -N2 -n2 ch-run "$@" "$image" -- /data/two.mpich
  check "srun, MPICH of the image, joined" "2 of 2 ranks, MPICH" srun --mpi=pmi2 -N1 -n2 ch-run --join "$@" "$image" -- /data/two.mpich
  check "srun, the host's MPI by bind" "4 of 4 ranks, Open MPI" srun --mpi=pmix -N2 -n4 env LD_LIBRARY_PATH=/host ch-run --join "$@" \
    -b "$scratch/host:/host" -b "$lib/openmpi:$lib/openmpi" -b "$lib/pmix2:$lib/pmix2" "$scratch/bare" -- /data/two.openmpi
  check "srun, an image made of this machine's files" "4 of 4 ranks, Open MPI" \
    srun --mpi=pmix -N2 -n4 ch-run --join "$@" "$scratch/quick" -- sh -c 'protlm --version >/dev/null && /data/two.openmpi'
}
absent() { # PATH...
  for path in "$@"; do [ ! -e "$path" ] || { echo "FAILED: $path is in the image"; failed=1; }; done
}

if [ "${1:-}" = --on-two-nodes ]; then
  scratch=$2 image=$3
  trap - EXIT
  on_two_nodes
  exit $failed
fi

"$top/tools/build_image.sh" "$out" || exit 1
image=$out/protlm-cpu
size=$(($(stat -c %s "$out/protlm-cpu.oci.tar") / 1000000))
if [ $size -lt 200 ]; then echo "ok: $size MB compressed"; else echo "FAILED: $size MB compressed, 200 at most"; failed=1; fi
absent "$image/usr/bin/gcc" "$image/usr/bin/cmake" "$image/containers" "$image/source" "$image/var/cache/apt/pkgcache.bin"
if [ -f "$top/cmake/PlmMpi.cmake" ]; then
  for make in openmpi mpich; do
    [ -f "$image/opt/protlm/lib/protlm/protlm_mpi_$make.so" ] || { echo "FAILED: the module for $make is not in the image"; failed=1; }
  done
fi
! cat "$image"/etc/apt/sources.list "$image"/etc/apt/sources.list.d/* 2>/dev/null | grep . || { echo "FAILED: the image names a source of packages"; failed=1; }

mpicc.openmpi -o "$scratch/two.openmpi" "$top/tests/containers/two.c" && mpicc.mpich -o "$scratch/two.mpich" "$top/tests/containers/two.c" || exit 1
check "the program runs" "oneDNN  *[0-9]" ch-run "--set-env=$image/ch/environment" "$image" -- protlm info
check "no library is missing" "^0$" ch-run "--set-env=$image/ch/environment" "$image" -- sh -c 'ldd /opt/protlm/bin/protlm | grep -c "not found" || :'

check "Open MPI of the image, one container" "2 of 2 ranks, Open MPI" ch-run "--set-env=$image/ch/environment" -b "$scratch:/data" "$image" -- mpirun -np 2 --bind-to none /data/two.openmpi
check "MPICH of the image, one container" "2 of 2 ranks, MPICH" ch-run "--set-env=$image/ch/environment" -b "$scratch:/data" "$image" -- mpiexec.mpich -n 2 /data/two.mpich
check "Open MPI of the image, a container a rank" "2 of 2 ranks, Open MPI" \
  mpirun.openmpi -np 2 --bind-to none ch-run "--set-env=$image/ch/environment" -b "$scratch:/data" "$image" -- /data/two.openmpi
check "Open MPI of the image, a container a rank, joined" "2 of 2 ranks, Open MPI" \
  mpirun.openmpi -np 2 --bind-to none ch-run --join --join-ct=2 --join-tag=a -b "$scratch:/data" "$image" -- /data/two.openmpi
check "MPICH of the image, a container a rank, joined" "2 of 2 ranks, MPICH" \
  mpiexec.mpich -n 2 ch-run --join --join-ct=2 --join-tag=b -b "$scratch:/data" "$image" -- /data/two.mpich
check "MPICH of the image, a container a rank" "2 of 2 ranks, MPICH" \
  env UCX_TLS=^shm mpiexec.mpich -n 2 ch-run -b "$scratch:/data" "$image" -- /data/two.mpich
check "protlm by the image's mpirun" "2 ranks on 1 host.*Open MPI" ch-run "--set-env=$image/ch/environment" "$image" -- mpirun -np 2 --bind-to none protlm info
check "protlm, a container a rank, by MPICH" "2 ranks on 1 host.*MPICH" mpiexec.mpich -n 2 ch-run --join --join-ct=2 --join-tag=d "$image" -- protlm info

# The host's MPI by bind, in an image that has none.
cp -al "$image" "$scratch/bare" && rm -rf "$scratch/bare$lib"/libmpi* "$scratch/bare$lib"/libopen-* "$scratch/bare$lib"/openmpi/* "$scratch/bare$lib"/pmix2/*
mkdir -p "$scratch/host"
ldd "$lib/libmpi.so.40" "$lib"/openmpi/lib/openmpi3/*.so "$lib"/pmix2/lib/pmix/*.so | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
  grep -vE '/lib(c|m|dl|rt|pthread|resolv|util)\.so' | sort -u | xargs -I{} cp -Ln {} "$scratch/host/"
cp -L "$lib/libmpi.so.40" "$scratch/host/"
! timeout -k 3 60 ch-run -b "$scratch:/data" "$scratch/bare" -- /data/two.openmpi >/dev/null 2>&1 || { echo "FAILED: the bare image has an MPI"; failed=1; }
check "the host's MPI by bind" "2 of 2 ranks, Open MPI" mpirun.openmpi -np 2 --bind-to none env LD_LIBRARY_PATH=/host ch-run --join --join-ct=2 --join-tag=c \
  -b "$scratch/host:/host" -b "$lib/openmpi:$lib/openmpi" -b "$lib/pmix2:$lib/pmix2" -b "$scratch:/data" "$scratch/bare" -- /data/two.openmpi

# Two nodes of Slurm.
if [ -f "$top/tests/slurm/cluster.sh" ]; then
  "$top/tests/slurm/container_image.sh" "$scratch/quick" "$top/build" || failed=1
  "$top/tests/slurm/cluster.sh" --cpus 2 "$0" --on-two-nodes "$scratch" "$image"
  code=$?
  case $code in 0) ;; 77) echo "left out: two nodes of Slurm, see above" ;; *) failed=1 ;; esac
fi
exit $failed
