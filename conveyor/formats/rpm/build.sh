# Builds binary packages out of an SRPM. Arguments: SOURCE_DATE_EPOCH, %dist with its dot.
set -eu
export SOURCE_DATE_EPOCH="$1"
rpmbuild --define "_topdir $PWD/rpmbuild" --define "_rpmdir $RESULTS" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
    --define "dist $2" --define "_buildhost conveyor" --define "source_date_epoch_from_changelog 0" \
    --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
    --define "build_mtime_policy clamp_to_source_date_epoch" --rebuild ./*.src.rpm
