#!/bin/sh
# An unpacked image for Charliecloud in seconds, for tests: the program as installed from BUILD and, of this machine, the libraries it needs,
# both MPIs with their plugins and launchers, a shell. No package is fetched; share/containers is what users build.
# usage: tests/slurm/container_image.sh DIRECTORY [BUILD]
set -eu
cd "$(dirname "$0")/../.."
[ $# -ge 1 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
root=$1 build=${2:-build}
lib=/usr/lib/$(gcc -print-multiarch)
programs="sh bash env cat ls mkdir sleep hostname id uname true" # what a batch script's line may call
mpi="mpirun.openmpi orted ssh mpiexec.mpich hydra_pmi_proxy" # mpirun looks for ssh on one node too
plugins="$lib/openmpi/lib $lib/pmix2 $lib/ucx $lib/hwloc /usr/share/openmpi /usr/share/pmix /usr/share/libpmix2"

rm -rf "$root"
# what ch-run binds over, and where images of other kinds are bound (docs/CONTAINERS.md)
for folder in usr/bin usr/lib usr/lib64 usr/share etc proc sys dev tmp home root mnt host data scratch var/tmp ch; do mkdir -p "$root/$folder"; done
for folder in bin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
ln -s ../bin "$root/usr/sbin"
cp /etc/passwd /etc/group /etc/nsswitch.conf "$root/etc/"
: >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
: >"$root/etc/hostname"

cmake --install "$build" --prefix "$root/opt/protlm" >/dev/null
for name in $programs $mpi; do
  [ ! -x "/usr/bin/$name" ] || cp -L "/usr/bin/$name" "$root/usr/bin/$name"
done
ln -sf mpirun.openmpi "$root/usr/bin/mpirun"
ln -sf mpiexec.mpich "$root/usr/bin/mpiexec"
for folder in $plugins; do
  [ ! -d "$folder" ] || { mkdir -p "$root${folder%/*}" && cp -a "$folder" "$root${folder%/*}/"; }
done

# opened by name and not linked: the MPI libraries, the transports of UCX, users and hosts by name, a backtrace
named=$(ls "$lib"/libmpi.so.[0-9]* "$lib"/libmpich.so.[0-9]* "$lib"/libuc[mpst].so.0 "$lib"/libpmix.so.2 "$lib"/libnss_files.so.2 "$lib"/libnss_dns.so.2 \
  "$lib"/libgcc_s.so.1 2>/dev/null) || :
found=$(find "$root/opt" "$root/usr" \( -name '*.so*' -o -path '*/bin/*' \) -type f)
# shellcheck disable=SC2086
{
  printf '%s\n' $named
  ldd $found $named 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/.*[^:]$/ { print $1 }'
} | sort -u |
  while read -r library; do
    to=$root/usr/${library#/}
    case $library in /usr/*) to=$root$library ;; esac
    mkdir -p "${to%/*}"
    [ -e "$to" ] || cp -L "$library" "$to"
  done
ln -s /opt/protlm/bin/protlm "$root/usr/bin/protlm"
printf '%s\n' OMPI_MCA_btl_vader_single_copy_mechanism=none >"$root/ch/environment"
