#!/bin/sh
# Before the build: nothing of the package has run yet.
set -eu
/conveyor/in/bin/keep-archives.sh
mkdir -p /build/home
chown build:build /build/home
perl /conveyor/in/bin/end-processes.pl build "$(cat /conveyor/in/seconds)" /conveyor/out/state/time </dev/null >/dev/null 2>&1 &
: >/conveyor/out/state/building
