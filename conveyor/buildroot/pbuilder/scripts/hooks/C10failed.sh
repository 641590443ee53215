#!/bin/sh
# After a failed build.
perl /conveyor/in/bin/end-processes.pl build
