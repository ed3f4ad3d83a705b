#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What a mailbox gets, besides the message as it was sent: table/messages.py has those of all shapes.
load helper

# shape SENT KEPT [ADDED]: both in printf's notation.
shape() {
	printf "$1" | expect 0 sendmail -i -odi "$me"
	silent
	printf "$2" >want
	content >got
	cmp got want || fail "$(od -c got | head -n 20)" || return
	same "$(mbox added "mail/$me" 1)" "Return-Path Delivered-To Received ${3:-Date From Message-ID}"
}

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

@test "a header field of nearly 1 MB; more is refused with 65" {
	{ printf 'Subject: '; head -c 1000000 /dev/zero | tr '\0' x; printf '\n\nhello\n'; } >big
	whole big
	{ printf 'Subject: '; head -c 1100000 /dev/zero | tr '\0' x; printf '\n\nhello\n'; } |
		expect 65 sendmail -odq "$me"
	says 'header is too long'
	spool_is ''
}

# received N: a message that has come by so many systems.
received() { yes 'received: by x.example; Thu, 1 Jan 1970 00:00:00 +0000' | head -n "$1" && printf '\nhello\n'; }

@test "a mail loop: over 100 Received fields" {
	received 101 | expect 65 sendmail -odq "$me"
	says 'mail loop'
	spool_is ''
	received 100 >big
	whole big
}

@test "5 MB of random bytes" {
	{ printf 'Subject: x\n\n'; head -c 5000000 /dev/urandom | tr -d '\r'; echo; } >big
	whole big
}

@test "a mailbox with a torn end: an empty line stands before the new From_ line" {
	printf 'From joe Thu Jan  1 00:00:00 1970\n\nold' >"mail/$me"
	send -odi "$me"
	same "$(cut -c1-5 "mail/$me" | head -n 5)" "$(printf 'From \n\nold\n\nFrom ')"
}
