# Runs pbuilder on a root that is there. Arguments: folder of the order, the root, pbuilder's arguments.
set -eu
order=$1 root=$2
shift 2
. "$order/bin/prepare.sh"
mount_proc "$root"
exec pbuilder "$@"
