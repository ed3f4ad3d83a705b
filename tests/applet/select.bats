#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# sendmail -qI, -qR, -qS: which of the messages that wait are tried.

load helper
load relay

setup_file() { export certs=$BATS_FILE_TMPDIR; }

servers=()

# Three messages that were tried a moment ago, and a server that takes mail now.
three_wait() {
	relay "smtp://127.0.0.1:1" "retry_min 1h"
	letter one | expect 0 sendmail -odq -f ann@far.example joe@x.example
	letter two | expect 0 sendmail -odq -f bob@far.example ann@y.example
	letter three | expect 0 sendmail -odq -f bob@far.example jim@x.example tom@z.example
	flush
	spool_is QQQ
	serve server
	write_conf "smarthost smtp://127.0.0.1:$port" "retry_min 1h"
}

# gone COUNT: so many have gone, and none goes any more.
gone() {
	wait_for "[ \$(find '$S/server' -name 'mail.*' | wc -l) = $1 ]"
	wait_for "[ \$(spool_states | wc -c) = $((3 - $1)) ]"
}

@test "-qR: by a recipient, any case, a part is enough" {
	three_wait
	expect 0 sendmail -qRX.Example
	gone 2
	grep -q two "$(message)"
}

@test "-qR TEXT, apart" {
	three_wait
	expect 0 sendmail -qR ann@y
	gone 1
	! grep -q two "$spool"/Q*
}

@test "-qS: by the sender" {
	three_wait
	expect 0 sendmail -qSann@
	gone 1
	! grep -q one "$spool"/Q*
}

@test "-qI: one message" {
	three_wait
	local id
	id=$(basename "$(grep -l two "$spool"/Q*)")
	expect 0 sendmail -qI "${id#Q}"
	gone 1
	! grep -q two "$spool"/Q*
}

@test "a runner that is at work tries them, too" {
	three_wait
	letter | expect 0 sendmail -odb -O workers=1 far@w.example
	wait_for '[ -n "$(runner)" ]'
	expect 0 sendmail -qSann@
	wait_for "grep -rq one '$S/server'"
	! grep -rq -e two -e three "$S"/server/mail.*
}

@test "none that is meant: 65, and nothing is tried" {
	three_wait
	local option
	for option in -qRnobody@ -qSnobody@ -qI0123456789abcdef; do
		expect 65 sendmail $option
		says "no such message"
	done
	for option in -qR -qS; do
		expect 64 sendmail $option
		says "wants a part of an address"
	done
	gone 0
	expect 64 sendmail -q!Rx
	spool_is QQQ
}

@test "several of them: what fits all; two of one kind are refused" {
	three_wait
	local id
	id=$(basename "$(grep -l one "$spool"/Q*)")
	expect 65 sendmail -qI "${id#Q}" -qSbob@
	says "no such message"
	expect 64 sendmail -qRann@ -qRjim@
	says "-qRjim@: a second one"
	gone 0
	expect 0 sendmail -qSbob@ -qR x.example
	gone 1
	! grep -q three "$spool"/Q*
	expect 0 sendmail -qI "${id#Q}" -qRjoe@ -qSann@
	gone 2
	! grep -q one "$spool"/Q*
}

@test "-q and -qf: 0 with an empty queue, and no process stays" {
	local option
	for option in -q -qf; do
		expect 0 sendmail $option
		silent
		wait_for is_over
	done
}

@test "with defer: those that are meant get one attempt, and no process stays" {
	three_wait
	echo 'defer yes' >>conf
	expect 65 sendmail -qRnobody@
	expect 0 sendmail -qSann@
	gone 1
	wait_for is_over
	spool_is QQ
	expect 0 sendmail -qf
	gone 3
	wait_for is_over
}
