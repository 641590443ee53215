# Makes a .dsc out of the upstream archive and the packaging's debian/.
# Arguments: source name, upstream version, top folder of the archive.
set -eu
tar -xzf "$1_$2.orig.tar.gz"
# An upstream's own debian/ is not ours; dpkg-source drops it from the archive's tree too (deb-src-3.0(5), quilt).
rm -rf "$3/debian"
cp -a packaging/debian "$3/debian"
dpkg-source --build "$3"
mv ./*.dsc ./*.tar.* "$RESULTS"
