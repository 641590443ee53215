#!/bin/sh
# At the end: the folder of the build as the build left it, for who keeps the root.
set -eu
rm -rf /build/tree
mv /build/built /build/tree
