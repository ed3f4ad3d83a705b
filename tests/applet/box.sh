#!/bin/sh
# SPDX-License-Identifier: ISC
# A system of its own (tests/system.sh) with the program and the supervisors of
# scripts/setup-services in it, ruled by the init that is named. COMMAND lays out the rest: it
# runs in the system's root directory. usage: box.sh MTABOX COMMAND INIT...
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
. "$top/tests/system.sh"
[ -n "${SYSTEM_SCRATCH:-}" ] || {
	in_a_system "$0" "$@"
	exit
}

# systemd wants a hierarchy of control groups for its own. Ours is one below the machine's.
if [ -n "${CGROUP:-}" ] && [ "${CGROUP_ENTERED:-}" != yes ]; then
	echo $$ >"$CGROUP/cgroup.procs"
	CGROUP_ENTERED=yes exec unshare --cgroup "$0" "$@"
fi

lay_out_system "$top/build/services/root"
root=$SYSTEM_SCRATCH/root
if [ -n "${CGROUP:-}" ]; then
	mkdir "$root/sys"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t tmpfs none "$root/run"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi
cp "$1" "$root/usr/sbin/mtabox"
"$root/usr/sbin/mtabox" --install -s "$root/usr/sbin"
for applet in sendmail deliver mailq newaliases; do
	ln -sf mtabox "$root/usr/sbin/$applet"
done
cp "$top"/etc/mtabox.* "$root/root"
(cd "$root" && sh -euc "$2")
shift 2
: >"$root/laid-out"
# Not only a chroot: systemd makes mount namespaces for its services.
mount --rbind "$root" "$root"
cd "$root"
pivot_root . .
umount -l .
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root TZ=UTC "$@"
