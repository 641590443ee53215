#!/bin/sh
# In the root: run the script that makes a source package, as an unprivileged user. Arguments: the script's.
set -eu
. /conveyor/in/bin/user.sh
perl /conveyor/in/bin/end-processes.pl build "$(cat /conveyor/in/seconds)" /conveyor/out/state/time </dev/null >/dev/null 2>&1 &
: >/conveyor/out/state/building
code=0
/conveyor/in/bin/as-builder.sh /build/tree /bin/sh /conveyor/in/script.sh "$@" </dev/null || code=$?
perl /conveyor/in/bin/end-processes.pl build
test $code -eq 0 || exit $code
find /build/results -maxdepth 1 -type f -exec cp -t /conveyor/out/results -- {} +
: >/conveyor/out/state/built
