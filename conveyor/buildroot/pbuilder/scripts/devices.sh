# Read by others: make the devices that every program may rely on, in the root of the argument. Where they cannot be made,
# as in a container, bind those there are.
make_devices() {
    for device in null:3 zero:5 full:7 random:8 urandom:9; do
        path=dev/${device%:*}
        test -c "$1/$path" || mknod -m 666 "$1/$path" c 1 "${device#*:}" 2>/dev/null \
            || { : >"$1/$path" && mount --bind "/$path" "$1/$path"; }
    done
    test -c "$1/dev/tty" || mknod -m 666 "$1/dev/tty" c 5 0 2>/dev/null || true
    for link in ptmx:pts/ptmx fd:/proc/self/fd stdin:/proc/self/fd/0 stdout:/proc/self/fd/1 stderr:/proc/self/fd/2; do
        ln -sfn "${link#*:}" "$1/dev/${link%%:*}"
    done
}
