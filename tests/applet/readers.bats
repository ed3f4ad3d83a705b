#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Programs that know other mail systems read our bounces and our log: flufl.bounce (Mailman's),
# Mail::DeliveryStatus::BounceParser, pflogsumm (scripts/setup-readers has them).
load helper
load relay
load clock

certs=/nonexistent
servers=()
readers=$BATS_TEST_DIRNAME/../../build/readers/root

has_readers() { [ -d "$readers" ] || skip 'no readers here: scripts/setup-readers fetches them'; }

# taken_for LINE...: what verdict.py says of the messages in our mailbox, which then is empty.
taken_for() {
	expect 0 /usr/bin/python3 -IB "$BATS_TEST_DIRNAME/verdict.py" "$readers" "$S/mail/$me"
	same "$(cat out)" "$(printf '%s\n' "$@")"
	rm "$S/mail/$me"
}

attempt() { accepted "$@" && flush; }

# --- bounces --------------------------------------------------------------------------------

@test "an unknown user: a bounce, with the header and in full" {
	has_readers
	for full in no yes; do
		write_conf "fullbounce $full"
		letter | attempt no-one
		taken_for 'permanent no-one@router.example | bounce no-one@router.example user_unknown 5.1.1'
	done
}

@test "8-bit header and text, and no header at all" {
	has_readers
	for full in no yes; do
		write_conf "fullbounce $full"
		printf 'Subject: Zo\303\253 \377\n\nna\303\257ve\n' | attempt no-one
		taken_for 'permanent no-one@router.example | bounce no-one@router.example user_unknown 5.1.1'
		echo 'nothing but this' | attempt no-one
		taken_for 'permanent no-one@router.example | bounce no-one@router.example user_unknown 5.1.1'
	done
}

@test "several recipients: all who failed, nobody else" {
	has_readers
	letter | attempt no-one "$me" nobody-there
	taken_for mail 'permanent no-one@router.example nobody-there@router.example | bounce no-one@router.example user_unknown 5.1.1 nobody-there@router.example user_unknown 5.1.1'
}

@test "a server refuses, in words of all kinds" {
	has_readers
	serve bad "rcpt:a@=550 5.1.1 unknown $(printf 'J\303\274rgen \033[2J')" \
		'rcpt:b@=552 5.2.2 mailbox full' 'rcpt:c@=554 5.7.1 not from you'
	relay "smtp://127.0.0.1:$port"
	letter | attempt a@x.example b@x.example c@x.example
	taken_for 'permanent a@x.example b@x.example c@x.example | bounce a@x.example user_unknown 5.1.1 b@x.example over_quota 5.2.2 c@x.example unknown 5.7.1'
}

@test "a report of success is no bounce" {
	has_readers
	send -odi -N success "$me"
	wait_for queue_is_empty
	taken_for mail 'nothing | no bounce'
}

@test "a warning is a failure for now at most; what was tried in vain for days is one" {
	has_readers
	no_server
	submit a@x.example
	try_at $((today + 5 * hour)) $((5 * hour))
	taken_for 'temporary a@x.example | no bounce'
	try_at $((today + 6 * day)) $((6 * day))
	taken_for 'permanent a@x.example | bounce a@x.example domain_error 5.4.7'
}

# --- the log --------------------------------------------------------------------------------

# counted WORDS...: the numbers and words of one line of pflogsumm's report.
counted() { tr -s ' ' <out | sed 's/^ //' | grep -qxF -e "$*" || fail "not counted: $*" "$(cat out)"; }

@test "pflogsumm counts what came, went, waits and failed: by domain, by user, in bytes" {
	has_readers
	serve good 'rcpt:no@=550 5.1.1 no such user' 'rcpt:late@=450 4.2.0 come back later'
	relay "smtp://127.0.0.1:$port"
	send -odq -f ann@far.example a@x.example b@x.example late@y.example
	send -odq -f ann@far.example no@x.example
	send -odq "$me"
	try_all
	try_all
	expect 0 perl "$readers/usr/sbin/pflogsumm" --syslog-name=mtabox log
	is_empty err
	counted 3 received
	counted 4 delivered
	counted 1 deferred '(2 deferrals)'
	counted 1 bounced
	counted 63 bytes received
	# A bounce has a size of its own, and nobody has sent it.
	bounce=$(sed -n 's/.*[.]bounce1: from=<>, size=\([0-9]*\),.*/\1/p' log)
	[ "$bounce" -gt 1000 ]
	counted $((63 + bounce)) bytes delivered
	counted 2 senders
	counted 2 42 0 0.0 s 0.0 s x.example
	counted 1 "$bounce" 0 0.0 s 0.0 s far.example
	counted 1 21 0 0.0 s 0.0 s router.example
	counted 0 0 2 0.0 s 0.0 s y.example
	counted 2 42 far.example
	counted 1 21 router.example
	counted 2 ann@far.example
	counted 42 ann@far.example
	counted 1 "$me@router.example"
	counted 2 come back later
	counted 1 no such user
	counted Warnings: none
}
