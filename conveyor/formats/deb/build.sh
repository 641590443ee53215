# Builds binary packages out of a .dsc. Argument: SOURCE_DATE_EPOCH.
set -eu
export SOURCE_DATE_EPOCH="$1" DEB_BUILD_OPTIONS="parallel=$(nproc)"
dpkg-source --no-check --no-copy --extract ./*.dsc source
cd source
# The tree is fresh: there is nothing to clean before the build.
dpkg-buildpackage --build=binary --no-pre-clean --unsigned-changes --unsigned-buildinfo
cd ..
mv ./*.deb ./*.changes ./*.buildinfo "$RESULTS"
