#!/bin/sh
# In the root: download what packages need. Arguments: what they need.
set -eu
/conveyor/in/hooks/D10dependencies.sh
test $# -eq 0 || apt-get --quiet --yes --download-only satisfy -- "$@"
/conveyor/in/bin/keep-archives.sh
