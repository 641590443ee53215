#!/bin/sh
# Installs the Debian packages of packages.txt that this machine lacks; does nothing where it has them all.
set -eu
# What is installed is for all users.
umask 022
here=$(dirname "$0")
missing=""
for name in $(sed 's/#.*//' "$here/packages.txt"); do
    state=$(dpkg-query --show --showformat '${db:Status-Status}' "$name" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $name"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "these packages are missing, and installing them needs root:$missing" >&2
        exit 2
    }
    as_root="sudo --preserve-env=http_proxy,https_proxy,no_proxy"
fi

# A machine that was just started may be looking for upgrades. apt-get waits for dpkg's lock, but not for that of its
# lists. What it says is shown only where it fails: some packages' scripts grumble on a good way.
apt_get() {
    until said=$($as_root env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=600 "$@" 2>&1 </dev/null); do
        case $said in
        *"Could not get lock /var/lib/apt/lists/"*) sleep 5 ;;
        *)
            echo "$said" >&2
            exit 2
            ;;
        esac
    done
}

# Tests start an sshd of their own. Nobody is to be let in by one that came with them; whoever has one keeps it.
guarded=""
case "$missing " in
*" openssh-server "*) [ ! -d /run/systemd/system ] || guarded=yes ;;
esac

apt_get update
[ -z "$guarded" ] || $as_root systemctl --quiet mask ssh.service
# The names are a list on purpose.
# shellcheck disable=SC2086
apt_get install --no-install-recommends --yes $missing
if [ -n "$guarded" ]; then
    $as_root systemctl --quiet unmask ssh.service
    $as_root systemctl --quiet disable ssh.service
fi
