# Makes the tarballs that all builds of a target start from, unless there are such that are new enough.
# Arguments: cache folder, name of the base, seconds since the epoch before which a base is too old, the same before which
# what was not used since is of no use, "wait" for who else makes one or "leave" it to them with code 75, folder of the
# order, folder for the root.
set -eu
cache=$1 name=$2 oldest=$3 unused=$4 others=$5 order=$6 root=$7
is_fresh() { test -n "$(find "$cache/$name/base.tar.zst" -newermt "@$oldest" 2>/dev/null)"; }
pack() { tar --create --one-file-system --exclude='./dev/*' --use-compress-program='zstd -q -1 -T0' --file "$2" --directory "$1" .; }
! is_fresh || exit 0

mkdir -p "$cache/archives" "$cache/locks"
exec 9>"$cache/lock"
if test "$others" = leave; then flock -n 9 || exit 75; else flock 9; fi
! is_fresh || exit 0

# What a kill has left, and what nobody uses, or has used for long.
for base in "$cache"/base-*; do
    lock=$cache/locks/${base##*/}
    test -d "$base" && test "${base##*/}" != "$name" || continue
    test -z "$(find "$base" "$lock" -maxdepth 0 -newermt "@$unused" 2>/dev/null)" || continue
    flock -n "$lock" mv "$base" "$cache/.new-${base##*/}" || true
done
rm -rf "$cache"/.new-* "$cache"/archives/tmp.*
find "$cache/archives" -type f ! -newermt "@$unused" -delete
# Nobody removes this one meanwhile.
exec 8>>"$cache/locks/$name"
flock -s 8

new=$(mktemp -d "$cache/.new-XXXXXX")
. "$order/bin/prepare.sh"
mkdir "$root"
echo "I: making the base of the target"
ROOT=$root ORDER=$order pbuilder create --configfile "$order/pbuilderrc" --no-targz
pack "$root" "$new/base.tar.zst"
mv "$HOME/smallest.tar.zst" "$new/"
sync "$new"/*
# Builds that have opened the one before go on with it.
mkdir -p "$cache/$name"
mv "$new/smallest.tar.zst" "$cache/$name/"
mv "$new/base.tar.zst" "$cache/$name/"
touch "$cache/$name"
rmdir "$new"
