#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# How long the runner waits for a worker that says nothing (clock.py).

load helper
load relay
load clock

servers=()

# late_by SECONDS COUNT: the runner sees that it is so late, for it has delivered another mail.
late_by() {
	at $((today + 100 + $1)) $((200 + $1))
	letter | expect 0 clocked sendmail -C "$conf" "$me"
	wait_for "[ \$(mail_count) = $2 ]"
}

# silent_server SIZE: a runner whose worker has sent so much and waits for the reply to the dot.
silent_server() {
	serve server 'dot#1=hold'
	write_conf "smarthost smtp://127.0.0.1:$port" 'command_timeout 10m'
	at "$today" 100
	{ letter; head -c "$1" /dev/zero | tr '\0' 'y' | fold -w 70; echo; } |
		expect 0 clocked sendmail -C "$conf" -odq a@x.example
	clocked deliver -q -C "$conf" >/dev/null 2>&1 3>&- &
	wait_for "grep -q 'hold dot' '$S/server/events'"
}

@test "a worker without a word is ended when two hours are over" {
	submit "$me"
	silent_server 10
	late_by 7000 2
	has_not "$S/log" 'delivery process died'
	late_by 7300 3
	logged 'delivery process died'
	spool_is Q
}

@test "a large message has more time: a millisecond for each byte" {
	submit "$me"
	silent_server 3000000
	late_by 10000 2
	has_not "$S/log" 'delivery process died'
	: >"$S/server/go"
	wait_for queue_is_empty
	logged 'status=sent (taken)'
}
