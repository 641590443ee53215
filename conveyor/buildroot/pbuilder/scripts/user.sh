# Read by others, in the root: make the unprivileged user, and its folders with what was given.
uid=$(cat /conveyor/in/uid)
echo "build:x:$uid:$uid::/build/home:/bin/sh" >>/etc/passwd
echo "build:x:$uid:" >>/etc/group
mkdir -p /build/tree /build/results /build/home
cp -R /conveyor/in/input/. /build/tree
chown -R build:build /build/tree /build/results /build/home
