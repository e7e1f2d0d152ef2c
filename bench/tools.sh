#!/bin/sh
# Makes sure the programs that the benchmark compares and loads with are there:
# on Debian, as root or with sudo, it installs them under CI=true or
# DEVPROXY_INSTALL=1; otherwise a missing one is an error.
set -eu

missing= packages= services=
for program in nginx haproxy wrk h2load; do
	PATH=$PATH:/usr/sbin command -v $program >/dev/null && continue
	missing="$missing $program"
	case $program in
	h2load) packages="$packages nghttp2-client" ;;
	wrk) packages="$packages wrk" ;;
	*) packages="$packages $program" services="$services $program" ;;
	esac
done
[ -n "$missing" ] || exit 0

if { [ "${CI:-}" = true ] || [ "${DEVPROXY_INSTALL:-}" = 1 ]; } && command -v apt-get >/dev/null; then
	root=
	[ "$(id -u)" = 0 ] || root="sudo -n"
	export DEBIAN_FRONTEND=noninteractive
	echo "tools: installing$packages"
	$root apt-get update -qq
	# shellcheck disable=SC2086 # one word per package
	$root apt-get install -y -qq --no-install-recommends $packages >/dev/null
	# Debian starts a server that it installs; nobody here wants it as a service.
	if [ -n "$services" ] && [ -d /run/systemd/system ]; then
		# shellcheck disable=SC2086 # one word per service
		$root systemctl disable --now $services
	fi
	exit 0
fi
echo "tools: missing:$missing" >&2
echo "tools: on Debian, DEVPROXY_INSTALL=1 make bench installs$packages" >&2
exit 1
