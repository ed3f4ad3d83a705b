#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Many callers at once, and one runner.
load helper

# burst COUNT ARG...: that many sendmails at the same time, each with its number as the text.
burst() {
	local count=$1 i pids=() failed=0
	shift
	for i in $(seq "$count"); do
		letter "number $i" | "$MTABOX" sendmail -C "$conf" "$@" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || failed=$((failed + 1))
	done
	same "$failed" 0
}

# each_once COUNT [USER]: all of a burst are in the mailbox, none twice.
each_once() {
	mbox bodies "mail/${2:-$me}" >got
	diff got <(seq -f 'number %g' "$1" | sort)
}

@test "50 sendmails at once: each is delivered exactly once" {
	burst 50 "$me"
	wait_for queue_is_empty
	each_once 50
	wait_for is_over
}

@test "50 sendmails at once: one runner" {
	mkdir "mail/$me"
	burst 50 "$me"
	same "$(spool_states | wc -c)" 50
	same "$(runner | wc -l)" 1
	wait_for "! grep -L '^deferred' $spool/Q* | grep ."
	same "$(processes "$spool" | wc -l)" 1
	rmdir "mail/$me"
	expect 0 sendmail -q
	wait_for queue_is_empty
	each_once 50
}

@test "50 sendmails at once that only queue: 50 in the spool, all whole" {
	burst 50 -odq "$me"
	same "$(spool_states | tr -d Q)" ''
	same "$(cat "$spool"/Q* | grep -c '^number ')" 50
	flush
	each_once 50
}

@test "50 sendmails and a dozen who run the queue" {
	for i in $(seq 12); do sendmail -q & done
	burst 50 "$me"
	wait
	expect 0 sendmail -q
	wait_for queue_is_empty
	each_once 50
	wait_for is_over
}

@test "one worker, one message at a time: the same" {
	write_conf 'workers 1'
	burst 20 "$me"
	wait_for queue_is_empty
	each_once 20
}

@test "several users at once: each mailbox has each mail once" {
	needs_root 'several mailboxes'
	burst 20 root daemon bin
	wait_for queue_is_empty
	for user in root daemon bin; do each_once 20 $user; done
}
