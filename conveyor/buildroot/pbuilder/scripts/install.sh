# Installs packages on the smallest root: what they need with the network, themselves without it.
# Arguments: folder of the order, folder of what comes out, tarball, folder for the root, what the packages need.
set -eu
order=$1 out=$2 tarball=$3 root=$4
shift 4
. "$order/bin/prepare.sh"
use "$tarball"
unpack "$tarball" "$root"
: >"$out/state/unpacked"
run="execute --configfile $order/pbuilderrc --no-targz"
# Nothing of the packages runs yet: what is mounted can be unmounted, for the second run to mount it again.
pbuilder $run --configfile "$order/unmount" -- "$order/bin/fetch.sh" "$@" 7>&- 8>&-
unshare --net -- pbuilder $run -- "$order/bin/install-fetched.sh" "$@" 7>&- 8>&-
