#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Mail to servers: good ones, and what the others can do to us (server.py).

load helper
load relay

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
}

servers=()

# --- a good server --------------------------------------------------------------------------

# real MECHANISM [implicit]: one mail through aiosmtpd.
real() {
	mkdir "$S/real"
	/usr/bin/python3 "$BATS_TEST_DIRNAME/aiosmtpd_server.py" "$S/real" "$certs/good.pem" \
		"$certs/good.key" joe "$password" ${2:-} >"$S/server.real" 2>&1 3>&- &
	wait_for "[ -e '$S/real/port' ]"
	port=$(cat "$S/real/port")
	local scheme=smtp+starttls
	[ -z "${2:-}" ] || scheme=smtps
	relay "$scheme://joe@mail.localhost:$port" "auth_mechanisms $1"
	knows_password mail.localhost
	post a@x.example b@x.example
	flush
	sent a@x.example
	sent b@x.example
	queue_is_empty
	tr -d '\r' <"$S/real/mail.1" >"$S/mail.1"
	has "$S/mail.1" "X-Server-Login: joe"
	has "$S/mail.1" "X-Server-To: b@x.example"
	has "$S/mail.1" "breakfast at noon"
}

@test "a real server: STARTTLS, PLAIN" { real PLAIN; }
@test "a real server: TLS from the first byte, LOGIN" { real LOGIN implicit; }

@test "AUTH: each mechanism, and the strongest if none is named" {
	local mechanism
	knows_password 127.0.0.1
	secure server mechanisms="PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"
	for mechanism in PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 '""'; do
		relay "smtp+starttls://127.0.0.1:$port" "auth_mechanisms $mechanism"
		post a@x.example
		flush
		queue_is_empty
	done
	same "$(sed -n 's/.* auth //p' "$S/server/events" | paste -sd' ')" \
		"PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256"
	kept server 5
	nothing_in_clear server
}

@test "-v shows the dialogue; the password is nowhere to be seen" {
	local mechanism
	knows_password 127.0.0.1
	secure server mechanisms="PLAIN LOGIN" dot=hold
	for mechanism in PLAIN LOGIN; do
		rm -f "$S/server/go"
		: >"$S/server/events"
		relay "smtp+starttls://127.0.0.1:$port" "auth_mechanisms $mechanism"
		post a@x.example
		"$MTABOX" deliver -C "$conf" -q -v >"$S/out" 2>"$S/err" 3>&- &
		wait_for "grep -q hold '$S/server/events'"
		mailq >"$S/listing"
		cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >"$S/processes" 2>/dev/null || true
		: >"$S/server/go"
		wait $!
		says ">>> AUTH $mechanism"
		says "****"
		says ">>> MAIL FROM:<$me@router.example>"
		says "<<< 250 2.0.0 taken"
		says "verified"
		sent a@x.example
		secret_is_not_in "$S/out" "$S/err" "$S/log" "$S/listing" "$S/processes" "$spool"/*
	done
	has "$S/auth" "$password"
}

@test "sendmail -v shows its own message's dialogue" {
	knows_password 127.0.0.1
	secure server mechanisms=PLAIN
	relay "smtp+starttls://127.0.0.1:$port" "defer no"
	letter | expect 0 sendmail -v a@x.example
	wait_for is_over
	says ">>> AUTH PLAIN ****"
	says ">>> RCPT TO:<a@x.example>"
	secret_is_not_in "$S/err" "$S/log"
	kept server 1
}

@test "sendmail -v where another runner is at work says what came of it" {
	write_conf "smarthost smtp://127.0.0.1:1" "defer no"
	letter | expect 0 sendmail a@x.example
	wait_for "grep -q status=deferred '$S/log'"
	letter | expect 0 sendmail -v b@x.example
	says 'another queue runner is at work'
	says 'to=<b@x.example> waits: connecting to 127.0.0.1 port 1: Connection refused'
	letter | expect 0 sendmail -v "$me"
	says 'is queued no more'
	delivered 1
}

@test "a name, an IPv6 address, TLS from the first byte" {
	serve server listen=::1 tls=implicit cert="$certs/good" ||
		skip "this machine has no IPv6"
	relay "smtps://[::1]:$port"
	post a@x.example
	flush
	sent a@x.example
	relay "smtps://mail.localhost:$port"
	post b@x.example
	flush
	sent b@x.example
	kept server 2
	nothing_in_clear server
	same "$(cat "$S"/server/clear.*)" ""
}

@test "a certificate that is known by its fingerprint" {
	local print other
	serve server tls=implicit cert="$certs/unknown"
	print=$(openssl x509 -in "$certs/unknown.pem" -noout -fingerprint -sha256)
	other=$(openssl x509 -in "$certs/good.pem" -noout -fingerprint -sha256)
	# What is to be set stands in mailq as a whole.
	relay "smtps://127.0.0.1:$port" "tls_fingerprint ${other#*=}"
	post c@x.example
	flush
	mailq >"$S/out"
	prints "$(tr -d : <<<"set tls_fingerprint ${print#*=}" | tr A-F a-f)"
	relay "smtps://127.0.0.1:$port" "tls_fingerprint ${print#*=}"
	post a@x.example
	flush
	sent a@x.example
	relay "smtps://127.0.0.1:$port" "tls_fingerprint ${other#*=}"
	post b@x.example
	flush
	deferred b@x.example "fingerprint"
	kept server 2
}

# --- what is sent ---------------------------------------------------------------------------

@test "ten messages: one connection, one handshake, pipelined" {
	local n
	secure server 'dot#1=await' 'mail#1=await'
	relay "smtp+starttls://127.0.0.1:$port"
	for n in 1 2 3 4 5 6 7 8 9 10; do
		letter "number $n" | expect 0 sendmail -odq "a$n@x.example"
	done
	flush
	queue_is_empty
	kept server 10
	saw server connect 1
	saw server tls 1
	saw server quit 1
	# RCPT and DATA came with MAIL, and the next message's MAIL with the first one's dot.
	saw server "more mail" 1
	saw server "more dot" 1
	for n in 1 2 3 4 5 6 7 8 9 10; do
		same "$(grep -lF "number $n"$'\r' "$S"/server/mail.* | wc -l)" 1
	done
}

@test "60 messages for one server: none is opened more than twice" {
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	local n
	secure server
	relay "smtp+starttls://127.0.0.1:$port"
	for n in $(seq 60); do
		letter "number $n" | expect 0 sendmail -odq "a$n@x.example"
	done
	expect 0 timeout 60 strace -f -qqq -o trace -e trace=openat "$MTABOX" deliver -q -C "$conf"
	queue_is_empty
	kept server 60
	saw server connect 1
	# Once to learn where it goes, once when its turn comes.
	sed -n 's/.*"\(Q[0-9a-v]*\)", O_RDONLY.*/\1/p' trace | sort | uniq -c >opened
	same "$(wc -l <opened)" 60
	same "$(awk '$1 > 2' opened)" ''
}

@test "without PIPELINING: one command at a time" {
	secure server ehlo=8BITMIME
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example b@x.example
	post c@x.example
	flush
	queue_is_empty
	kept server 2
	saw server connect 1
}

@test "8-bit, dots, long lines: the bytes of the message" {
	secure server
	relay "smtp+starttls://127.0.0.1:$port"
	{
		printf 'Subject: bytes\nFrom: a@x.example\nTo: \303\244@x.example\n'
		printf 'MIME-Version: 1.0\nContent-Type: text/plain\n'
		printf 'Content-Transfer-Encoding: 8bit\n\n'
		printf '.\n..\n...leading\n.\n\n\nFrom here on\n\344\366\374 \303\244 \377\376\n'
		printf 'tab\tand blanks   \n%0997d\n%0998d\n.%0997d\nQUIT\n.\n' 1 2 3
	} >"$S/message"
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	flush
	sent a@x.example
	got server 1 "$S/message"

	# What SMTP cannot carry: longer lines are folded (what is no text, encode.bats has the
	# rest), NUL and a lone CR become blanks, and the last line gets its end.
	printf 'Content-Type: x/y\n\n%05000d\nnul\000nul\rcr\nno end' 7 |
		expect 0 sendmail -odq -i a@x.example
	flush
	queue_is_empty
	tr -d '\r\n' <"$S/server/mail.2" | sed 's/0 0/00/g' >"$S/unfolded"
	has "$S/unfolded" "$(printf '%05000dnul nul crno end' 7)"
	same "$(tail -c 8 "$S/server/mail.2" | od -An -c | tr -d ' ')" 'noend\r\n'
}

@test "10 MB through TLS: every byte" {
	secure server
	relay "smtp+starttls://127.0.0.1:$port"
	/usr/bin/python3 -c 'import random, sys
r = random.Random(1)
print("MIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n")
for _ in range(140000):
    line = r.randbytes(r.randrange(150)).translate(None, b"\0\r\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(line + b"\n")' >"$S/message"
	[ "$(wc -c <"$S/message")" -gt 10000000 ]
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	flush
	sent a@x.example
	got server 1 "$S/message"
}

# --- verdicts -------------------------------------------------------------------------------

@test "one of three recipients is refused: a bounce for that one only" {
	secure server "rcpt:bad@=550 5.1.1 no such user"
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example bad@x.example c@x.example
	flush
	sent a@x.example
	sent c@x.example
	bounced bad@x.example "no such user"
	same "$(paste -sd' ' "$S/server/envelope.1")" "<$me@router.example> <a@x.example> <c@x.example>"
	same "$(commands server)" "EHLO STARTTLS EHLO MAIL RCPT RCPT RCPT DATA QUIT"
	kept server 1
	delivered 1
	has "$S/mail/$me" "Final-Recipient: rfc822; bad@x.example"
	has "$S/mail/$me" "550 no such user"
	has_not "$S/mail/$me" "a@x.example"
	queue_is_empty
}

@test "all are refused; one is asked to wait" {
	secure server "rcpt:bad@=550 5.1.1 no such user" "rcpt:later@=450 4.2.1 greylisted"
	relay "smtp+starttls://127.0.0.1:$port"
	post bad@x.example
	post bad@y.example later@y.example a@y.example
	flush
	bounced bad@x.example "no such user"
	bounced bad@y.example "no such user"
	deferred later@y.example greylisted
	sent a@y.example
	has_not "$S/listing" bad@y.example
	spool_is Q
	delivered 2
	kept server 1
}

@test "a message that is refused after its dot bounces" {
	secure server "dot=554 5.7.1 spam"
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example b@x.example
	flush
	bounced a@x.example spam
	bounced b@x.example spam
	kept server 0
	delivered 1
	queue_is_empty
}

@test "a message that is too large for the server is not sent, and bounces" {
	secure server ehlo="PIPELINING|SIZE 200"
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example
	flush
	bounced a@x.example "200 at most"
	same "$(commands server)" "EHLO STARTTLS EHLO QUIT"
	delivered 1
}

@test "LMTP: each recipient has its own verdict" {
	serve server lmtp=yes "dot:full@=552 5.2.2 mailbox full" "dot:busy@=450 4.2.0 busy"
	relay "lmtp://127.0.0.1:$port"
	post a@x.example full@x.example busy@x.example
	flush
	sent a@x.example
	bounced full@x.example "mailbox full"
	deferred busy@x.example busy
	same "$(paste -sd' ' "$S/server/envelope.1")" "<$me@router.example> <a@x.example>"
	delivered 1
	kept server 1
	spool_is Q
}

@test "SMTP and LMTP over a unix socket, with a password" {
	serve server listen=unix mechanisms=PLAIN
	relay "smtp+unix:$S/server/socket"
	knows_password "$S/server/socket"
	post a@x.example
	flush
	sent a@x.example
	kept server 1
	saw server "auth PLAIN" 1
	serve lmtp listen=unix lmtp=yes
	relay "lmtp+unix:$S/lmtp/socket"
	post b@x.example
	flush
	sent b@x.example
	kept lmtp 1
}

@test "replies in single bytes" {
	secure server drip=yes mechanisms="CRAM-MD5" "rcpt:bad@=550-5.1.1 no|550 5.1.1 such user"
	relay "smtp+starttls://127.0.0.1:$port" "command_timeout 10"
	knows_password 127.0.0.1
	post a@x.example bad@x.example
	post c@x.example
	flush
	sent a@x.example
	bounced bad@x.example "no"
	sent c@x.example
	kept server 2
}

# --- servers that go away -------------------------------------------------------------------

# comes_to_nothing WORDS KEY=VALUE...: such a server gets nothing in clear and keeps nothing, and
# the message waits.
comes_to_nothing() {
	local words=$1
	shift
	next_case
	secure server "$@"
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example b@x.example
	flush
	deferred a@x.example "$words"
	deferred b@x.example "$words"
	kept server 0
	nothing_in_clear server
	spool_is Q
}

@test "421 at every stage" {
	local stage
	for stage in greeting 'ehlo#1' 'ehlo#2' starttls mail rcpt data dot; do
		echo "$stage"
		comes_to_nothing "going down" "$stage=421 4.3.2 going down"
	done
	all_of_them 8
}

@test "the server hangs up at every stage" {
	local stage
	for stage in greeting 'ehlo#1' 'ehlo#2' mail rcpt data body dot; do
		echo "$stage"
		comes_to_nothing "connection" "$stage=hangup"
	done
	for stage in starttls handshake; do
		comes_to_nothing "" "$stage=hangup"
	done
	all_of_them 10
}

# stalls STAGE ACTION: in a directory of its own, so that many can wait at the same time.
stalls() {
	S=$S/$1-$2
	mkdir -p "$S"
	spool=$S/spool conf=$S/conf
	secure server "$1=$2"
	relay "smtp+starttls://127.0.0.1:$port"
	if [ "$1" = body ]; then
		# More than fits into the socket's buffers.
		head -c 12000000 /dev/zero | tr '\0' 'y' | fold -w 70 | expect 0 sendmail -odq a@x.example
	else
		post a@x.example
	fi
	flush
	deferred a@x.example "no answer"
	saw server "$2" 1
	kept server 0
	nothing_in_clear server
	spool_is Q
}

# at_every STAGE ACTION...: all of them at once.
at_every() {
	local name
	local -A pids
	while [ $# -gt 0 ]; do
		stalls "$1" "$2" >"$S/output.$1-$2" 2>&1 &
		pids[$1-$2]=$!
		shift 2
	done
	for name in "${!pids[@]}"; do
		wait "${pids[$name]}" || fail "$name:" "$(cat "$S/output.$name" "$S/$name"/{err,log})"
	done
}

@test "the server falls silent at every stage" {
	at_every greeting stall ehlo#1 stall starttls stall handshake stall ehlo#2 stall \
		mail stall rcpt stall data stall body stall dot stall
}

@test "the server sends a reply byte by byte that never ends" {
	at_every greeting trickle ehlo#1 trickle ehlo#2 trickle mail trickle rcpt trickle \
		data trickle body trickle dot trickle
}

@test "a reply of 1 MB, a reply without end" {
	local stage
	for stage in greeting 'ehlo#1' 'ehlo#2' mail dot; do
		comes_to_nothing "the server" "$stage=flood"
		comes_to_nothing "the server" "$stage=endless"
	done
	all_of_them 10
}

@test "what is no reply" {
	comes_to_nothing "the server" "greeting=HTTP/1.1 400 Bad Request"
	comes_to_nothing "the server" "ehlo#2=999 what"
	comes_to_nothing "" "mail=334 go on"
	comes_to_nothing "" "data=250 thank you"
	comes_to_nothing "" "dot=354 more"
	all_of_them 5
}

# --- TLS that is none -----------------------------------------------------------------------

# refused_tls WORDS URL LINE... -- KEY=VALUE...: nothing goes to such a server.
refused_tls() {
	local words=$1 url=$2 lines=()
	shift 2
	while [ "$1" != -- ]; do lines+=("$1"); shift; done
	shift
	next_case
	serve server mechanisms="PLAIN LOGIN" "$@"
	relay "${url}127.0.0.1:$port" "${lines[@]}"
	post a@x.example
	flush
	deferred a@x.example "$words"
	kept server 0
	saw server "connect" 1
	nothing_in_clear server
	saw server "auth" 0
	spool_is Q
}

@test "text injected behind the 220 to STARTTLS" {
	local text="250-mail.example|250 AUTH PLAIN" url
	for url in smtp+starttls:// smtp://; do
		refused_tls "injected text" "$url" -- tls=starttls cert="$certs/good" \
			"starttls=inject:$text"
		saw server tls 0
	done
	knows_password 127.0.0.1
	# Or a moment later: then TLS is broken.
	refused_tls "TLS" smtp:// -- tls=starttls cert="$certs/good" \
		"starttls=inject:$text" drip=yes
}

@test "STARTTLS is required, but not offered or refused" {
	refused_tls "does not offer STARTTLS" smtp+starttls:// -- tls=no
	refused_tls "refused STARTTLS" smtp+starttls:// -- tls=starttls cert="$certs/good" \
		"starttls=454 4.7.0 not now"
	refused_tls "" smtp+starttls:// -- tls=starttls "ehlo#1=502 5.5.1 only HELO here"
}

@test "a server that we have a password for must have verified TLS" {
	knows_password 127.0.0.1
	refused_tls "does not offer STARTTLS" smtp:// -- tls=no
	refused_tls "leads to CN=stranger" smtp:// -- tls=starttls cert="$certs/unknown"
	refused_tls "verified TLS" smtp+starttls:// "tls_verify no" -- tls=starttls \
		cert="$certs/unknown"
	refused_tls "verified TLS" smtps:// "tls_verify no" -- tls=implicit cert="$certs/wrongname"
	# Unless the administrator wants it so.
	next_case
	serve server mechanisms=PLAIN
	relay "smtp://127.0.0.1:$port" "insecure_auth yes"
	post a@x.example
	flush
	sent a@x.example
}

@test "-v shows a server's certificates, and what would pin the first" {
	local key
	serve server tls=implicit cert="$certs/unknown"
	relay "smtps://127.0.0.1:$port"
	post a@x.example
	expect 0 timeout 40 "$MTABOX" deliver -C "$conf" -q -v
	says "certificate NOT verified"
	says "certificate 1: CN=unknown, issued by CN=stranger, valid from 2020-01-01 00:00:00 to 2040-01-01 00:00:00 UTC"
	says "leads to CN=stranger"
	for key in tls_fingerprint tls_pin; do
		grep -o "$key [0-9a-f]\{64\}$" "$S/err" >"$S/pin"
		relay "smtps://127.0.0.1:$port" "$(cat "$S/pin")"
		post "$key@x.example"
		expect 0 timeout 40 "$MTABOX" deliver -C "$conf" -qf -v
		says "certificate verified"
		sent "$key@x.example"
	done
	no_faults
}

@test "our own certificate cannot be used: mail is taken, and waits" {
	secure server
	cat "$certs/good.key" "$certs/good.pem" >"$S/own.pem"
	chmod 604 "$S/own.pem"
	relay "smtp+starttls://127.0.0.1:$port" "tls_cert $S/own.pem"
	expect 0 sendmail -bP
	prints "tls_cert $S/own.pem"
	post a@x.example
	flush
	deferred a@x.example "tls_key $S/own.pem can be read by others"
	chmod 600 "$S/own.pem"
	expect 0 "$MTABOX" deliver -C "$conf" -qf
	sent a@x.example
}

@test "certificates: wrong name, expired, not yet valid, unknown issuer" {
	local kind words url
	for kind in "wrongname:does not name this host" "expired:expired" "future:not valid" "unknown:leads to CN=stranger"; do
		words=${kind#*:} kind=${kind%%:*}
		echo "$kind"
		refused_tls "$words" smtp+starttls:// -- tls=starttls cert="$certs/$kind"
		refused_tls "$words" smtps:// -- tls=implicit cert="$certs/$kind"
		same "$(cat "$S"/server/clear.*)" ""
		# The words name the certificate.
		has "$S/log" "$kind"
	done
}

@test "of the curves X25519 is offered first, then P-256" {
	/usr/bin/python3 -c 'import socket
s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
print(s.accept()[0].recv(4096).hex(), flush=True)' >hello 3>&- &
	wait_for '[ -s hello ]'
	relay "smtps://127.0.0.1:$(cat hello)"
	post a@x.example
	flush
	wait_for '[ "$(wc -l <hello)" = 2 ]'
	has hello 000a000a0008001d0017
}

@test "TLS on the wrong port, clear text on the TLS port" {
	serve clear
	relay "smtps://127.0.0.1:$port"
	post a@x.example
	try_all
	deferred a@x.example "does not speak TLS"
	kept clear 0
	has_not "$S/clear/wire.1" EHLO
	next_case
	serve tls tls=implicit cert="$certs/good"
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example
	try_all
	deferred a@x.example "no answer"
	saw tls tls 0
	same "$(cat "$S/tls/wire.1")" ""
}

# --- AUTH that fails ------------------------------------------------------------------------

@test "AUTH refused: all waits after one attempt, nothing bounces, nothing goes without" {
	local reply
	knows_password 127.0.0.1
	for reply in "535 5.7.8 wrong password" "454 4.7.0 try later" "421 4.7.0 too many"; do
		next_case
		secure server mechanisms=PLAIN "auth=$reply"
		relay "smtp+starttls://127.0.0.1:$port"
		post a@x.example
		post b@x.example
		flush
		deferred a@x.example "${reply#* * }"
		deferred b@x.example "${reply#* * }"
		spool_is QQ
		delivered 0
		saw server connect 1
		case $reply in
		421*) same "$(commands server)" "EHLO STARTTLS EHLO AUTH" ;;
		*) same "$(commands server)" "EHLO STARTTLS EHLO AUTH QUIT" ;;
		esac
	done
	all_of_them 6 mechanisms=PLAIN
}

@test "a password file that others can read is not used" {
	knows_password 127.0.0.1
	chmod 644 "$S/auth"
	secure server mechanisms=PLAIN
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example
	flush
	deferred a@x.example "can be read by others: chmod 600"
	saw server connect 0
	chmod 600 "$S/auth"
	flush
	sent a@x.example
}

@test "a user without a password is no user without AUTH" {
	knows_password other.example
	secure server
	relay "smtp+starttls://joe@127.0.0.1:$port"
	post a@x.example
	flush
	deferred a@x.example "no password for joe"
	saw server connect 0
}

# --- servers that are not there -------------------------------------------------------------

@test "the first smarthost is dead: the second takes it" {
	local dead
	serve dead up=go
	dead=$port
	secure server
	relay "smtp+starttls://127.0.0.1:$dead" "smarthost smtp+starttls://127.0.0.1:$port"
	post a@x.example
	flush
	sent a@x.example "taken"
	kept server 1
}

@test "the first smarthost does not answer a connection: the second takes it" {
	local first
	serve first up=full
	first=$port
	secure server
	relay "smtp+starttls://127.0.0.1:$first" "smarthost smtp+starttls://127.0.0.1:$port"
	post a@x.example
	flush
	sent a@x.example
	kept server 1
	saw first connect 0
	relay "smtp+starttls://127.0.0.1:$first"
	post b@x.example
	flush
	deferred b@x.example "timed out"
}

@test "the first smarthost greets with 421, falls silent, or lies about its name" {
	local first kind
	secure server
	for kind in greeting=421 greeting=stall cert="$certs/wrongname"; do
		servers=()
		rm -rf "$S/first"
		secure first "$kind"
		first=$port
		port=$(cat "$S/server/port")
		relay "smtp+starttls://127.0.0.1:$first" "smarthost smtp+starttls://127.0.0.1:$port"
		post a@x.example
		flush
		queue_is_empty
		kept first 0
		nothing_in_clear first
	done
	kept server 3
}

@test "a smarthost whose name cannot be: all waits" {
	relay "smtp://$(printf '%064d' 1).example"
	post a@x.example
	flush
	deferred a@x.example ""
	delivered 0
	spool_is Q
}

@test "after a recipient's verdict no other smarthost is asked" {
	local first
	secure first "rcpt=550 5.1.1 no such user"
	first=$port
	secure server
	relay "smtp+starttls://127.0.0.1:$first" "smarthost smtp+starttls://127.0.0.1:$port"
	post a@x.example
	flush
	bounced a@x.example "no such user"
	saw server connect 0
	delivered 1
}

@test "a smarthost that comes back: sendmail -q delivers" {
	serve server tls=starttls cert="$certs/good" up=go
	relay "smtp+starttls://127.0.0.1:$port" "defer no" "retry_min 1h"
	letter | expect 0 sendmail a@x.example
	wait_for "grep -q status=deferred '$S/log'"
	deferred a@x.example "refused"
	: >"$S/server/go"
	wait_for "grep -q listening '$S/server/events'"
	expect 0 sendmail -q
	wait_for is_over
	sent a@x.example
	kept server 1
	expect 0 mailq
	prints "Mail queue is empty"
}

# --- crashes --------------------------------------------------------------------------------

# under_way STAGE: a runner whose worker is held there; $runner, $worker.
under_way() {
	secure server "$1#1=hold"
	relay "smtp+starttls://127.0.0.1:$port" "command_timeout 1m"
	{ head -c 10000000 /dev/zero | tr '\0' 'y' | fold -w 70; echo; } >"$S/message"
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	"$MTABOX" deliver -C "$conf" -q </dev/null >"$S/out" 2>"$S/err" 3>&- &
	runner=$!
	wait_for "grep -q 'hold $1' '$S/server/events'"
	worker=$(cat "/proc/$runner/task/$runner/children")
	worker=${worker% }
	[ -n "$worker" ]
}

# A new run delivers what there is: so many copies are at the server, all whole.
copies() {
	local n
	: >"$S/server/go"
	wait_for "is_gone $worker"
	wait "$runner" || true
	flush
	queue_is_empty
	kept server "$1"
	for ((n = 1; n <= $1; n++)); do got server $n "$S/message"; done
}

@test "kill -9 of the worker in mid-DATA: one copy" {
	under_way body
	kill -9 "$worker"
	wait "$runner"
	kept server 0
	deferred a@x.example "delivery process died"
	spool_is Q
	copies 1
}

@test "kill -9 of the runner in mid-DATA: the worker dies too, one copy" {
	under_way body
	kill -9 "$runner"
	wait_for "is_gone $worker"
	spool_is Q
	copies 1
}

@test "kill -9 of the worker after the final dot: not lost" {
	under_way dot
	kill -9 "$worker"
	wait "$runner"
	spool_is Q
	copies 2
}

@test "kill -9 of the runner after the final dot: not lost" {
	under_way dot
	kill -9 "$runner"
	wait_for "is_gone $worker"
	spool_is Q
	copies 2
}

@test "SIGTERM while a server is silent behind the dot: over in seconds, nothing new is begun" {
	under_way dot
	post b@x.example
	kill -TERM "$runner"
	post c@x.example
	wait_for "is_gone $runner" 10
	wait_for "is_gone $worker" 5
	wait "$runner" || true
	spool_is QQQ
	has_not "$S/log" status=
	saw server connect 1
	same "$(grep -ac '^MAIL' "$S/server/text.1")" 1
	: >"$S/server/go"
	flush
	queue_is_empty
}

@test "SIGTERM to all of us after the final dot: its reply is waited for, what it ends is removed" {
	under_way dot
	kill -TERM "$runner" "$worker"
	: >"$S/server/go"
	wait "$runner"
	spool_is ''
	copies 1
	has "$S/log" "status=sent"
}
