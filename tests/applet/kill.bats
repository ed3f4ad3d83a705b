#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# kill -9 at any moment: nothing lost, nothing twice, no half message. (tests/fault has the kills
# at each system call.)
load helper

rounds=40

# disturb WHO: kill.py says what its kills have hit: "hit=33 queued_some=13".
disturb() {
	mkdir -p -m 700 spool
	expect 0 /usr/bin/python3 -sSB "$BATS_TEST_DIRNAME/kill.py" "$MTABOX" "$conf" "$S/mail/$me" "$me" "$1" $rounds
	cat out
}

# at_least N NAME: so often.
at_least() { [ "$(sed -n "s/.*\\<$2=\\([0-9]*\\).*/\\1/p" out)" -ge "$1" ] || fail "not $1 times: $2" "$(cat out)"; }

can_trace() { strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'; }

@test "kill -9 of all processes of the runner, at $rounds moments" {
	disturb tree
	at_least 5 hit
}

@test "kill -9 of the runner alone, at $rounds moments: its workers end, too" {
	disturb runner
	at_least 5 hit
}

@test "kill -9 of one worker, at $rounds moments: the runner goes on" {
	disturb worker
	at_least 1 hit
	logged 'a delivery process died'
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

@test "a .lock of who was killed: it stops no mail, and goes with the next" {
	fragment
	[ -e "mail/$me.lock" ] || fail 'no .lock is left'
	put_right 2
	[ ! -e "mail/$me.lock" ] || fail 'a .lock is left'
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

# Without a journal there is nobody to find half a message.
@test "deliver and -odd, ended in mid-append: the mailbox is what it was, and the next mail whole" {
	can_trace
	{ printf 'Subject: big\n\n'; seq 1 10000; } >new
	for signal in TERM HUP KILL; do
		for applet in deliver 'sendmail -odd'; do
			printf 'From joe Thu Jan  1 00:00:00 1970\n\nold mail\n\n' >"mail/$me"
			chmod 600 "mail/$me"
			cp "mail/$me" old
			strace -f -qqq -o /dev/null -P "$S/mail/$me" -e inject=write:delay_enter=1000000:when=3 \
				"$MTABOX" $applet -C "$conf" "$me" <new 3>&- &
			wait_for '[ "$(stat -c %s "mail/$me")" -gt "$(stat -c %s old)" ]'
			# The caller's side of it.
			kill -$signal "$(pgrep -o -P $!)"
			wait_for '[ -z "$(processes "$S/mail")" ]'
			wait $! && fail 'it was not ended'
			cmp "mail/$me" old
			[ ! -e "mail/$me.lock" ] || fail 'a .lock is left'
			expect 0 deliver "$me" <new
			delivered 2
			tail -c "$(($(stat -c %s new) + 1))" "mail/$me" | cmp - <(cat new; echo)
		done
	done
}
