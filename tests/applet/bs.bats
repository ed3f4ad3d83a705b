#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# `sendmail -bs`: SMTP on standard input and output, a pipe or a socket.
load helper

# lines LINE...: each with its CRLF.
lines() { printf '%s\r\n' "$@"; }

# envelope [RCPT...]: up to DATA, all at once.
envelope() {
	lines 'EHLO client' 'MAIL FROM:<joe@x.example>'
	for rcpt in "${@:-$me}"; do lines "RCPT TO:<$rcpt>"; done
	lines DATA
}

# mail [RCPT...]: a whole session.
mail() {
	envelope "$@"
	lines 'Subject: test' '' hello . QUIT
}

# pipe ARG..., over_socket ARG...: standard input is the client's side. It is only queued.
pipe() { expect 0 sendmail -bs -odq "$@" && is_empty err; }
over_socket() { expect 0 /usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/bs.py" socket "$MTABOX" sendmail -C "$conf" -bs -odq "$@"; }

# codes: of the answers, without greeting and the lines before an answer's last.
codes() { sed -n 's/^\([0-9]\{3\}\) .*/\1/p' "$S/out" | tail -n +2 | paste -sd' '; }
answers() { same "$(codes)" "$*"; }

# text [FILE]: of the one queued message or of this one, as the sender wrote it.
text() {
	local file=${1:-$(message)} offset length
	read -r _ _ offset length _ <"$file"
	tail -c "+$((10#$offset + 1))" "$file" | head -c "$((10#$length))"
}

# Takes one answer from descriptor 6, to which a server writes; it has this code.
hear() {
	local line
	while IFS= read -r -t 20 line <&6; do
		[[ $line == [0-9][0-9][0-9]-* ]] || break
	done
	[[ $line == "$1 "* ]] || fail "is:   $line" "not:  $1"
}
tell() { lines "$@" >&5; }

# A server that hears what descriptor 5 gets: $pid.
start_server() {
	coproc server { exec "$MTABOX" sendmail -C "$conf" -bs "$@" 2>err; }
	pid=$server_PID
	exec 5>&"${server[1]}" 6<&"${server[0]}"
	hear 220
}

@test "a dialogue as Symfony's Mailer has it, one command after the other" {
	start_server
	tell 'EHLO [127.0.0.1]'
	hear 250
	tell 'MAIL FROM:<joe@x.example>'
	hear 250
	tell "RCPT TO:<$me>"
	hear 250
	tell DATA
	hear 354
	tell 'Subject: test' '' 'hello' .
	hear 250
	tell QUIT
	hear 221
	wait $pid
	is_empty err
	wait_for queue_is_empty
	delivered 1
	same "$(content | tail -n 1)" hello
}

@test "250 to DATA: it is in the queue at that moment" {
	start_server -odq
	envelope >&5
	for code in 250 250 250 354; do hear $code; done
	tell 'Subject: test' '' 'hello' .
	hear 250
	spool_is Q
	kill -9 $pid
	wait $pid || true
	spool_is Q
	same "$(text)" "$(printf 'Subject: test\n\nhello')"
	same "$(field sender)" joe@x.example
	same "$(rcpts)" "$me"
}

@test "greeting, EHLO and the id in the answer" {
	mail | pipe
	same "$(head -n 1 out)" "$(printf '220 router.example ESMTP mtabox\r')"
	prints '250-router.example'
	prints '250-SIZE 52428800'
	prints '250-PIPELINING'
	prints '250-8BITMIME'
	prints "250 2.0.0 Ok: queued as $(basename "$(message)" | cut -c2-)"
	same "$(grep -vc $'\r$' out)" 0
}

@test "two messages in one session, pipelined all at once" {
	{ mail | sed '/^QUIT/d'; mail "$me" bob@x.example | sed '/^EHLO/d'; } | pipe
	answers 250 250 250 354 250 250 250 250 354 250 221
	spool_is QQ
	same "$(cat "$spool"/Q* | grep -c '^rcpt ')" 3
	same "$(cat "$spool"/Q* | grep -c '^Subject: test$')" 2
}

@test "LF for CRLF, from a pipe" {
	mail | tr -d '\r' | pipe
	answers 250 250 250 354 250 221
	same "$(text)" "$(printf 'Subject: test\n\nhello')"
}

@test "dots are undone, CRLF becomes LF, and the text is complete" {
	{ envelope; lines 'Subject: dots' '' .. ..x ... 'no.' '' . QUIT; } | pipe
	answers 250 250 250 354 250 221
	text >got
	printf 'Subject: dots\n\n.\n.x\n..\nno.\n\n' | diff - got
	rm spool/Q*
	{ envelope; lines 'Subject: dots' '' .. ..x ... 'no.' '' . QUIT; } | over_socket
	answers 250 250 250 354 250 221
	text >got
	printf 'Subject: dots\n\n.\n.x\n..\nno.\n\n' | diff - got
}

@test "over a socket: a session" {
	mail | over_socket
	answers 250 250 250 354 250 221
	same "$(text)" "$(printf 'Subject: test\n\nhello')"
}

@test "over a socket: a bare LF or CR ends the session, and nothing is queued" {
	for bare in '\n' '\r' '\r\r\n' '\n\r\n'; do
		{ envelope; printf "Subject: x\r\n\r\na${bare}b\r\n.\r\nQUIT\r\n"; } | over_socket
		answers 250 250 250 354 521
		spool_is ''
		printf "NOOP${bare}QUIT\r\n" | over_socket
		same "$(codes | sed "s/^250 //")" 521
	done
}

@test "over a socket: no second message is smuggled in" {
	for end in '\n.\n' '\n.\r\n' '\r\n.\n' '\r.\r' '\r\n.\r' '\r.\r\n' '\r\n\0.\r\n'; do
		{
			envelope
			printf "Subject: one\r\n\r\nhello$end"
			lines 'MAIL FROM:<root@router.example>' "RCPT TO:<$me>" DATA 'Subject: two' '' bad . QUIT
		} | over_socket
		[[ $(codes) == '250 250 250 354 521' || $(codes) == '250 250 250 354 250 221' ]] ||
			fail "$end: $(codes)"
		[[ $(spool_states) == '' || $(spool_states) == Q ]] || fail "$end: two messages"
		! grep -q '^sender root' "$spool"/Q* 2>/dev/null || fail "$end: smuggled"
		rm -f spool/Q*
	done
}

@test "a bad recipient is refused, the others get the mail" {
	mail "$me" 'a b' joe@@x.example bob@x.example | pipe
	answers 250 250 250 501 501 250 354 250 221
	same "$(rcpts)" "$(printf '%s\n' "$me" bob@x.example | sort | paste -sd' ')"
	prints '501 5.1.3 recipient:'
}

@test "a control character gets into no address" {
	lines 'MAIL FROM:<joe@x.example>' $'RCPT TO:<a\tb@x.example>' $'RCPT TO:<a\rb@x.example>' RSET QUIT | pipe
	answers 250 500 500 250 221
	spool_is ''
}

@test "no recipient: DATA is refused, also when all were bad" {
	lines 'EHLO client' 'MAIL FROM:<joe@x.example>' DATA 'RCPT TO:<a b>' DATA QUIT | pipe
	answers 250 250 503 501 503 221
	lines DATA "RCPT TO:<$me>" QUIT | pipe
	answers 503 503 221
	spool_is ''
}

@test "message_size_limit: by SIZE= and by counting; the session goes on" {
	big() { envelope; lines 'Subject: big' ''; head -c 5000 /dev/zero | tr '\0' x; lines '' .; }
	{ big; lines 'MAIL FROM:<joe@x.example> SIZE=1001' 'MAIL FROM:<joe@x.example> SIZE=1000'; } >in
	mail | sed 1,2d >>in
	pipe -O message_size_limit=1000 <in
	prints '250-SIZE 1000'
	answers 250 250 250 354 552 552 250 250 354 250 221
	spool_is Q
	same "$(text)" "$(printf 'Subject: test\n\nhello')"
}

@test "a message of just message_size_limit bytes is taken, one more byte is not" {
	sized() { envelope; lines 'Subject: x' ''; head -c "$(($1 - 13))" /dev/zero | tr '\0' x; lines '' . QUIT; }
	sized 1000 | pipe -O message_size_limit=1000
	answers 250 250 250 354 250 221
	same "$(text | wc -c)" 1000
	sized 1001 | pipe -O message_size_limit=1000
	answers 250 250 250 354 552 221
	spool_is Q
}

@test "recipient_limit: 452 to those beyond it, the others get the mail" {
	mail a@x.example b@x.example c@x.example d@x.example | pipe -O recipient_limit=2
	answers 250 250 250 250 452 452 354 250 221
	same "$(rcpts)" 'a@x.example b@x.example'
}

@test "recipient_limit holds with aliases expanded: nothing is queued" {
	write_aliases 'many: a@x.example, b@x.example, c@x.example'
	mail many | pipe -O recipient_limit=2
	answers 250 250 250 354 451 221
	prints recipient_limit
	spool_is ''
	mail many | pipe
	same "$(rcpts)" 'a@x.example b@x.example c@x.example'
}

@test "the end of input anywhere before the last dot queues nothing" {
	mail | pipe
	rm spool/Q*
	listing >before
	mail >in
	whole=$(($(wc -c <in) - 9)) # without the dot's line and QUIT
	for ((n = 0; n <= whole; n += 3)); do
		head -c $n in | pipe
		spool_is ''
	done
	{ envelope; seq 1 100000; } | pipe
	{ envelope; seq 1 100000; } | over_socket
	rm in
	listing | diff <(grep -v '^before' before) <(listing | grep -v '^before')
}

@test "a dot without its line end is not the end of the message" {
	{ envelope; lines 'Subject: x' '' hello; printf .; } | pipe
	{ envelope; lines 'Subject: x' '' hello; printf '.\r'; } | over_socket
	spool_is ''
}

@test "kill -9 in the middle of DATA leaves a draft, which the next run sweeps" {
	start_server -odq
	envelope >&5
	for code in 250 250 250 354; do hear $code; done
	{ lines 'Subject: x' ''; seq 1 100000; } >&5
	wait_for '[ "$(find "$spool" -name "T*" -size +0 | wc -l)" = 1 ]'
	kill -9 $pid
	wait $pid || true
	spool_is T
	flush
	spool_is ''
	delivered 0
}

@test "the null sender, and a sender without a domain" {
	lines HELO\ x 'MAIL FROM:<>' "RCPT TO:<$me>" DATA 'Subject: x' '' x . QUIT | pipe
	same "$(field sender)" ''
	same "$(sed '/^$/q' "$(message)" | grep -c '^sender')" 1
	rm spool/Q*
	lines HELO\ x 'MAIL FROM:<joe>' "RCPT TO:<$me>" DATA 'Subject: x' '' x . QUIT | pipe
	same "$(field sender)" joe@router.example
}

@test "a sender does not stay for the next message" {
	lines 'MAIL FROM:<joe@x.example>' 'RCPT TO:<no@x.example>' RSET \
		'MAIL FROM:<bob@x.example>' "RCPT TO:<$me>" DATA 'Subject: x' '' x . QUIT | pipe
	same "$(field sender)" bob@x.example
	same "$(rcpts)" "$me"
}

@test "the spool is full: 451, nothing is queued, and the session goes on" {
	send -odq "$me"
	listing >before
	mail | pipe -O spool_count_limit=1
	answers 250 250 250 354 451 221
	prints '451 4.3.0'
	prints spool_count_limit
	diff <(grep -v '^before' before) <(listing | grep -v '^before')
}

@test "the disk is full: 451 and nothing is queued" {
	{ envelope; seq 1 100000; lines . QUIT; } >in
	expect 0 bash -c 'ulimit -f 100; trap "" XFSZ; exec "$@" <in | cat' - "$MTABOX" sendmail -C "$conf" -bs
	answers 250 250 250 354 451 221
	prints "cannot keep the message"
	spool_is ''
}

@test "-odq and defer only queue; else a runner delivers" {
	mail | pipe
	mail | expect 0 sendmail -bs -O defer=yes
	spool_is QQ
	is_over
	rm spool/Q*
	mail | expect 0 sendmail -bs
	wait_for '[ "$(mail_count)" = 1 ]'
	wait_for queue_is_empty
}

@test "the caller sees the end at once, though a runner goes on" {
	write_conf 'smarthost smtp://127.0.0.1:1' 'min_backoff 1h' 'max_backoff 1h'
	mail bob@mail.example >in
	expect 0 timeout 20 bash -c '"$@" <in | cat' - "$MTABOX" sendmail -C "$conf" -bs
	answers 250 250 250 354 250 221
	wait_for '[ -n "$(runner)" ]'
	spool_is Q
}

@test "a client that is gone: the exit status says so, what it sent whole is queued" {
	start_server -odq
	envelope >&5
	for code in 250 250 250 354; do hear $code; done
	exec 6<&- {server[0]}<&-
	tell 'Subject: test' '' 'hello' . NOOP
	got=0
	wait $pid || got=$?
	same $got 74
	spool_is Q
	same "$(text)" "$(printf 'Subject: test\n\nhello')"
	mail >in
	expect 74 bash -c 'exec "$@" <in >/dev/full' - "$MTABOX" sendmail -C "$conf" -bs -odq
	spool_is Q
}

@test "too many errors end the session" {
	for ((n = 0; n < 30; n++)); do lines XYZZY; done | pipe
	same "$(grep -c '^500' out)" 20
	prints '421 4.7.0'
	same "$(grep -c '^421' out)" 1
}

@test "without a spool: the exit status says so, and SMTP does not begin" {
	: >spool
	mail | expect 73 sendmail -bs
	is_empty out
	has err spool
}

@test "Python's smtplib, over a pipe and over a socket" {
	for how in pipe socket; do
		expect 0 /usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/bs.py" smtplib $how "$me" \
			"$MTABOX" sendmail -C "$conf" -bs -odq
		is_empty err
		has out 'pipelining size'
		spool_is QQ
		for n in 1 2; do
			file=$(grep -lx "Subject: $n" "$spool"/Q*)
			text "$file" >got
			printf 'Subject: %d\n\n.dot\n\nend %d\n' $n $n | diff - got
		done
		rm spool/Q*
	done
}
