#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# deliver -q15m as a service, with the files of etc/: real supervisors start, signal and stop it
# in a system of its own (box.sh).

load helper

top=$BATS_TEST_DIRNAME/../..
box='' init='' cgroup=''

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || show
	[ -n "$BATS_TEST_COMPLETED" ] || tell
	cd /
	if [ -n "$init" ]; then
		kill -9 "$init" || true
		wait "$box" || true
	fi
	[ -z "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} +
	end_processes
	rm -rf "$S"
}

# What the system says.
tell() {
	cat console
	in_box tail -n 20 /var/log/mail
	[ -z "$cgroup" ] || in_box journalctl --no-pager -n 30 -u mtabox
	return 0
} 2>/dev/null

# boot LAYOUT INIT...: the system, with a mailbox for joe and a log file; what is at LAYOUT
# (shell, in its root directory) besides.
boot() {
	local layout=$1
	shift
	needs_root "a system of its own"
	[ -e "$top/build/services/stamp" ] || skip "no supervisors (scripts/setup-services)"
	CGROUP=$cgroup "$BATS_TEST_DIRNAME/box.sh" "$MTABOX" \
		"echo log_file /var/log/mail >etc/mtabox.conf; $layout" "$@" >"$S/console" 2>&1 3>&- &
	box=$!
	wait_for '! grep -q "1..0 # SKIP" console || skip "$(cat console)"
		init=$(pgrep -P "$(pgrep -P $box -x unshare)") && in_box test -e /laid-out'
} 2>/dev/null

# A command in it.
in_box() {
	nsenter -t "$init" -m -p -n -i -u -r -w env -i PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 \
		SVDIR=/etc/service "$@" 3>&-
}
in_file() { in_box cat "$1" 2>/dev/null; }
write() { letter "$1" | expect 0 in_box sendmail "${@:2}" joe && silent; }
arrived() { [ "$(in_file /var/mail/joe | grep -c '^Subject: test')" = "$1" ]; }
running() { in_box pgrep -x deliver || true; }
# The one that waits for mail.
settled() { pid=$(running) && [ -n "$pid" ] && [ "$pid" = "${pid%[!0-9]*}" ]; }

# How often it has slept.
switches() { in_box grep ^voluntary "/proc/$1/status"; }

# serves NAME: NAME_up, NAME_down and NAME_hup are how one does that there.
serves() {
	local first before
	write first -odq
	"$1_up"
	wait_for 'arrived 1'
	# Mail that comes is delivered at once, by this runner.
	wait_for settled
	first=$pid
	write second -odi
	arrived 2
	wait_for settled
	same "$pid" "$first"
	! in_box pgrep -x sendmail
	# HUP: tries all, and reads the configuration again.
	in_box mkdir /var/mail/new
	in_box chmod 1777 /var/mail/new
	in_box sh -c 'mv /var/mail/joe /var/mail/new; mkdir /var/mail/joe'
	write third -odi
	in_box sh -c 'echo "mailbox /var/mail/new/%u" >>/etc/mtabox.conf'
	"$1_hup"
	wait_for 'in_file /var/mail/new/joe | grep -q third'
	wait_for settled
	same "$pid" "$first"
	in_file /var/log/mail | grep -q 'configuration read again'
	in_box rmdir /var/mail/joe
	in_box ln -s new/joe /var/mail/joe
	# Killed, it comes again, by itself where that is the supervisor's work.
	in_box kill -9 "$pid"
	write fourth -odq
	[ "$1" != start_stop_daemon ] || "$1_up"
	wait_for 'arrived 4'
	wait_for settled
	[ "$pid" != "$first" ]
	# Stopped, and mail comes: a runner in the background, as ever. The service waits for its
	# end without a sound.
	"$1_down"
	wait_for '[ -z "$(running)" ]' 8
	in_box sh -c 'rm /var/mail/joe; mv /var/mail/new/joe /var/mail/new/old
		mkdir /var/mail/new/joe'
	write fifth -odi
	in_box pgrep -x sendmail
	"$1_up"
	wait_for settled
	wait_for 'in_box grep -q flock "/proc/$pid/wchan" "/proc/$pid/stack"'
	before=$(switches "$pid")
	in_box rmdir /var/mail/new/joe
	# (To root: joe's mailbox could not be used a moment ago.)
	letter sixth | expect 0 in_box sendmail -odi root
	[ "$(in_file /var/mail/new/root | grep -c sixth)" = 1 ]
	same "$(switches "$pid")" "$before"
	in_box pkill -x sendmail
	# Its own first attempt for all that is left.
	wait_for 'in_file /var/mail/new/joe | grep -q fifth'
	wait_for settled
	write seventh -odi
	in_file /var/mail/new/joe | grep -q seventh
	! in_box pgrep -x sendmail
	"$1_down"
	wait_for '[ -z "$(running)" ]' 8
	same "$(in_box mailq)" 'Mail queue is empty'
}

service_directory='rm -rf etc/service; mkdir -p etc/sv/mtabox etc/service
	cp root/mtabox.run etc/sv/mtabox/run'

runit_up() {
	in_box ln -sfn /etc/sv/mtabox /etc/service/mtabox
	wait_for 'in_box sv up mtabox >out'
}
runit_down() { expect 0 in_box sv down mtabox; }
runit_hup() { in_box sv hup mtabox; }
@test "runit" {
	boot "$service_directory" runsvdir /etc/service
	serves runit
}

s6_up() {
	in_box ln -sfn /etc/sv/mtabox /etc/service/mtabox
	in_box s6-svscanctl -a /etc/service
	wait_for 'in_box s6-svc -u /etc/service/mtabox 2>out'
}
s6_down() { in_box s6-svc -wD -T8000 -d /etc/service/mtabox; }
s6_hup() { in_box s6-svc -h /etc/service/mtabox; }
@test "s6" {
	boot "$service_directory" s6-svscan /etc/service
	serves s6
}

daemontools_up() {
	in_box ln -sfn /etc/sv/mtabox /etc/service/mtabox
	wait_for 'in_box svok /etc/service/mtabox'
	in_box svc -u /etc/service/mtabox
}
daemontools_down() { in_box svc -d /etc/service/mtabox; }
daemontools_hup() { in_box svc -h /etc/service/mtabox; }
@test "daemontools" {
	boot "$service_directory" svscan /etc/service
	serves daemontools
}

busybox_up() { in_box sh -c 'echo "::respawn:/usr/sbin/deliver -q15m" >/etc/inittab; kill -HUP 1'; }
busybox_down() { in_box sh -c ': >/etc/inittab; kill -HUP 1; pkill -x deliver'; }
busybox_hup() { in_box pkill -HUP -x deliver; }
@test "BusyBox init" {
	boot ': >etc/inittab' busybox init
	serves busybox
}

start_stop_daemon() {
	in_box start-stop-daemon --pidfile /run/mtabox.pid --exec /usr/sbin/deliver "$@"
}
start_stop_daemon_up() { start_stop_daemon --start --background --make-pidfile -- -q15m; }
start_stop_daemon_down() { start_stop_daemon --stop --retry TERM/8; }
start_stop_daemon_hup() { start_stop_daemon --stop --signal HUP; }
@test "start-stop-daemon, as in a script of sysvinit" {
	boot ': >etc/inittab' busybox init
	serves start_stop_daemon
}

# A hierarchy of control groups below the machine's; systemd takes any for its own.
own_cgroup() {
	local mounted
	needs_root "control groups"
	mounted=$(findmnt -nt cgroup2 -o TARGET | head -n 1)
	[ -n "$mounted" ] || skip "no control groups of version 2"
	cgroup=$mounted/mtabox-test-$$
	mkdir "$cgroup" || skip "no control group of our own"
}
systemd_up() { in_box systemctl start mtabox; }
systemd_down() { in_box systemctl stop mtabox; }
systemd_hup() { in_box systemctl reload mtabox; }
# systemd LAYOUT: no more of it than the one service.
unit='cp root/mtabox.service etc/systemd/system
	printf "[Unit]\nDefaultDependencies=no\n" >etc/systemd/system/test.target'
systemd() {
	own_cgroup
	boot "$unit; $1" env container=other /lib/systemd/systemd --unit=test.target
	wait_for 'in_box systemctl show-environment >out 2>&1'
}
@test "systemd" {
	systemd ''
	serves systemd
}

@test "systemd: what the unit forbids is in nobody's way" {
	systemd 'mkdir -p -m 755 home/joe; chown 1234 home/joe
		printf "#!/bin/sh\nid -u >/tmp/seen.%s\ncat >>/tmp/seen.\$1\n" "\$1" >usr/local/bin/see
		printf "#!/bin/sh\necho \$\$ >/tmp/slow\nsleep 1000\n" >usr/local/bin/slow
		chmod 755 usr/local/bin/*
		printf "see: \"|/usr/local/bin/see alias\"\nslow: \"|/usr/local/bin/slow\"\n" >etc/aliases
		cp '"$BATS_TEST_DIRNAME"'/server.py root
		echo smarthost smtp://127.0.0.1:2525 >>etc/mtabox.conf
		echo retry_min 1s >>etc/mtabox.conf'
	systemd_up
	# As joe, in his home, by his command.
	in_box sh -c 'printf "\"|/usr/local/bin/see forward\", \\\\joe, /home/joe/box/\n" >/home/joe/.forward'
	write one -odi
	wait_for 'arrived 1'
	in_file /tmp/seen.forward | grep -qx 1234
	same "$(in_box sh -c 'ls /home/joe/box/new | wc -l')" 1
	# As default_user.
	letter two | expect 0 in_box sendmail -odi see
	wait_for 'in_file /tmp/seen.alias | grep -q two'
	[ "$(in_file /tmp/seen.alias | head -n 1)" != 0 ]
	# The network comes up later.
	letter three | expect 0 in_box sendmail -odi ann@far.example
	in_file /var/log/mail | grep -q status=deferred
	in_box ip link set lo up
	in_box /usr/bin/python3 -ISB /root/server.py /tmp/server port=2525 \
		</dev/null >server.out 2>&1 &
	wait_for 'in_file /tmp/server/mail.1 | grep -q three'
	# Somebody's command does not keep it from ending.
	letter four | expect 0 in_box sendmail slow
	wait_for 'slow=$(in_file /tmp/slow) && [ -n "$slow" ]'
	systemd_down
	[ -z "$(running)" ]
	! in_box kill -0 "$slow"
	same "$(in_box systemctl show -P Result mtabox)" success
	in_box mailq -j | grep -q slow
}

@test "a file system that is mounted later" {
	boot "$service_directory; rm -r var/spool
		ln -s /etc/sv/mtabox etc/service/" runsvdir /etc/service
	# No place for a queue yet.
	wait_for 'in_file /var/log/mail | grep -q "cannot use the queue"'
	in_box mkdir /var/spool
	wait_for settled
	write one -odi
	wait_for 'arrived 1'
	# The queue is somewhere else from now on.
	wait_for settled
	first=$pid
	in_box mount -t tmpfs none /var/spool
	write two -odq
	spools=$(in_box ls /var/spool/mtabox)
	in_box sv hup mtabox
	wait_for 'arrived 2'
	wait_for '[ -n "$(running)" ] && [ "$(running)" != "$first" ]'
	in_file /var/log/mail | grep -q "is not our lock any more"
	write three -odi
	arrived 3
	! in_box pgrep -x sendmail
}

# --- without a supervisor ------------------------------------------------------------------------

# A runner that stays, in the background. runs_well: new mail is delivered, and it ends in order.
run_well() {
	wait_for '[ -n "$(runner)" ]'
	send -odi "$me"
	wait_for queue_is_empty
	kill "$1"
	wait "$1" || fail "exit status $?"
}

@test "while it waits for another runner, that one is told" {
	mkdir "mail/$me"
	send -odi "$me"
	other=$(runner)
	lines() { wait_for "[ \$(grep -c status=deferred log) = $1 ]"; }
	lines 1
	"$MTABOX" deliver -q15m -C "$conf" 3>&- &
	lines 2
	for n in 3 4 5; do
		wait_for "grep -q -e '-> FLOCK .* $! ' /proc/locks"
		kill -HUP $!
		lines $n
	done
	same "$(runner | grep -vx $!)" "$other"
	kill $!
	expect 143 wait $!
	rmdir "mail/$me"
	expect 0 sendmail -q
	wait_for is_over
	delivered 1
}

@test "no standard descriptor is open" {
	"$MTABOX" deliver -q15m -C "$conf" <&- >&- 2>&- 3>&- &
	run_well $!
	delivered 1
	# Nothing of the mail or log went into a descriptor that was taken for another.
	same "$(find "$S" -type f -newer conf -printf '%P\n' | sort | paste -sd' ')" \
		"err log mail/$me out spool/runner"
}

@test "a terminal, a pipe or a full disk as standard output and error" {
	mkfifo pipe
	(exec 5<>pipe; "$MTABOX" deliver -q15m -v -C "$conf" </dev/zero >/dev/full 2>pipe 3>&-) &
	wait_for '[ -n "$(runner)" ]'
	pid=$(runner)
	send -odi "$me"
	wait_for queue_is_empty
	kill "$pid"
	wait $! || fail "exit status $?"
	delivered 1
}

@test "4 MB of address space: 20 mails to mailboxes and a server" {
	/usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/server.py" "$S/server" \
		</dev/null >server.out 2>&1 3>&- &
	wait_for '[ -s server/port ]'
	write_conf "smarthost smtp://127.0.0.1:$(cat server/port)"
	for n in {1..10}; do
		letter "$n" | sendmail -odq "$me"
		letter "$n" | sendmail -odq joe@far.example
	done
	(ulimit -v 4096; exec "$MTABOX" deliver -q15m -C "$conf" 3>&-) &
	wait_for queue_is_empty
	kill $!
	wait $! || fail "exit status $?"
	delivered 10
	same "$(ls server/mail.* | wc -l)" 10
}

@test "no process to be had: it waits, and delivers when there is one" {
	needs_root "a limit that holds"
	write_conf 'retry_min 1s'
	cp "$MTABOX" ./mtabox
	mkdir -m 700 spool
	: >log
	chmod 666 log
	chown nobody spool
	chmod 711 .
	letter | as_nobody ./mtabox sendmail -C "$conf" -odq nobody
	as_nobody prlimit --nproc=1:10000 ./mtabox deliver -q15m -C "$conf" 3>&- &
	wait_for '[ -n "$(runner)" ]'
	spool_is Q
	as_nobody prlimit --pid "$(runner)" --nproc=10000
	wait_for queue_is_empty
	delivered 1 nobody
	kill "$(runner)"
	wait $! || fail "exit status $?"
}
