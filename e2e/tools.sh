#!/bin/sh
# Makes sure the programs that the tests use are there: on Debian, as root or
# with sudo, it installs them under CI=true or DEVPROXY_INSTALL=1; otherwise
# it says what is missing and so will be skipped. Under CI=true a missing
# program is an error.
set -eu

packages="python3-flask python3-django python3-requests python3-websockets
	gunicorn uwsgi-core uwsgi-plugin-python3
	chromium firefox-esr libnss3-tools curl openssl gnutls-bin
	default-jre-headless ca-certificates-java nodejs node-ws gcc libc6-dev
	wget git zsh fish sudo procps tshark"

# A program that is there without its Debian package serves as well.
have() {
	case $1 in
	curl | openssl | gcc | wget | git) command -v "$1" >/dev/null ;;
	nodejs) command -v node >/dev/null ;;
	*) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed' ;;
	esac
}

missing=
if command -v dpkg-query >/dev/null; then
	for package in $packages; do
		have "$package" || missing="$missing $package"
	done
else
	missing=" (not a Debian system: each test looks for what it needs)"
fi
[ -n "$missing" ] || exit 0

if [ "${CI:-}" = true ] || [ "${DEVPROXY_INSTALL:-}" = 1 ]; then
	if ! command -v apt-get >/dev/null; then
		echo "tools: apt-get is missing, cannot install:$missing" >&2
		exit 1
	fi
	root=
	[ "$(id -u)" = 0 ] || root="sudo -n"
	export DEBIAN_FRONTEND=noninteractive
	echo "tools: installing$missing"
	$root apt-get update -qq
	# shellcheck disable=SC2086 # one word per package
	$root apt-get install -y -qq --no-install-recommends $missing >/dev/null
	exit 0
fi
echo "tools: missing, tests that need them are skipped:$missing"
echo "tools: DEVPROXY_INSTALL=1 make test installs them on Debian"
