# Looks after a cache. Arguments: "list" and patterns, or "remove" and folders; the cache.
# "list" prints a line for each folder: its path, bytes, when its newest tarball was made, when it was used last, device and
# inode of its lock; times in seconds since the epoch, 0 for what there is not. "remove" prints the paths that it has
# removed, which nobody used.
set -eu
for cache; do :; done
cd "$cache"
action=$1
shift

list() {
    for folder in $1; do
        test -d "$folder" && test -n "$(ls -A "$folder")" || continue
        name=${folder##*/}
        lock=$(stat -c '%Y %d %i' "locks/${name%-bootstrap}" 2>/dev/null) || lock="0 0 0"
        made=$(stat -c %Y "$folder"/*.tar "$folder"/*.tar.* 2>/dev/null | sort -n | tail -n 1)
        size=$(du -sk "$folder" 2>/dev/null | cut -f 1)
        echo "$folder $((${size:-0} * 1024)) ${made:-0} $lock"
    done
}

remove() {
    name=${1##*/}
    gone=.gone-$$
    # Renamed first: a kill leaves whole folders, and this one for the next time.
    if flock -n "locks/${name%-bootstrap}" mv "$1" "$gone"; then
        rm -rf "$gone"
        echo "$1"
    fi
}

if [ "$action" = remove ]; then
    mkdir -p locks
    rm -rf .gone-*
fi
while [ $# -gt 1 ]; do
    $action "$1"
    shift
done
