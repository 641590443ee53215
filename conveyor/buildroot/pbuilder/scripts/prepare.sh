# Read by the others: what pbuilder finds around it.
: >"$HOME/.pbuilderrc"
hostname build
# pbuilder asks for the full name, and should not have to ask the network.
{ cat /etc/hosts; echo "127.0.1.1 build"; } >"$HOME/hosts"
mount --bind "$HOME/hosts" /etc/hosts
# Without these pbuilder would leave the network to the build.
unshare --net -- /usr/lib/pbuilder/pbuilder-unshare-wrapper true

. "$order/bin/devices.sh"

# Keep a base, and what was downloaded, from being removed as long as this shell lives. What it calls in the root is to be
# called with 7>&- 8>&-, for the locks are none of its business.
use() {
    base=${1%/*}
    locks=${base%/*}/locks
    mkdir -p "$locks"
    exec 7>>"$locks/archives" 8>>"$locks/${base##*/}"
    flock -s 7
    flock -s 8
    touch "$locks/archives" "$locks/${base##*/}"
    mkdir -p "${base%/*}/archives"
    test -e "$1" || exit 66
}

unpack() {
    mkdir -p "$2"
    tar --extract --preserve-permissions --numeric-owner --file "$1" --directory "$2"
    make_devices "$2"
    mount_proc "$2"
}

# Even without capabilities, root of the host could write the kernel's settings.
mount_proc() {
    mkdir -p "$1/proc"
    mount -t proc proc "$1/proc"
    for path in sys sysrq-trigger irq bus fs; do
        test -e "$1/proc/$path" || continue
        mount --bind "$1/proc/$path" "$1/proc/$path"
        mount -o remount,bind,ro "$1/proc/$path"
    done
}
