#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Whatever a message looks like, it arrives: the mailbox is compared byte by byte.
load helper

# shape SENT KEPT [ADDED]: both in printf's notation. A message without a header begins with
# the empty line that ends the fields added to it.
shape() {
	printf "$1" | expect 0 sendmail -i -odi "$me"
	silent
	printf "$2" >want
	content >got
	cmp got want || fail "$(od -c got | head -n 20)" || return
	same "$(mbox added "mail/$me" 1)" "Return-Path Delivered-To Received ${3:-Date From Message-ID}"
}

# --- line ends ------------------------------------------------------------------------------

@test "LF" { shape 'Subject: x\n\nhello\n' 'Subject: x\n\nhello\n'; }
@test "CRLF" { shape 'Subject: x\r\n\r\nhello\r\n' 'Subject: x\n\nhello\n'; }
@test "CRLF and LF mixed" { shape 'Subject: x\r\nA: b\n\r\none\r\ntwo\nthree\r\n' 'Subject: x\nA: b\n\none\ntwo\nthree\n'; }
@test "a lone CR becomes a space" { shape 'Subject: a\rb\n\none\rtwo\r\rthree\n' 'Subject: a b\n\none two  three\n'; }
@test "CR CR LF" { shape 'Subject: x\n\none\r\r\ntwo\n' 'Subject: x\n\none \ntwo\n'; }
@test "a CR at the end" { shape 'Subject: x\n\none\r' 'Subject: x\n\none \n'; }
@test "no final line end" { shape 'Subject: x\n\nhello' 'Subject: x\n\nhello\n'; }
@test "empty lines at the end" { shape 'Subject: x\n\nhello\n\n\n' 'Subject: x\n\nhello\n\n\n'; }
@test "dots are text with -i" { shape 'Subject: x\n\n.\n..\n.a\n.' 'Subject: x\n\n.\n..\n.a\n.\n'; }

# --- bytes ----------------------------------------------------------------------------------

@test "NUL, in header and body" { shape 'Subject: a\0b\n\none\0\0two\n\0\n' 'Subject: a\0b\n\none\0\0two\n\0\n'; }
@test "all bytes but CR and LF" {
	all=$(for i in $(seq 0 255); do [ $i = 10 ] || [ $i = 13 ] || printf '\\%03o' $i; done)
	shape "Subject: x\n\n$all\n" "Subject: x\n\n$all\n"
}
@test "8-bit text, malformed UTF-8" { shape 'Subject: Zo\303\253\n\n\303\n\377\376\n' 'Subject: Zo\303\253\n\n\303\n\377\376\n'; }

# --- the header -----------------------------------------------------------------------------

@test "no header" { shape 'hello there\nmore\n' '\nhello there\nmore\n'; }
@test "an empty message" { shape '' '\n'; }
@test "one byte" { shape 'x' '\nx\n'; }
@test "an empty line alone" { shape '\n' '\n'; }
@test "an empty line first: what follows is text" { shape '\nSubject: x\n\nhello\n' '\nSubject: x\n\nhello\n'; }
@test "a header alone" { shape 'Subject: x\n' 'Subject: x\n\n'; }
@test "a header alone, without a line end" { shape 'Subject: x' 'Subject: x\n\n'; }
@test "a header that ends inside a name" { shape 'Subject: x\nSub' 'Subject: x\n\nSub\n'; }
@test "a header and its empty line, no text" { shape 'Subject: x\n\n' 'Subject: x\n\n'; }
@test "a line that is no field ends the header" { shape 'Subject: x\nno field\n\nhello\n' 'Subject: x\n\nno field\n\nhello\n'; }
@test "folded fields" { shape 'Subject: a\n b\n\tc\nX: y\n\nhello\n' 'Subject: a\n b\n\tc\nX: y\n\nhello\n'; }
@test "a continuation line first" { shape ' folded\nSubject: x\n\nhello\n' '\n folded\nSubject: x\n\nhello\n'; }
@test "a field without a value, a blank before the colon" { shape 'Subject:\nX : y\n\nhello\n' 'Subject:\nX : y\n\nhello\n'; }

# --- From_ ----------------------------------------------------------------------------------

@test "a leading From_ line goes" { shape 'From joe Thu Jan  1 00:00:00 1970\nSubject: x\n\nhello\n' 'Subject: x\n\nhello\n'; }
@test "a leading >From_ line goes" { shape '>From joe Thu Jan  1 00:00:00 1970\nSubject: x\n\nhello\n' 'Subject: x\n\nhello\n'; }
@test "a From_ line without a header behind it is text" { shape 'From here on\nit is text\n' '\nFrom here on\nit is text\n'; }
@test "From_ lines in the text are quoted, and quotes too" {
	shape 'Subject: x\n\nFrom a\n\nFrom b\n>From c\n>>From d\n> From e\nFrom\n>From' \
		'Subject: x\n\nFrom a\n\nFrom b\n>From c\n>>From d\n> From e\nFrom\n>From\n'
	has "mail/$me" '>>>From d'
}

# --- what is added --------------------------------------------------------------------------

@test "Date, From and Message-ID are added only where they are missing" {
	shape 'Subject: x\nDate: y\n\nhello\n' 'Subject: x\nDate: y\n\nhello\n' 'From Message-ID'
	rm "mail/$me"
	shape 'Subject: x\nFROM: y@z\n\nhello\n' 'Subject: x\nFROM: y@z\n\nhello\n' 'Date Message-ID'
	rm "mail/$me"
	shape 'Subject: x\nmessage-id: y\n\nhello\n' 'Subject: x\nmessage-id: y\n\nhello\n' 'Date From'
	rm "mail/$me"
	printf 'Subject: x\nDate: a\nFrom: b\nMessage-ID: c\n\nhello\n' | expect 0 sendmail -odi "$me"
	same "$(mbox added "mail/$me" 1)" 'Return-Path Delivered-To Received'
}

@test "what is added can be read by others" {
	letter | expect 0 sendmail -odi -f joe@x.example -F Joe "$me"
	/usr/bin/python3 - "mail/$me" <<-'END'
	import email.utils, mailbox, sys, time
	[m] = mailbox.mbox(sys.argv[1])
	assert abs(email.utils.parsedate_to_datetime(m["Date"]).timestamp() - time.time()) < 60, m["Date"]
	assert email.utils.parseaddr(m["From"]) == ("Joe", "joe@x.example"), m["From"]
	assert m["Message-ID"].endswith("@router.example>"), m["Message-ID"]
	assert m["Return-Path"] == "<joe@x.example>", m["Return-Path"]
	assert "router.example" in m["Received"], m["Received"]
	assert m.get_from().startswith("joe@x.example "), m.get_from()
	assert m.get_payload() == "hello\n", m.get_payload()
	END
}

@test "Message-IDs differ" {
	for i in 1 2 3; do send -odi "$me"; done
	same "$(grep '^Message-ID:' "mail/$me" | sort -u | wc -l)" 3
}

# --- size -----------------------------------------------------------------------------------

# whole FILE: it arrives as it is.
whole() {
	expect 0 sendmail -i -odi "$me" <"$1"
	silent
	content >got
	cmp got "$1"
}

@test "a line of 1 MB" {
	{ printf 'Subject: x\n\n'; head -c 1048576 /dev/zero | tr '\0' x; echo; } >big
	whole big
}

@test "a header field of nearly 1 MB; more is refused with 65" {
	{ printf 'Subject: '; head -c 1000000 /dev/zero | tr '\0' x; printf '\n\nhello\n'; } >big
	whole big
	{ printf 'Subject: '; head -c 1100000 /dev/zero | tr '\0' x; printf '\n\nhello\n'; } |
		expect 65 sendmail -odq "$me"
	says 'header is too long'
	spool_is ''
}

@test "5 MB of random bytes" {
	{ printf 'Subject: x\n\n'; head -c 5000000 /dev/urandom | tr -d '\r'; echo; } >big
	whole big
}

@test "a mailbox with a torn end: the new From_ line begins a line of its own" {
	printf 'From joe Thu Jan  1 00:00:00 1970\n\nold' >"mail/$me"
	send -odi "$me"
	same "$(cut -c1-5 "mail/$me" | head -n 4)" "$(printf 'From \n\nold\nFrom ')"
}
