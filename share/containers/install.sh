#!/bin/sh
# Inside an image: install the packages of the named roles of packages.txt and leave nothing of apt behind.
# usage: install.sh ROLE...
set -eu
list=$(dirname "$0")/packages.txt

packages() { # of one role
  sed -n "s/^$1 \{1,\}\([^ ]*\)$/\1/p" "$list"
}

wanted=
for role in "$@"; do
  found=$(packages "$role" | tr '\n' ' ')
  [ -n "$found" ] || { echo "install.sh: packages.txt has no role \"$role\"" >&2; exit 2; }
  wanted="$wanted $found"
done
[ -n "$wanted" ] || exit 0

export DEBIAN_FRONTEND=noninteractive
# Nobody reads manual pages in a container, and they are a tenth of it.
printf 'path-exclude=/usr/share/%s/*\n' doc man info locale lintian bash-completion >/etc/dpkg/dpkg.cfg.d/protlm
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $wanted
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
