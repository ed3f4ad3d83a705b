#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Mail by BDAT, to servers that offer CHUNKING and to those that only say so (server.py).

load helper
load relay

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
}

servers=()

# chunking [KEY=VALUE...]: such a server, and it is where mail goes.
chunking() {
	secure server "ehlo=PIPELINING|8BITMIME|SIZE|CHUNKING" "$@"
	relay "smtp+starttls://127.0.0.1:$port"
}

# said N: what came over connection N, inside of TLS.
said() { tr -d '\r' <"$S/server/text.$1"; }

@test "the bytes of the message, dots as they are" {
	chunking
	printf 'Subject: dots\n\n.\n..\n.a\nQUIT\n.\n' >"$S/message"
	expect 0 sendmail -odq -i a@x.example b@x.example <"$S/message"
	flush
	sent a@x.example
	sent b@x.example
	queue_is_empty
	got server 1 "$S/message"
	same "$(said 1 | grep -cx '\.')" 2
	same "$(said 1 | grep -c '^BDAT [0-9]* LAST$')" 1
	same "$(commands server)" "EHLO STARTTLS EHLO MAIL RCPT RCPT BDAT QUIT QUIT"
}

@test "no final newline, a lone CR, NUL, a line too long: the count is right" {
	chunking
	printf 'Content-Type: x/y\n\n%05000d\nnul\000nul\rcr\nno end' 7 |
		expect 0 sendmail -odq -i a@x.example
	flush
	queue_is_empty
	same "$(tail -c 8 "$S/server/mail.1" | od -An -c | tr -d ' ')" 'noend\r\n'
	tr -d '\r\n' <"$S/server/mail.1" | sed 's/0 0/00/g' >"$S/unfolded"
	has "$S/unfolded" "$(printf '%05000dnul nul crno end' 7)"
}

@test "8-bit for a server that does not take it: the count is of what goes out" {
	secure server "ehlo=PIPELINING|CHUNKING"
	relay "smtp+starttls://127.0.0.1:$port"
	printf 'Subject: x\n\n\303\244\n' | expect 0 sendmail -odq -i a@x.example
	flush
	sent a@x.example
	has "$S/server/mail.1" "=C3=A4"
}

@test "3 MB: one chunk, when a recipient is accepted" {
	chunking "rcpt:bad@=550 5.1.1 no such user"
	seq -f '.%070g' 43000 | cat <(printf 'Subject: long\n\n') - >"$S/message"
	expect 0 sendmail -odq -i bad@x.example <"$S/message"
	flush
	bounced bad@x.example "no such user"
	same "$(commands server)" "EHLO STARTTLS EHLO MAIL RCPT QUIT"
	expect 0 sendmail -odq -i a@x.example bad@x.example <"$S/message"
	flush
	sent a@x.example
	bounced bad@x.example "no such user"
	got server 1 "$S/message"
	same "$(said 2 | grep -c ^BDAT)" 1
}

@test "two messages are on their way before the server says a word to the first" {
	local n
	chunking 'mail#1=await' 'dot#1=await'
	for n in 1 2 3 4 5; do
		letter "number $n" | expect 0 sendmail -odq "a$n@x.example"
	done
	flush
	queue_is_empty
	kept server 5
	saw server connect 1
	saw server "more dot" 1
	for n in 1 2 3 4 5; do
		same "$(grep -lF "number $n"$'\r' "$S"/server/mail.* | wc -l)" 1
	done
	same "$(said 1 | grep -c ^RSET)" 4
}

@test "without PIPELINING: one command at a time" {
	secure server "ehlo=CHUNKING"
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example b@x.example
	post c@x.example
	flush
	queue_is_empty
	kept server 2
	saw server connect 1
}

@test "all are refused: the next message is not" {
	chunking "rcpt:bad@=550 5.1.1 no such user" "rcpt:later@=450 4.2.1 greylisted"
	post bad@x.example
	post a@x.example
	post later@x.example
	post bad@y.example b@x.example
	flush
	bounced bad@x.example "no such user"
	bounced bad@y.example "no such user"
	sent a@x.example
	sent b@x.example
	deferred later@x.example greylisted
	kept server 2
	saw server connect 1
}

@test "a verdict on the chunk" {
	chunking "dot#1=554 5.7.1 spam" "dot#2=452 4.3.1 full"
	post a@x.example
	flush
	bounced a@x.example spam
	post b@x.example
	flush
	deferred b@x.example full
}

@test "BDAT is unknown to the server: nothing follows the message; then by DATA" {
	local code
	for code in 500 502 503; do
		next_case
		chunking "bdat=$code 5.5.1 what?"
		printf 'Subject: x\n\nMAIL FROM:<evil@x.example>\n' | expect 0 sendmail -odq -i a@x.example
		try_all
		deferred a@x.example "the server offers CHUNKING, but says to BDAT: $code 5.5.1 what?"
		same "$(commands server)" "EHLO STARTTLS EHLO MAIL RCPT BDAT MAIL"
		spool_is Q
		try_all
		sent a@x.example
		queue_is_empty
		kept server 1
		same "$(said 2 | grep -cxE 'DATA|BDAT.*')" 1
	done
}

@test "the server goes away at BDAT, in the chunk, behind it" {
	local stage action
	for stage in bdat body dot; do
		for action in hangup "421 4.3.2 going down"; do
			echo "$stage $action"
			next_case
			chunking "$stage=$action"
			post a@x.example
			try_all
			deferred a@x.example ""
			kept server 0
			spool_is Q
		done
	done
	all_of_them 6
}

@test "the server hangs up when it has heard all and said nothing: not at once to the next" {
	serve second "ehlo=PIPELINING|CHUNKING"
	local other=$port
	serve first "ehlo=PIPELINING|CHUNKING" mail=mute rcpt=mute dot=hangup
	relay "smtp://127.0.0.1:$port" "smarthost smtp://127.0.0.1:$other"
	post a@x.example
	try_all
	deferred a@x.example "closed by the server"
	kept second 0
}

@test "directly: by DATA, for there is no second attempt" {
	chunking "bdat=500 5.5.1 what?"
	letter | expect 0 sendmail -odd a@x.example
	kept server 1
	same "$(commands server)" "EHLO STARTTLS EHLO MAIL RCPT DATA QUIT"
}

@test "kill -9 of the worker in mid-chunk: one copy" {
	chunking "body#1=hold"
	relay "smtp+starttls://127.0.0.1:$port" "command_timeout 1m"
	{ head -c 10000000 /dev/zero | tr '\0' 'y' | fold -w 70; echo; } >"$S/message"
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	"$MTABOX" deliver -C "$conf" -q </dev/null >"$S/out" 2>"$S/err" 3>&- &
	local runner=$! worker
	wait_for "grep -q 'hold body' '$S/server/events'"
	worker=$(cat "/proc/$runner/task/$runner/children")
	kill -9 $worker
	wait "$runner"
	deferred a@x.example "delivery process died"
	: >"$S/server/go"
	try_all
	queue_is_empty
	kept server 1
	got server 1 "$S/message"
}

@test "kill -9 of the worker, a chunk unanswered and the next one on its way: neither is lost" {
	local runner n
	chunking 'dot=hold'
	for n in 1 2; do letter "number $n" | expect 0 sendmail -odq "a$n@x.example"; done
	"$MTABOX" deliver -C "$conf" -q </dev/null >"$S/out" 2>"$S/err" 3>&- &
	runner=$!
	wait_for "grep -q 'hold dot' '$S/server/events'"
	kill -9 $(cat "/proc/$runner/task/$runner/children")
	: >"$S/server/go"
	wait $runner
	try_all
	queue_is_empty
	# Copies are what SMTP itself has there: the server had them, and nobody heard of it.
	for n in 1 2; do
		[ "$(grep -lF "number $n"$'\r' "$S"/server/mail.* | wc -l)" -ge 1 ] || fail "$n is lost"
	done
}
