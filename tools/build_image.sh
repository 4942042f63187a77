#!/bin/sh
# Build the container image of share/containers/Dockerfile without a registry: a Debian 12 base made by mmdebstrap, the build by buildah.
# usage: tools/build_image.sh [--variant cpu|cuda|rocm] [--mpi "openmpi mpich"] [--base IMAGE] [--cache DIRECTORY] [--no-unpack] OUT
# Makes OUT/protlm-VARIANT.oci.tar (an OCI archive: docker load, podman load, apptainer build) and OUT/protlm-VARIANT/ (a directory for
# Charliecloud), and prints both sizes. Packages come from where this machine's apt takes them. Needs root; `tools/install-deps.sh --containers`.
set -eu
cd "$(dirname "$0")/.."

variant=cpu mpi="openmpi mpich" base="" cache=${XDG_CACHE_HOME:-$HOME/.cache}/protlm/containers unpack=yes
usage() { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
while [ $# -gt 1 ]; do
  case $1 in
  --variant) variant=$2; shift 2 ;;
  --mpi) mpi=$2; shift 2 ;;
  --base) base=$2; shift 2 ;;
  --cache) cache=$2; shift 2 ;;
  --no-unpack) unpack=; shift ;;
  *) usage ;;
  esac
done
case ${1:-} in '' | -*) usage ;; esac
case $variant in cpu | cuda | rocm) ;; *) usage ;; esac
mkdir -p "$1" "$cache"
out=$(cd "$1" && pwd)
cache=$(cd "$cache" && pwd)

for tool in buildah mmdebstrap; do
  command -v $tool >/dev/null 2>&1 || { echo "$tool is not here. Install it: \`tools/install-deps.sh --containers\`" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "Building an image this way needs root. Elsewhere: docs/CONTAINERS.md" >&2; exit 1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT

quietly() { # what is said matters only when it fails
  "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; echo "failed: $*" >&2; exit 1; }
}
images() { # buildah with a store of its own, so that nothing of another user's is touched
  verb=$1; shift
  # Without the right to raise limits (CAP_SYS_RESOURCE) buildah's defaults fail: name limits that are had.
  case $verb in bud) set -- --isolation chroot --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@" ;; esac
  buildah --root "$cache/store" --runroot "$cache/run" --storage-driver "${PROTLM_STORAGE_DRIVER:-overlay}" "$verb" "$@"
}
leave() { # --layers leaves working containers behind, mounted
  images rm --all >/dev/null 2>&1
  umount "$cache/store/overlay" 2>/dev/null
  rm -f "$log"
}
trap leave EXIT
sources() { # this machine's own Debian 12 sources, one-line or deb822, and no others
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$file" ] || grep -E '^deb .*debian.* bookworm[^ ]* .*main' "$file" || :
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$file" ] || awk -v RS= '/^Types:.*deb/ || /\nTypes:.*deb/ { if ($0 ~ /Suites:[^\n]*bookworm/ && $0 ~ /Components:[^\n]*main/) print one($0) }
      function field(text, name) { sub("(^|.*\n)" name ": *", "", text); sub(/\n.*/, "", text); return text }
      function one(text,    uris, suites, u, s, i, j, out) {
        u = split(field(text, "URIs"), uris, " "); s = split(field(text, "Suites"), suites, " ")
        for (i = 1; i <= u; i++) for (j = 1; j <= s; j++) out = out (out ? "\n" : "") "deb " uris[i] " " suites[j] " main"
        return out
      }' "$file"
  done
}
make_base() { # kept, as nothing in it depends on protlm; it does not say where this machine takes its packages from
  [ ! -s "$cache/base.tar" ] || return 0
  # shellcheck disable=SC2016 # mmdebstrap's shell expands the hooks
  quietly mmdebstrap --variant=minbase --quiet --customize-hook='rm -f "$1"/etc/apt/sources.list.d/*' \
    --customize-hook=': >"$1"/etc/apt/sources.list' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    bookworm "$cache/base.part.tar" "$cache/sources.list"
  mv "$cache/base.part.tar" "$cache/base.tar"
}
import_base() {
  container=$(images from scratch)
  images add "$container" "$cache/base.tar" / >/dev/null
  images commit --quiet "$container" "$1" >/dev/null
  images rm "$container" >/dev/null
}

started=$(date +%s)
if [ -z "$base" ]; then
  sources >"$cache/sources.list"
  [ -s "$cache/sources.list" ] || { echo "This machine's apt names no Debian 12 (bookworm) source. Give a base: --base IMAGE" >&2; exit 1; }
  make_base
  base=localhost/protlm-base:12
  images inspect --type image "$base" >/dev/null 2>&1 || quietly import_base "$base"
  set -- --pull-never --volume "$cache/sources.list:/etc/apt/sources.list:ro"
else
  set --
fi
quietly images bud "$@" --quiet --layers --squash --build-arg "BASE=$base" --build-arg "VARIANT=$variant" --build-arg "MPI=$mpi" \
  --file share/containers/Dockerfile --tag "localhost/protlm:$variant" .
archive=$out/protlm-$variant.oci.tar
rm -f "$archive"
quietly images push --quiet "localhost/protlm:$variant" "oci-archive:$archive:protlm"
echo "$archive: $(($(stat -c %s "$archive") / 1000000)) MB compressed"

if [ -n "$unpack" ]; then # the one layer of the archive, which is its largest part
  root=$out/protlm-$variant
  rm -rf "$root"
  mkdir -p "$root"
  scratch=$(mktemp -d "$out/unpack.XXXXXX")
  tar -C "$scratch" -xf "$archive"
  layer=$(find "$scratch/blobs" -type f -printf "%s %p\n" | sort -rn | sed -n "1s/^[0-9]* //p")
  tar -C "$root" -xzpf "$layer"
  rm -rf "$scratch"
  mkdir -p "$root/ch" # what `ch-run --set-env` reads
  images inspect --type image --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "localhost/protlm:$variant" | grep . >"$root/ch/environment"
  echo "$root: $(($(du -sk "$root" | cut -f1) / 1000)) MB"
fi
echo "took $(($(date +%s) - started)) s"
