#!/bin/sh
# In the root: run a command as the unprivileged user. Arguments: working folder, the command.
set -eu
cd "$1"
shift
exec setpriv --reuid build --regid build --clear-groups --no-new-privs --bounding-set -all --inh-caps -all -- \
    env -i HOME=/build/home USER=build LOGNAME=build TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 RESULTS=/build/results \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
