# The first process of a container: runs a builder's tool, then tells in /conveyor/status how it ended.
#
# Its standard input is held open by Conveyor. When that ends, for whatever reason, so does all that runs here.
exec 3<&0 </dev/null
umask 022
if ! command -v "$1" >/dev/null; then
    echo "missing" >/conveyor/status
    exit 127
fi
(
    cat <&3 >/dev/null
    kill -s KILL -- -1
) &
"$@" 3<&-
code=$?
# What the tool has left running.
kill -s KILL -- -1 2>/dev/null

# By built-in commands alone: there may be no room for another process.
tell() {
    [ -r "$2" ] || return 0
    while read -r key value; do
        [ "$key" != "$3" ] || echo "$1 $value"
    done <"$2"
}
{
    echo "exit $code"
    tell oom_kill /sys/fs/cgroup/memory.events oom_kill
    tell oom_kill /sys/fs/cgroup/memory/memory.oom_control oom_kill
    tell refused /sys/fs/cgroup/pids.events max
    tell refused /sys/fs/cgroup/pids/pids.events max
} >/conveyor/status
stat -f -c 'free %a %S %b %d' /conveyor/scratch >>/conveyor/status
exit "$code"
