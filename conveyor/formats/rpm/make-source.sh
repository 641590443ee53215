# Makes an SRPM out of the upstream archive and the packaging. Arguments: SOURCE_DATE_EPOCH, %dist with its dot.
set -eu
export SOURCE_DATE_EPOCH="$1"
mkdir sources
mv ./*.tar.gz sources
cp -a packaging/. sources
# An SRPM holds these times, and the time of its making, which binary packages repeat as their cookie.
touch --date="@$1" sources/*
rpmbuild --define "_topdir $PWD/rpmbuild" --define "_sourcedir $PWD/sources" --define "_srcrpmdir $RESULTS" \
    --define "dist $2" --define "_buildhost conveyor" --define "source_date_epoch_from_changelog 0" \
    --define "use_source_date_epoch_as_buildtime 1" -bs sources/*.spec
