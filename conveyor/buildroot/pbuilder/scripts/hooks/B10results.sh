#!/bin/sh
# After the build: take the results, regular files only, once nothing of the package runs any more. pbuilder would follow
# its symlinks, and its .changes to any path of the host; it is shown a folder with nothing in it.
set -eu
perl /conveyor/in/bin/end-processes.pl build
: >/conveyor/out/state/collecting
mv /build/tree /build/built
mkdir /build/tree
cd /build/built
find . -maxdepth 1 -type f \( -name '*.deb' -o -name '*.changes' -o -name '*.buildinfo' \) \
    -exec cp -t /conveyor/out/results -- {} +
for file in ./*.changes; do
    : >"/build/tree/$file"
done
: >/conveyor/out/state/built
