# Runs pbuilder on a root that is there. Arguments: folder of the order, pbuilder's arguments.
set -eu
. "$1/bin/prepare.sh"
shift
exec pbuilder "$@"
