#!/bin/sh
# What `pbuilder create` takes for debootstrap: mmdebstrap, and a copy of the root as it is before anything is added.
set -eu
# The lists stay: they save most of what is fetched before an installation.
# What it leaves when it is killed goes with the scratch folder.
TMPDIR=$HOME mmdebstrap --skip=cleanup/apt/lists "$@" $(test ! -s "$ORDER/repositories.sources" || echo "$ORDER/repositories.sources")
cp -R "$ORDER/apt/." "$ROOT/etc/apt/"
tar --create --one-file-system --exclude='./dev/*' --use-compress-program='zstd -q -1 -T0' \
    --file "$HOME/smallest.tar.zst" --directory "$ROOT" .
. "$ORDER/bin/devices.sh"
make_devices "$ROOT"
