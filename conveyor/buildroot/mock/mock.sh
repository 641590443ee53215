# Runs mock for a builder, on copies that mock's unprivileged user can read wherever the originals lie.
# Arguments: that user; the scratch folder; the folder of the kept root cache; the input folder, with the configuration
# in it; the folder that receives results and logs, "" for a shell; the folder that keeps the root, "" for none; the
# minutes that make a root cache old, "" to run mock without asking, 0 to make it anew beside the one there is; the root
# to install the packages of the input folder in when mock has ended well, or to enter for a shell, "" for none, and the
# program that does it; to enter a root, the command of the person; mock's arguments.
set -eu
user=$1 scratch=$2 cache=$3 input=$4 output=$5 keep=$6 old=$7 root=$8 installer=$9
shift 9
if [ -n "$old" ] && [ -n "$(find "$cache/cache.tar" -mmin "-$old" 2>/dev/null)" ]; then
    exit 0
fi

# mock wants to be called through sudo or userhelper. Where it is installed, this is what they call.
SUDO_UID=$(id -u "$user")
PATH=/usr/libexec/mock:$PATH
export SUDO_UID PATH
cd "$scratch"
cp -a "$input" input
mkdir base results root_cache
chown "$user" results
if [ -n "$keep" ]; then
    mount --bind "$keep" base
fi
locks=${cache%/roots/*}/locks
mkdir -p "$cache" "$locks"
# Nobody removes what is kept of this root as long as this shell lives; mock and what it calls do not see the lock.
exec 8>>"$locks/${cache##*/}"
flock -s 8
touch "$locks/${cache##*/}"
# mock writes its cache in place. Through a link it reads the kept one; one that it makes anew is its own at first.
if [ "$old" = 0 ]; then
    exec 9>>"$locks/${cache##*/}.anew"
    flock -n 9 || exit 75
    # The package manager takes them for too old, and asks whether there are newer ones.
    find "${cache%/roots/*}/${cache##*/}" -path '*/repodata/*' -exec touch -d @0 {} + 2>/dev/null || true
elif [ -f "$cache/cache.tar" ]; then
    ln -s "$cache/cache.tar" root_cache/cache.tar
fi
if [ -L input/trunk/pool ]; then
    pool=$(readlink input/trunk/pool)
    rm input/trunk/pool
    mkdir input/trunk/pool
    mount --bind "$pool" input/trunk/pool
fi
# Run the installer on a root that mock has made, with less power than mock and without network.
in_root() {
    unshare --mount --net --ipc --pid --fork --kill-child python3 -I "$installer" "$root" "$@" 8>&-
}
if [ -z "$output" ] && [ -n "$root" ]; then
    command=$1
    shift
    mock "$@" 8>&-
    in_root -- /bin/sh -c "$command"
    exit
elif [ -z "$output" ]; then
    mock "$@" 8>&-
    exit
fi

# Of a line that was written over and over, such as a progress bar, the log gets the last.
run() {
    mock "$@" 8>&- 9>&- || return
    if [ -n "$root" ]; then
        in_root input/packages/* >install.log 2>&1 || code=$?
        cat install.log
        return "${code:-0}"
    fi
}
{ if run "$@" 2>&1; then echo 0 >code; else echo "$?" >code; fi; } | sed -u 's/\r*$//; s/.*\r//; s/\x1b\[[0-9;]*m//g'

if [ -f root_cache/cache.tar ] && [ ! -L root_cache/cache.tar ]; then
    find "$cache" -name 'new.*' -mmin +60 -delete
    new=$(mktemp "$cache/new.XXXXXX")
    cp root_cache/cache.tar "$new"
    mv "$new" "$cache/cache.tar"
fi
for log in results/root.log results/state.log install.log; do
    if [ -f "$log" ]; then
        cp "$log" "$output"
    fi
done
find results -maxdepth 1 -type f -name '*.rpm' -exec cp -- {} "$output/results" ';'
exit "$(cat code)"
