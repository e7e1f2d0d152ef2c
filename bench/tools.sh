#!/bin/sh
# Makes sure the programs that the benchmark compares and loads with are there,
# as e2e/tools.sh does for the tests.
set -eu

missing=
for program in nginx haproxy wrk h2load; do
	PATH=$PATH:/usr/sbin command -v $program >/dev/null || missing="$missing $program"
done
[ -n "$missing" ] || exit 0

if [ "${DEVPROXY_INSTALL:-}" = 1 ] && command -v apt-get >/dev/null; then
	root=
	[ "$(id -u)" = 0 ] || root="sudo -n"
	export DEBIAN_FRONTEND=noninteractive
	echo "tools: installing nginx-light haproxy wrk nghttp2-client"
	# Servers that Debian installs it also starts, on port 80: not here.
	$root apt-get update -qq
	$root env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx-light haproxy wrk nghttp2-client >/dev/null
	exit 0
fi
echo "tools: missing:$missing" >&2
echo "tools: on Debian, DEVPROXY_INSTALL=1 make bench installs nginx-light haproxy wrk nghttp2-client" >&2
exit 1
