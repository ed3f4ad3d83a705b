# SPDX-License-Identifier: ISC
# A system of its own for tests that need programs which the machine has not (see
# scripts/unpack-packages) or that insist on their paths, ports and users: they are laid over
# this machine's /usr and /etc in mount, process and network namespaces. What is written goes
# into memory, the network is a loopback without a way out, and no process outlives the run.
# For scripts that begin with set -eu, run themselves again by in_a_system, and then have
# SYSTEM_SCRATCH.

# skip WHY: instead of all tests.
skip() {
	echo "1..0 # SKIP $1"
	exit 0
}

apart() {
	unshare --mount --pid --net --uts --ipc --fork --kill-child --propagation private "$@"
}

# in_a_system COMMAND...: in namespaces, SYSTEM_SCRATCH being a directory to lay out in.
in_a_system() {
	[ "$(id -u)" = 0 ] || skip 'needs root, for namespaces and mounts'
	scratch=$(mktemp -d)
	trap 'rmdir "$scratch"' EXIT
	apart mount -t tmpfs none "$scratch" 2>/dev/null ||
		skip 'this system allows no namespaces or mounts'
	SYSTEM_SCRATCH=$scratch apart "$@"
}

# lay_out_system TREE: the root directory $SYSTEM_SCRATCH/root, named router.example, with a
# user joe. Of this machine's own files it has programs and what configures these, no more.
lay_out_system() {
	tree=$1 root=$SYSTEM_SCRATCH/root
	mount -t tmpfs -o mode=755 none "$SYSTEM_SCRATCH"
	mkdir "$root"
	for d in usr etc; do
		set -- "$SYSTEM_SCRATCH/$d"
		mkdir "$1" "$1.work" "$root/$d"
		mount -t overlay -o "lowerdir=$tree/$d:/$d,upperdir=$1,workdir=$1.work" \
			none "$root/$d"
	done
	for d in bin sbin lib lib32 lib64 libx32; do
		[ ! -L "/$d" ] || ln -s "usr/$d" "$root/$d"
	done
	cp -R "$tree/var" "$root/var"
	for d in dev proc run root home tmp var/tmp var/mail var/log var/spool; do
		mkdir -p "$root/$d"
	done
	chmod 1777 "$root/tmp" "$root/var/tmp" "$root/var/mail"
	ln -s /run "$root/var/run"
	mount -t proc proc "$root/proc"
	for d in null zero full random urandom tty; do
		: >"$root/dev/$d"
		mount --bind "/dev/$d" "$root/dev/$d"
	done
	ln -s /proc/self/fd "$root/dev/fd"
	grep -v '^joe:' /etc/passwd >"$root/etc/passwd"
	echo 'joe:x:1234:1234:Joe:/home/joe:/bin/sh' >>"$root/etc/passwd"
	echo 'joe:x:1234:' >>"$root/etc/group"
	echo 'joe:*:20000:0:99999:7:::' >>"$root/etc/shadow"
	echo "127.0.0.1 localhost router.example router" >"$root/etc/hosts"
	echo router.example >"$root/etc/mailname"
	hostname router.example
}

# enter_system COMMAND...: instead of this shell, with the root directory laid out.
enter_system() {
	exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		LANG=C.UTF-8 HOME=/root USER=root LOGNAME=root TZ=UTC \
		chroot "$SYSTEM_SCRATCH/root" "$@"
}
