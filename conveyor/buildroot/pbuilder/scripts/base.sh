# Makes the tarballs that all builds of a target start from, unless there are such that are new enough.
# Arguments: cache folder, name of the base, seconds since the epoch before which a base is too old, folder of the order,
# folder for the root.
set -eu
cache=$1 name=$2 oldest=$3 order=$4 root=$5
is_fresh() { test -n "$(find "$cache/$name/base.tar.zst" -newermt "@$oldest" 2>/dev/null)"; }
pack() { tar --create --one-file-system --exclude='./dev/*' --use-compress-program='zstd -q -1 -T0' --file "$2" --directory "$1" .; }
! is_fresh || exit 0

mkdir -p "$cache/archives"
exec 9>"$cache/lock"
flock 9
! is_fresh || exit 0

# What a kill has left, and what nobody has used since the oldest base that counts.
rm -rf "$cache"/.new-* "$cache"/archives/tmp.*
find "$cache" -maxdepth 1 -name 'base-*' ! -name "$name" ! -newermt "@$oldest" -exec rm -rf {} +
find "$cache/archives" -type f ! -newermt "@$oldest" -delete

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
