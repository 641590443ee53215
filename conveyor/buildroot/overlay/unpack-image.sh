# Fills an empty folder with the content of an image. Arguments: the image, the folder.
#
# umoci applies the image's whiteouts and lets no path leave the folder. Device nodes are not taken along: a sandbox has
# its own, and an overlay could take one for a whiteout.
set -eu
skopeo --tmpdir "$TMPDIR" copy --quiet "$1" "oci:$TMPDIR/image:base"
umoci --log error raw unpack --image "$TMPDIR/image:base" "$2"
rm -rf "$TMPDIR/image"
find "$2" -xdev '(' -type b -o -type c ')' -delete
