# Unpacks a tarball and runs pbuilder on it. Arguments: folder of the order, folder of what comes out, tarball, folder for
# the root, pbuilder's arguments.
set -eu
order=$1 out=$2 tarball=$3 root=$4
shift 4
. "$order/bin/prepare.sh"
use "$tarball"
unpack "$tarball" "$root"
: >"$out/state/unpacked"
pbuilder "$@" 7>&- 8>&-
