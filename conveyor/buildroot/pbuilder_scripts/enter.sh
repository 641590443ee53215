# Runs pbuilder on a root that is there. Arguments: folder of the order, pbuilder's arguments.
set -eu
order=$1
shift
. "$order/bin/prepare.sh"
exec pbuilder "$@"
