#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# kill -9 at any moment: nothing lost, nothing twice, no half message.
load helper

rounds=40

# disturb_at PLACES USER ARG...: kill.py says what its kills have hit: "hit=33 queued_some=13".
# disturb ARG...: with our mailbox.
disturb_at() {
	mkdir -p -m 700 spool
	expect 0 "${seeing[@]}" /usr/bin/python3 -sSB "$BATS_TEST_DIRNAME/kill.py" "$MTABOX" "$conf" "$@"
	cat out
}
disturb() { disturb_at "$S/mail/$me" "$me" "$@"; }
seeing=()

# at_least N NAME: so often.
at_least() { [ "$(sed -n "s/.*\\<$2=\\([0-9]*\\).*/\\1/p" out)" -ge "$1" ] || fail "not $1 times: $2" "$(cat out)"; }

can_trace() { strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'; }

@test "kill -9 of all processes of the runner, at $rounds moments" {
	disturb timed tree $rounds
	at_least 5 hit
}

@test "kill -9 of the runner alone, at $rounds moments: its workers end, too" {
	disturb timed runner $rounds
	at_least 5 hit
}

@test "kill -9 of one worker, at $rounds moments: the runner goes on" {
	disturb timed worker $rounds
	at_least 1 hit
	logged 'a delivery process died'
}

@test "kill -9 of the runner and its workers at each call that changes something" {
	can_trace
	disturb calls runner
	at_least 1 write
	at_least 1 fdatasync
	at_least 1 unlinkat
}

@test "kill -9 of workers at each call on the mailbox" {
	can_trace
	disturb calls places
	at_least 3 write
	at_least 1 openat
	at_least 1 fsync
}

@test "kill -9 of sendmail at each call that changes something: queued whole, or not at all" {
	can_trace
	disturb calls sendmail
	at_least 2 fsync
	at_least 1 renameat2
	at_least 1 pwrite64
}

@test "kill -9 of sendmail while it reads: nothing is queued, the next run sweeps the draft" {
	mkfifo pipe
	for bytes in 0 1 100 100000; do
		"$MTABOX" sendmail -C "$conf" -i "$me" <pipe &
		exec 5>pipe
		[ $bytes = 0 ] || { letter; head -c $bytes /dev/zero; } >&5
		[ $bytes -lt 1000 ] || wait_for '[ "$(find "$spool" -name "T*" -size +0 | wc -l)" = 1 ]'
		kill -9 $!
		wait $! || true
		exec 5>&-
		[[ $(spool_states) = '' || $(spool_states) = T ]] || fail "$(ls spool)"
		flush
		spool_is ''
	done
	delivered 0
}

# die_at CALL N: the runner works, and its workers are killed at that call on the mailbox.
die_at() {
	expect 0 strace -f -qqq -o /dev/null -P "$S/mail/$me" -e "inject=$1:signal=KILL:when=$2" \
		"$MTABOX" deliver -q -C "$conf" -O defer=yes
	logged 'a delivery process died'
}

# fragment [COUNT]: a mailbox with an old mail, and a piece of a new one that is still queued.
fragment() {
	can_trace
	printf 'From joe Thu Jan  1 00:00:00 1970\n\nold mail\n\n' >"mail/$me"
	chmod 600 "mail/$me"
	cp "mail/$me" old
	{ printf 'Subject: big\n\n'; seq 1 10000; } >new
	for n in $(seq "${1:-1}"); do expect 0 sendmail -odq "$me" <new; done
	die_at write 3
	[ "$(stat -c %s "mail/$me")" -gt "$(stat -c %s old)" ] || fail 'no fragment'
	! grep -qx 10000 "mail/$me" || fail 'no fragment'
}

# put_right COUNT: the old mail, then that many messages; the last of them is the new one, and
# that is there once.
put_right() {
	flush
	spool_is ''
	cmp -n "$(stat -c %s old)" "mail/$me" old
	tail -c "$(($(stat -c %s new) + 1))" "mail/$me" | cmp - <(cat new; echo)
	delivered "$1"
	same "$(grep -c '^Subject: big$' "mail/$me")" 1
	same "$(grep -cx '[0-9]*[0-9]' "mail/$me")" 10000
}

@test "half a message in the mailbox: it is cut off, and the mail is there once" {
	fragment
	put_right 2
}

@test "half a message with other mail behind it: it is blanked, that mail stays" {
	fragment
	printf '\nFrom ann Thu Jan  1 00:00:00 1970\n\nforeign mail\n\n' >>"mail/$me"
	put_right 3
	has "mail/$me" 'foreign mail'
}

@test "half a message, and a kill while it is blanked" {
	fragment
	printf '\nFrom ann Thu Jan  1 00:00:00 1970\n\nforeign mail\n\n' >>"mail/$me"
	die_at pwrite64 2
	put_right 3
	has "mail/$me" 'foreign mail'
}

@test "two halves, one behind the other: both go" {
	fragment 2
	same "$(grep -c '^Subject: big$' "mail/$me")" 2
	flush
	spool_is ''
	delivered 3
	same "$(grep -c '^Subject: big$' "mail/$me")" 2
	same "$(grep -cx '[0-9]*[0-9]' "mail/$me")" 20000
}

@test "a message that was written, but not recorded: no second copy" {
	can_trace
	send -odq "$me"
	expect '*' strace -f -qqq -o /dev/null -e trace=unlinkat -e inject=unlinkat:signal=KILL:when=1 \
		"$MTABOX" deliver -q -C "$conf" -O defer=yes
	delivered 1
	spool_is Q
	wait_for is_over
	flush
	spool_is ''
	delivered 1
}

# --- one recipient, many places -------------------------------------------------------------

# local_users [LINE...]: joe and bob in a passwd file that only the program sees, these lines in
# the configuration.
local_users() {
	needs_root 'users of its own'
	can_trace
	mkdir -m 1777 drop
	mkdir -p home/joe home/bob
	chown 7001:7001 home/joe
	chown 7002:7002 home/bob
	printf '%s\n' 'root:x:0:0::/:/bin/sh' "joe:x:7001:7001::$S/home/joe:/bin/sh" \
		"bob:x:7002:7002::$S/home/bob:/bin/sh" 'nobody:x:65534:65534::/:/bin/sh' >passwd
	seeing=(unshare -m sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' "$S/passwd")
	write_conf "$@"
}

# An alias for a command, a file, a list and an address: where its mail is, then its name.
# The command may be run twice for a message (kill.py), all others have it once.
alias_for_all() {
	local_users
	printf '%s\n' 'root@localhost' >list
	write_aliases "all: \"|exec cat >>$S/drop/command\", $S/drop/file, :include:$S/list, joe@localhost, \\bob"
	all=("|$S/drop/command,$S/drop/file,$S/mail/root,$S/mail/joe,$S/mail/bob" all)
}

# A user who keeps a copy, puts one into a file, and forwards to another one.
forward_for_all() {
	local_users 'forward yes'
	printf '%s\n' '\joe, bob@localhost' "$S/home/joe/copy" >home/joe/.forward
	chown 7001:7001 home/joe/.forward
	all=("$S/mail/joe,$S/mail/bob,$S/home/joe/copy" joe)
}

@test "an alias for a command, a file, a list, an address: kill -9 at each call of the runner" {
	alias_for_all
	disturb_at "${all[@]}" calls runner
	at_least 5 write
	at_least 3 fdatasync
	at_least 2 sendmsg
}

@test "the same in workers and the command at each call on where the mail goes" {
	alias_for_all
	disturb_at "${all[@]}" calls places
	at_least 3 write
	at_least 1 fsync
	at_least 1 openat
}

@test "a .forward to the user, a file and an address: kill -9 at each call of the runner" {
	forward_for_all
	disturb_at "${all[@]}" calls runner
	at_least 5 write
	at_least 3 fdatasync
	at_least 2 sendmsg
}

@test "the same in workers at each call on where the mail goes" {
	forward_for_all
	disturb_at "${all[@]}" calls places
	at_least 3 write
	at_least 1 fsync
	at_least 1 openat
}

@test "a Maildir: kill -9 of the runner and its workers at each call that changes something" {
	local_users "mailbox $S/home/%u/Maildir/"
	disturb_at "$S/home/joe/Maildir/" joe calls runner
	at_least 3 write
	at_least 1 fsync
	at_least 1 unlinkat
}

@test "a Maildir: kill -9 of workers at each call in it" {
	local_users "mailbox $S/home/%u/Maildir/"
	disturb_at "$S/home/joe/Maildir/" joe calls places
	at_least 1 mkdirat
	at_least 3 write
	at_least 2 fsync
	at_least 1 renameat2
}
