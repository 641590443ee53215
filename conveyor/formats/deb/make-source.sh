# Makes a .dsc out of the upstream archive and the packaging's debian/.
# Arguments: source name, upstream version, top folder of the archive.
set -eu
debian=packaging/debian
changelog=$(dpkg-parsechangelog --file "$debian/changelog" 2>&1 || true)
full=$(echo "$changelog" | sed -n 's/^Version: \([0-9]*:\)\?//p')
format=$(cat "$debian/source/format" 2>&1 || true)
if [ "$format" = "3.0 (quilt)" ] && [ ! -e "$debian/patches" ] && [ "${full%-*}" = "$2" ]; then
    # Nothing outside debian/ differs from the archive. dpkg-source would unpack all of it twice to find that out;
    # told that the files are made already (dpkg-source(1), "3.0 (custom)"), it unpacks nothing.
    made="$1_$full.debian.tar.xz"
    tar --create --xz --file "$made" --directory packaging --format gnu --sort name --owner 0 --group 0 --numeric-owner \
        --mtime "@$(echo "$changelog" | sed -n 's/^Timestamp: //p')" debian
    dpkg-source --format="3.0 (custom)" --target-format="3.0 (quilt)" --build packaging "$1_$2.orig.tar.gz" "$made"
else
    tar -xzf "$1_$2.orig.tar.gz"
    # An upstream's own debian/ is not ours; dpkg-source drops it from the archive's tree too (deb-src-3.0(5), quilt).
    rm -rf "$3/debian"
    cp -a "$debian" "$3/debian"
    dpkg-source --build "$3"
fi
mv ./*.dsc ./*.tar.* "$RESULTS"
