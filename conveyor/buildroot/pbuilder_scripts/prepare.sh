# Read by the others: what pbuilder finds around it.
: >"$HOME/.pbuilderrc"
hostname build
# pbuilder asks for the full name, and should not have to ask the network.
{ cat /etc/hosts; echo "127.0.1.1 build"; } >"$HOME/hosts"
mount --bind "$HOME/hosts" /etc/hosts
# Without these pbuilder would leave the network to the build.
unshare --net -- /usr/lib/pbuilder/pbuilder-unshare-wrapper true

# Unpack a tarball and make the devices that every program may rely on; where they cannot be made, bind the host's.
unpack() {
    mkdir -p "$2"
    tar --extract --preserve-permissions --numeric-owner --file "$1" --directory "$2"
    for device in null:3 zero:5 full:7 random:8 urandom:9; do
        path=dev/${device%:*}
        mknod -m 666 "$2/$path" c 1 "${device#*:}" 2>/dev/null || { : >"$2/$path" && mount --bind "/$path" "$2/$path"; }
    done
    mknod -m 666 "$2/dev/tty" c 5 0 2>/dev/null || true
    ln -s pts/ptmx "$2/dev/ptmx"
    ln -s /proc/self/fd "$2/dev/fd"
    for number in 0:stdin 1:stdout 2:stderr; do
        ln -s "/proc/self/fd/${number%:*}" "$2/dev/${number#*:}"
    done
}
