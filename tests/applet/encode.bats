#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Text that SMTP does not carry as it is: at a server, and decoded there by somebody else's
# program (mime.py), it is what was sent.

load helper
load relay

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	mkdir "$certs"
	touch "$certs/ca.pem"
}

servers=()

mime() { /usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/mime.py" "$@"; }

# A server that takes 8-bit text, and one that does not.
eight() { serve "${1:-server}" && relay "smtp://127.0.0.1:$port"; }
seven() { serve "${1:-server}" ehlo='PIPELINING|SIZE' && relay "smtp://127.0.0.1:$port"; }

# The message on standard input, sent to the server.
go() {
	cat >"$S/message"
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	flush
	sent a@x.example
	queue_is_empty
}

# says_of N VERSION TYPE ENCODING: what message N says of its body.
says_of() {
	local mail=$S/server/mail.$1
	same "$(mime field "$mail" MIME-Version)" "$2"
	same "$(mime field "$mail" Content-Type)" "$3"
	same "$(mime field "$mail" Content-Transfer-Encoding)" "$4"
}

# arrived N: the body of message N, decoded, is the one that was sent; encoded by the book.
arrived() {
	local mail=$S/server/mail.$1
	if [ "$(mime field "$mail" Content-Transfer-Encoding)" = quoted-printable ]; then
		mime check "$mail"
	fi
	sed '1,/^$/d' "$S/message" >"$S/sent"
	mime body "$mail" | cmp - "$S/sent"
}

@test "8-bit text of a cron job: declared to a server that takes it" {
	eight
	printf 'Subject: \303\244\n\nGr\303\274\303\237e \342\202\254\n.\n = \n' | go
	says_of 1 1.0 'text/plain; charset=utf-8' 8bit
	arrived 1
	has "$S/server/mail.1" $'\nGr\303\274\303\237e \342\202\254\r'
	has "$S/server/text.1" 'BODY=8BITMIME'
	printf 'no header, \344\366\374\n' | expect 0 sendmail -odq -i a@x.example
	flush
	says_of 2 1.0 'text/plain; charset=unknown-8bit' 8bit
	has "$S/server/mail.2" $'\r\n\r\nno header, \344\366\374\r'
}

@test "8-bit text to a server that does not take it: quoted-printable" {
	seven
	printf 'Subject: x\n\nGr\303\274\303\237e \342\202\254\n.\n = \nFrom here\n' | go
	says_of 1 1.0 'text/plain; charset=utf-8' quoted-printable
	arrived 1
	has "$S/server/mail.1" 'Gr=C3=BC=C3=9Fe =E2=82=AC'
	has_not "$S/server/text.1" 'BODY='
	printf '\344\366\374\n' | expect 0 sendmail -odq -i a@x.example
	flush
	says_of 2 1.0 'text/plain; charset=unknown-8bit' quoted-printable
	has "$S/server/mail.2" '=E4=F6=FC'
}

@test "a server that knows no EHLO takes no 8-bit text" {
	serve server 'ehlo#1=502 5.5.1 what?'
	relay "smtp://127.0.0.1:$port"
	printf 'Subject: x\n\n\303\244\n' | go
	arrived 1
	has "$S/server/text.1" HELO
	has "$S/server/mail.1" '=C3=A4'
}

@test "what the header says already stays" {
	eight
	printf '%s\n' 'MIME-Version: 1.0' 'Content-Type: text/html; charset=iso-8859-1' \
		'Content-Transfer-Encoding: 8bit' 'Subject: x' '' $'\344 <b>' | go
	got server 1 "$S/message"
	printf '%s\n' 'Content-Type: text/html; charset=iso-8859-1' 'Subject: x' '' $'\344 <b>' | go
	says_of 2 1.0 'text/html; charset=iso-8859-1' 8bit
	arrived 2
	printf '%s\n' 'MIME-Version: 1.0' 'Content-Transfer-Encoding: 7bit' \
		'Content-Type: text/plain; charset=utf-8' 'Subject: x' '' $'\303\244' | go
	says_of 3 1.0 'text/plain; charset=utf-8' 8bit
	arrived 3
	printf '%s\n' 'Subject: x' '' 'ASCII, = and . and all' | go
	got server 4 "$S/message"
	says_of 4 '' '' ''
}

@test "lines of 997 to 1001 bytes: over 998, quoted-printable" {
	local n
	eight
	for n in 997 998 999 1000 1001; do
		printf "Subject: %d\n\nshort\n%0${n}d\n.%0$((n - 1))d\nlast = \n" $n 7 8 | go
	done
	for n in 1 2; do
		says_of $n '' '' ''
		printf "Subject: %d\n\nshort\n%0$((n + 996))d\n.%0$((n + 995))d\nlast = \n" \
			$((n + 996)) 7 8 >"$S/message"
		got server $n "$S/message"
	done
	for n in 3 4 5; do
		says_of $n 1.0 'text/plain; charset=us-ascii' quoted-printable
		printf "Subject: %d\n\nshort\n%0$((n + 996))d\n.%0$((n + 995))d\nlast = \n" \
			$((n + 996)) 7 8 >"$S/message"
		arrived $n
	done
}

@test "NUL in a line that is encoded arrives" {
	seven
	printf 'Subject: x\n\na\0b \303\244\0\n' | go
	arrived 1
	has "$S/server/mail.1" 'a=00b =C3=A4=00'
}

@test "one line of 10 MB: every byte, in constant memory" {
	seven
	/usr/bin/python3 -c 'import random, sys
r = random.Random(1)
sys.stdout.buffer.write(b"Subject: x\n\n" + r.randbytes(10000000).translate(None, b"\r\n") + b"\n")' \
		>"$S/message"
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	(ulimit -v 4000 && try_all)
	no_faults
	sent a@x.example
	says_of 1 1.0 'text/plain; charset=unknown-8bit' quoted-printable
	arrived 1
	grep -o 'SIZE=[0-9]*' "$S/server/text.1" >size
	[ "$(cut -d= -f2 size)" -le "$(wc -c <"$S/server/mail.1")" ]
}

@test "random texts, to both kinds of server: decoded, each is what was sent" {
	local n name
	/usr/bin/python3 -c 'import random, sys
r = random.Random(2)
for n in range(1, 9):
    lines = []
    for _ in range(60):
        line = bytes(r.choices(b"\xc3\xa4 \t.=xF", k=r.choice((0, 1, 2, 75, 76, 77, 300, 2000))))
        lines.append(r.choice((b"", b".", b"From ", b"=", b" ")) + line + r.choice((b"", b" ", b"=")))
    open("text.%d" % n, "wb").write(b"Subject: %d\n\n" % n + b"\n".join(lines) + b"\n")'
	for name in eight seven; do
		$name $name
		for n in 1 2 3 4 5 6 7 8; do
			expect 0 sendmail -odq -i a@x.example <"$S/text.$n"
		done
		# Together over one connection: each has a state of its own.
		flush
		queue_is_empty
		saw $name connect 1
		kept $name 8
		for n in 1 2 3 4 5 6 7 8; do
			ln -sfn "$name" server
			cp "text.$(mime field "$name/mail.$n" Subject)" message
			arrived $n
		done
		rm server
	done
}

@test "the next server, if the first breaks off, gets what it can take" {
	serve first body=hangup
	local first=$port
	seven
	relay "smtp://127.0.0.1:$first"
	printf 'Subject: x\n\n\303\244 \303\244\n' >message
	expect 0 sendmail -odq -i a@x.example <message
	flush
	deferred a@x.example 'connection'
	relay "smtp://127.0.0.1:$port"
	flush
	sent a@x.example
	arrived 1
	has "$S/server/mail.1" '=C3=A4 =C3=A4'
}

# Two servers, one message, and nothing changes but that long lines are folded.
passes() {
	printf '%b' "$1" >"$S/message"
	eight server
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	flush
	got server 1 "$S/message"
	next_case
	seven server
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	flush
	got server 1 "$S/message"
	next_case
}

@test "what has parts, is no text or is encoded: the same bytes" {
	passes 'Content-Type: multipart/mixed; boundary=b\n\n--b\n\n\303\244 = \n.\n--b--\n'
	passes 'Content-Type: message/rfc822\n\nSubject: \303\244\n\n\303\244\n'
	passes 'MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n4pi6\n\303\244\n'
	passes 'Content-Type: text/plain\nContent-Transfer-Encoding: Quoted-Printable\n\n=E4 = \344\n'
	passes 'Content-Type: image/x\nContent-Transfer-Encoding: binary\n\n\303\244\n'
}

@test "long lines of such: folded, but not within a character" {
	eight
	/usr/bin/python3 -c 'print("Content-Type: a/b\nX-Long: " + "\u20ac" * 700 + "\n\n" +
"x" * 997 + "\u00e4" + "\u20ac" * 1000 + "\U0001f427" * 800)' >"$S/message"
	expect 0 sendmail -odq -i a@x.example <"$S/message"
	flush
	tr -d '\r' <"$S/server/mail.1" | iconv -f utf-8 -t utf-8 >"$S/utf-8"
	while IFS= read -r line; do printf '%s\n' "$line" | iconv -f utf-8 -t utf-8; done \
		<"$S/utf-8" >"$S/lines"
	cmp "$S/utf-8" "$S/lines"
	same "$(LC_ALL=C awk 'length($0) > 998' "$S/lines")" ''
	# Unfolded it is what was sent.
	sed '/^Content-Type/,$!d' "$S/utf-8" | sed -z 's/\n //g' | cmp - "$S/message"
	# The long field is still one field.
	mime field "$S/server/mail.1" X-Long >"$S/field"
	[ "$(wc -l <"$S/field")" -gt 1 ]
	same "$(mime field "$S/server/mail.1" Content-Type)" a/b
}

@test "a bounce is left alone" {
	serve server ehlo='PIPELINING|SIZE' rcpt:bad=550
	relay "smtp://127.0.0.1:$port" 'fullbounce yes'
	printf 'Subject: x\n\n\303\244 %01200d\n' 1 >message
	expect 0 sendmail -odq -i -f joe@x.example bad@x.example <message
	flush
	flush
	queue_is_empty
	kept server 1
	has "$S/server/mail.1" 'Content-Type: multipart/report'
	has "$S/server/mail.1" $'\303\244 0000'
	has_not "$S/server/mail.1" 'quoted-printable'
}

@test "mailboxes get the bytes as they are" {
	printf 'Subject: x\n\n\303\244 = \0%01200d\n' 1 >message
	expect 0 sendmail -odi "$me" <message
	content | cmp - message
}
