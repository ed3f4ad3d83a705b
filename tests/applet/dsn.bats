#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What the sender wants to be told (RFC 3461): asked by -N, -R and -V or in -bs, kept in the
# queue, passed on, and told. Addresses beyond ASCII (RFC 6531).

load helper
load relay

certs=/nonexistent
servers=()

# asked: the envelope's lines about it, and whom they belong to.
asked() { sed -n '/^$/q; /^\(sender\|rcpt\|alias\|dsn\)/p' "$(message)" | paste -sd'|'; }

# start NAME EXTENSIONS [KEY=VALUE...]: a server in clear text that all mail goes to.
start() {
	serve "$1" ehlo="PIPELINING|8BITMIME$2" "${@:3}"
	relay "smtp://127.0.0.1:$port"
}

# heard NAME LINE: a server got this command.
heard() { tr -d '\r' <"$S/$1/text.1" | grep -qxF -e "$2" || fail "not heard: $2" "$(head -n 20 "$S/$1/text.1")"; }

# reports COUNT: so many reports are in the mailbox...
reports() { same "$(cat "$S/mail/$me" 2>/dev/null | grep -c '^Content-Type: multipart/report')" "$1"; }
# ... and in them, of this recipient, this action: told RECIPIENT ACTION
told() {
	grep -A1 -x -F "Final-Recipient: rfc822; $1" "$S/mail/$me" | grep -qx "Action: $2" ||
		fail "not told that $1 was $2"
}

# --- asking ---------------------------------------------------------------------------------

@test "-N, -R, -V: kept with the message, of all recipients" {
	printf 'To: b@x.example\n\nhi\n' | expect 0 sendmail -odq -t -N Success,FAILURE -R hdrs -V 'a b+1' c@x.example
	silent
	same "$(asked)" "sender $me@router.example|dsn RET=HDRS ENVID=a+20b+2B1|rcpt c@x.example|dsn NOTIFY=SUCCESS,FAILURE|rcpt b@x.example|dsn NOTIFY=SUCCESS,FAILURE"
}

@test "-N never, attached; the last one counts; nothing asked: nothing kept" {
	send -odq -Ndelay -Nnever -Rfull -RFULL -V1 -V2 a@x.example
	same "$(asked)" "sender $me@router.example|dsn RET=FULL ENVID=2|rcpt a@x.example|dsn NOTIFY=NEVER"
	rm "$(message)"
	send -odq a@x.example
	same "$(asked)" "sender $me@router.example|rcpt a@x.example"
}

@test "values that make no sense: a warning, and the mail goes" {
	for option in -N=x '-Nnever,success' -N, -Rreturn -V "-V$(printf 'x%.0s' {1..101})"; do
		letter | expect 0 sendmail -odq "${option:0:2}" "${option:2}" a@x.example
		says 'makes no sense, and is ignored'
		same "$(asked)" "sender $me@router.example|rcpt a@x.example"
		rm "$(message)"
	done
}

@test "-bs: the parameters of MAIL and RCPT" {
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<joe@x.example> RET=FULL ENVID=q+2B1' \
		'RCPT TO:<a@x.example> NOTIFY=NEVER' 'RCPT TO:<b@x.example>' \
		'RCPT TO:<c@x.example> ORCPT=rfc822;C@x.example NOTIFY=success' \
		'RCPT TO:<d@x.example> NOTIFY=ALWAYS' 'RCPT TO:<e@x.example> ORCPT=e@x.example' DATA . \
		'MAIL FROM:<joe@x.example> ENVID=+' 'MAIL FROM:<joe@x.example> RET=SOME' QUIT |
		expect 0 sendmail -bs -odq
	prints '250-DSN'
	same "$(grep -c '^501 5.5.4' out)" 4
	same "$(asked)" 'sender joe@x.example|dsn RET=FULL ENVID=q+2B1|rcpt a@x.example|dsn NOTIFY=NEVER|rcpt b@x.example|rcpt c@x.example|dsn NOTIFY=SUCCESS ORCPT=rfc822;C@x.example'
}

@test "-bs: another message in the same session asks for nothing" {
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<joe@x.example> RET=FULL ENVID=1' 'RCPT TO:<a@x.example> NOTIFY=NEVER' \
		RSET 'MAIL FROM:<joe@x.example>' 'RCPT TO:<b@x.example>' DATA . QUIT | expect 0 sendmail -bs -odq
	same "$(asked)" 'sender joe@x.example|rcpt b@x.example'
}

@test "an alias: its children are asked what it is asked; for success it stays itself" {
	write_aliases 'two: a@x.example, b@x.example' 'one: c@x.example'
	send -odq -N failure two
	same "$(asked)" "sender $me@router.example|rcpt a@x.example|dsn NOTIFY=FAILURE|rcpt b@x.example|dsn NOTIFY=FAILURE"
	rm "$(message)"
	send -odq -N success two one d@x.example
	same "$(asked)" "sender $me@router.example|rcpt d@x.example|dsn NOTIFY=SUCCESS|alias two|dsn NOTIFY=SUCCESS|alias one|dsn NOTIFY=SUCCESS"
}

@test "two ways to one recipient: what either asks" {
	write_aliases 'one: a@x.example'
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<joe@x.example>' 'RCPT TO:<a@x.example> NOTIFY=NEVER' \
		'RCPT TO:<one>' DATA . QUIT | expect 0 sendmail -bs -odq
	same "$(asked)" 'sender joe@x.example|rcpt a@x.example|dsn NOTIFY=FAILURE,DELAY'
}

# --- on this device -------------------------------------------------------------------------

@test "success, to a mailbox: the mail and a report" {
	send -odi -N success,failure -V q1 "$me"
	wait_for queue_is_empty
	delivered 2
	reports 1
	told "$me@router.example" delivered
	has "mail/$me" 'Original-Envelope-Id: q1'
	has "mail/$me" 'Subject: Successful Mail Delivery Report'
	has_not "mail/$me" "$S/mail/$me"
	logged "delivered: a report goes to <$me@router.example>"
}

@test "success is not asked for: no report" {
	send -odi -N failure,delay "$me"
	wait_for queue_is_empty
	delivered 1
	reports 0
}

@test "success without a sender: nobody to tell, and nothing is held" {
	send -odi -N success -f '' "$me"
	wait_for queue_is_empty
	delivered 1
}

@test "never: a failure is final, and logged" {
	letter | expect 0 sendmail -odi -N never "$me" nobody-there
	wait_for queue_is_empty
	delivered 1
	reports 0
	logged 'status=bounced (no such user here: nobody-there)'
}

@test "failure is not asked for: the same" {
	letter | expect 0 sendmail -odi -N success "$me" nobody-there
	wait_for queue_is_empty
	reports 1
	told "$me@router.example" delivered
	has_not "mail/$me" nobody-there
}

@test "failure and success: a report of each" {
	letter | expect 0 sendmail -odi -N success,failure "$me" nobody-there
	wait_for queue_is_empty
	reports 2
	told "$me@router.example" delivered
	told nobody-there@router.example failed
}

@test "-R goes before fullbounce, for failures alone" {
	for full in no yes; do
		write_conf "fullbounce $full"
		letter secret | expect 0 sendmail -odi -R full -N failure nobody-there -f "$me" "$(alias_of_nobody)"
		wait_for queue_is_empty
		has "mail/$me" secret
		rm "mail/$me"
		letter secret | expect 0 sendmail -odi -R hdrs -N failure nobody-there -f "$me" "$(alias_of_nobody)"
		wait_for queue_is_empty
		reports 1
		has_not "mail/$me" secret
		rm "mail/$me"
	done
	letter secret | expect 0 sendmail -odi -R full -N success "$me"
	wait_for queue_is_empty
	reports 1
	same "$(grep -c secret "mail/$me")" 1
}
# A recipient who exists for sendmail, and fails.
alias_of_nobody() { write_aliases 'lost: no-one'; echo lost; }

@test "an alias of several: expanded; an alias of one: what became of that one" {
	write_aliases "two: $me, no-one" "one: $me"
	letter | expect 0 sendmail -odi -N success two
	wait_for queue_is_empty
	delivered 2
	reports 1
	told two@router.example expanded
	rm "mail/$me"
	letter | expect 0 sendmail -odi -N success one
	wait_for queue_is_empty
	delivered 2
	reports 1
	told "$me@router.example" delivered
	has_not "mail/$me" 'Action: expanded'
}

@test "ORCPT comes back, of an alias's child as well" {
	write_aliases "one: $me"
	printf '%s\r\n' 'EHLO x' "MAIL FROM:<$me>" 'RCPT TO:<one> NOTIFY=SUCCESS ORCPT=rfc822;o+2Bne+0Ax@router.example' \
		DATA . QUIT | expect 0 sendmail -bs
	wait_for queue_is_empty
	reports 1
	has "mail/$me" 'Original-Recipient: rfc822; o+ne?x@router.example'
}

@test "a report of success that nobody takes is not bounced, and not held" {
	send -odi -N success -f no-one "$me"
	wait_for queue_is_empty
	delivered 1
	logged 'delivered: a report goes to <no-one@router.example>'
	has_not log 'a bounce goes to'
}

# --- to servers -----------------------------------------------------------------------------

@test "a server with DSN is told, and tells" {
	start good '|DSN'
	send -odq -N success,delay -R hdrs -V q=1 a@x.example
	send -odq b@x.example
	flush
	queue_is_empty
	heard good "MAIL FROM:<$me@router.example> RET=HDRS ENVID=q+3D1"
	heard good 'RCPT TO:<a@x.example> NOTIFY=SUCCESS,DELAY'
	heard good "MAIL FROM:<$me@router.example>"
	heard good 'RCPT TO:<b@x.example>'
	reports 0
}

@test "a server without DSN is not told, and we tell" {
	start good ''
	send -odq -N success -R hdrs -V q=1 a@x.example
	flush
	queue_is_empty
	heard good "MAIL FROM:<$me@router.example>"
	heard good 'RCPT TO:<a@x.example>'
	told a@x.example relayed
	reports 1
}

@test "each recipient what was asked of him; a report of success asks for nothing" {
	start good '|DSN'
	write_aliases 'two: b@x.example, c@x.example'
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<joe@y.example>' 'RCPT TO:<a@x.example> NOTIFY=NEVER' \
		'RCPT TO:<two> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;two@y.example' DATA . QUIT |
		expect 0 sendmail -bs -odq
	flush
	queue_is_empty
	heard good 'RCPT TO:<a@x.example> NOTIFY=NEVER'
	heard good 'RCPT TO:<b@x.example> NOTIFY=FAILURE ORCPT=rfc822;two@y.example'
	heard good 'RCPT TO:<c@x.example> NOTIFY=FAILURE ORCPT=rfc822;two@y.example'
	heard good 'MAIL FROM:<>'
	heard good 'RCPT TO:<joe@y.example> NOTIFY=NEVER'
	same "$(grep -lx $'Action: expanded\r' good/mail.* | wc -l)" 1
}

@test "a server that refuses: never means never" {
	start good '|DSN' 'rcpt:a@=550 5.1.1 no'
	send -odq -N never a@x.example
	flush
	queue_is_empty
	bounced a@x.example no
	reports 0
}

@test "a deferral in between: the report comes once, when it is delivered" {
	start good '' 'rcpt#1=450 4.2.0 later'
	send -odq -N success a@x.example
	flush
	spool_is Q
	reports 0
	flush
	queue_is_empty
	reports 1
}

@test "direct: DSN goes along; without it, nobody is told" {
	start good '|DSN'
	send -odd -N success a@x.example
	heard good 'RCPT TO:<a@x.example> NOTIFY=SUCCESS'
	delivered 0
}

# --- beyond ASCII ---------------------------------------------------------------------------

@test "SMTPUTF8: asked of the server where an address needs it" {
	start good '|SMTPUTF8'
	send -odq zoë@x.example a@x.example
	send -odq b@x.example
	flush
	queue_is_empty
	heard good "MAIL FROM:<$me@router.example> SMTPUTF8"
	heard good 'RCPT TO:<zoë@x.example>'
	heard good "MAIL FROM:<$me@router.example>"
	kept good 2
}

@test "no SMTPUTF8: those recipients fail, and the others get it" {
	start good ''
	send -odq zoë@x.example a@x.example b@bücher.example
	flush
	queue_is_empty
	sent a@x.example
	bounced zoë@x.example SMTPUTF8
	bounced b@bücher.example SMTPUTF8
	kept good 1
	reports 1
	has "mail/$me" 'Status: 5.6.7'
	same "$(grep -c '^RCPT' good/text.1)" 1
}

@test "no SMTPUTF8, a sender beyond ASCII: all of them fail" {
	start good ''
	relay "smtp://127.0.0.1:$port" "bounce_to $me"
	send -odq -f zoë@y.example a@x.example b@x.example
	flush
	bounced a@x.example 'the sender'
	bounced b@x.example 'the sender'
	queue_is_empty
	kept good 0
	reports 1
}

@test "-bs: an address beyond ASCII only with SMTPUTF8" {
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<zoë@x.example>' 'MAIL FROM:<joe@x.example>' 'RCPT TO:<zoë@x.example>' \
		'RCPT TO:<a@x.example>' RSET 'MAIL FROM:<zoë@x.example> SMTPUTF8' 'RCPT TO:<zoë@x.example>' \
		DATA . QUIT | expect 0 sendmail -bs -odq
	same "$(grep -c '^553 5.6.7' out)" 2
	same "$(asked)" 'sender zoë@x.example|rcpt zoë@x.example'
}

# --- killed ---------------------------------------------------------------------------------

@test "kill -9 of the runner at each call that writes: the mail once, its report once" {
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	write_conf 'defer yes'
	for call in write fdatasync unlinkat; do
		hits=0
		for nth in {1..60}; do
			send -odq -N success "$me"
			expect '*' strace -f -qqq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$nth \
				"$MTABOX" deliver -q -C "$conf" -O defer=yes
			wait_for is_over
			! queue_is_empty || break
			hits=$((hits + 1))
			try_all
			queue_is_empty
			same "$call $nth: $(mail_count) $(grep -cx 'Action: delivered' "mail/$me")" "$call $nth: 2 1"
			rm "mail/$me"
		done
		[ $hits -gt 0 ] && [ $hits -lt 60 ] || fail "$call: $hits"
		rm -f "mail/$me"
	done
}
