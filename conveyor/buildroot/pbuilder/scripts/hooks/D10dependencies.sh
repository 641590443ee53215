#!/bin/sh
# Before build dependencies are installed: the sources of packages as they are now, and what was downloaded before.
set -eu
: >/conveyor/out/state/dependencies
cp -R /conveyor/in/apt/. /etc/apt/
find /conveyor/archives -name '*.deb' -exec ln -s -t /var/cache/apt/archives {} +
# By itself apt goes on with the lists that it has, and packages look missing.
apt-get --quiet --option APT::Update::Error-Mode=any update
