# Runs a command in the root, in which the kernel's settings are read-only: a package's script that may write to them
# could have the host run a program. Arguments: the root, the command.
set -eu
root=$1
shift
if [ -w "$root/proc/sys/kernel/core_pattern" ]; then
    for name in sys sysrq-trigger irq bus; do
        path=$root/proc/$name
        if [ -e "$path" ]; then
            mount --bind "$path" "$path"
            mount -o remount,bind,ro "$path"
        fi
    done
fi
exec chroot "$root" "$@"
