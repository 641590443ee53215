# Runs a build with ccache before the compilers, and keeps what they made for the next build.
# Arguments: the build's script, and what it is given. What is kept comes as /build/compilations.tar, empty at first.
set -eu
export CCACHE_DIR=/build/home/ccache CCACHE_BASEDIR=/build/tree CCACHE_MAXSIZE=1G CCACHE_NOHASHDIR=1
mkdir -p "$CCACHE_DIR"
if [ -s /build/compilations.tar ]; then tar -C "$CCACHE_DIR" -xf /build/compilations.tar; fi
PATH="/usr/lib/ccache:/usr/lib64/ccache:$PATH" /bin/sh "$@"
ccache --show-stats
tar -C "$CCACHE_DIR" -cf "$RESULTS/compilations.tar" .
