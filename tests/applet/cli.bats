#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# The command line of sendmail: what real callers pass, and what comes of it.
load helper

# envelope ARG...: the envelope that these arguments make, "sender: recipients".
envelope() {
	letter | sendmail -odq -O adminaddr=admin@x.example "$@" 2>>"$S/err" ||
		{ echo "exit status $?"; return; }
	printf '%s: %s\n' "$(field sender)" "$(rcpts)"
	rm "$(message)"
}

# Lines of "arguments | envelope" on stdin; the arguments are read as a shell does.
table() {
	local arguments want
	while IFS='|' read -r arguments want; do
		eval "same \"\$(envelope $arguments)\" '${want# }'" || fail "for: $arguments" || return
	done
}

# refused STATUS ARG...: nothing is taken, and nothing is left behind.
refused() {
	local before want=$1
	shift
	mkdir -m 700 spool
	before=$(listing)
	letter | expect "$want" sendmail "$@"
	is_empty "$S/out"
	[ -s "$S/err" ] || fail "refused without a word: $*"
	same "$(listing)" "$before"
}

# --- sender and recipients ------------------------------------------------------------------

@test "-f and -r: the sender in all its forms" {
	table <<-'END'
	root                                    | '"$me"'@router.example: root
	-f joe@x.example root                   | joe@x.example: root
	-fjoe@x.example root                    | joe@x.example: root
	-r joe@x.example root                   | joe@x.example: root
	-f "<joe@x.example>" root               | joe@x.example: root
	-f "Joe <joe@x.example>" root           | joe@x.example: root
	-f joe root                             | joe@router.example: root
	-f "<joe>" root                         | joe@router.example: root
	-f "" root                              | : root
	-f "<>" root                            | : root
	-f "\"joe q\"@x.example" root           | "joe q"@x.example: root
	-f one@x.example -f two@x.example root  | two@x.example: root
	END
}

@test "recipients: lists, names, brackets; duplicates go once" {
	table <<-'END'
	-f a@x.example one two                  | a@x.example: one two
	-f a@x.example one,two                  | a@x.example: one two
	-f a@x.example "one, two ,,"            | a@x.example: one two
	-f a@x.example "Joe Q <joe@y.example>"  | a@x.example: joe@y.example
	-f a@x.example "<joe@y.example>"        | a@x.example: joe@y.example
	-f a@x.example joe@y.example Joe@y.example joe@Y.EXAMPLE | a@x.example: Joe@y.example joe@y.example
	-f a@x.example one ONE one              | a@x.example: one
	-f a@x.example one@x.example ONE@x.example | a@x.example: ONE@x.example one@x.example
	END
}

@test "options: bundles, attached and separate values, behind recipients, --" {
	table <<-'END'
	-if joe@x.example root                  | joe@x.example: root
	-iodq -fjoe@x.example root              | joe@x.example: root
	-ivfjoe@x.example root                  | joe@x.example: root
	root -f joe@x.example                   | joe@x.example: root
	one -i two -f joe@x.example three       | joe@x.example: one three two
	-f joe@x.example -- root                | joe@x.example: root
	-f joe@x.example -- -root               | joe@x.example: -root
	-f joe@x.example -- root -i             | joe@x.example: -i root
	-f -- root                              | --@router.example: root
	END
}

@test "-F: the full name, attached or not" {
	send -odq -F 'Joe Q' "$me"
	same "$(field name)" 'Joe Q'
	rm "$(message)"
	send -odq -FJoe "$me"
	same "$(field name)" 'Joe'
}

@test "-F: stands in the From that is added, encoded where it must be" {
	send -odi -f joe@x.example -F 'Joe Q' "$me"
	has "mail/$me" 'From: Joe Q <joe@x.example>'
	send -odi -f joe@x.example -F 'Q, Joe "x"' "$me"
	has "mail/$me" 'From: "Q, Joe \"x\"" <joe@x.example>'
	send -odi -f joe@x.example -F 'Zoë' "$me"
	has "mail/$me" 'From: =?utf-8?B?Wm/Dqw==?='
}

@test "-F: does not touch a From that is there, and begins no new field" {
	printf 'From: a@b.example\n\nx\n' | expect 0 sendmail -odi -F 'Joe Q' "$me"
	has_not "mail/$me" 'Joe Q'
	send -odi -F $'Joe\nX-Evil: 1' "$me"
	! grep -q '^X-Evil' "mail/$me" || fail "a field of its own"
}

# --- -t -------------------------------------------------------------------------------------

header_table() {
	local arguments header want
	while IFS='|' read -r arguments header want; do
		printf "$header\n\nhello\n" | expect 0 sendmail -odq $arguments
		same "$(rcpts)" "${want# }" || fail "for: $arguments, $header" || return
		rm "$(message)"
	done
}

@test "-t: To, Cc and Bcc, with those of the arguments" {
	header_table <<-'END'
	-t|To: a@x.example| a@x.example
	-t|to: a@x.example\nCC: b@x.example\nbcc: c@x.example| a@x.example b@x.example c@x.example
	-t|To: Joe <a@x.example>,\n "Q, P" <b@x.example>| a@x.example b@x.example
	-t|To: friends: a@x.example, b@x.example;| a@x.example b@x.example
	-t c@x.example|To: a@x.example| a@x.example c@x.example
	-ti|To: a@x.example| a@x.example
	-it|To: a@x.example| a@x.example
	-t -i|To: a@x.example\nSubject: x\nTo: b@x.example| a@x.example b@x.example
	c@x.example -t|To: a@x.example| a@x.example c@x.example
	-t|To: a@x.example\nResent-To: b@x.example| b@x.example
	c@x.example|To: a@x.example| c@x.example
	END
}

@test "Bcc and Return-Path go, with -t and without" {
	for t in '' -t; do
		printf 'Subject: x\nBcc: b@x.example,\n c@x.example\nReturn-Path: <d@x.example>\nTo: %s\n\nhi\n' "$me" |
			expect 0 sendmail $t -odq "$me"
		has_not "$(message)" Return-Path
		! sed '1,/^$/d' "$(message)" | grep -e Bcc -e b@x -e c@x || fail "Bcc is still there"
		rm "$(message)"
	done
}

@test "-t: an address that cannot be read is said, 65, and nobody gets the mail" {
	printf 'To: good@x.example, a b c\n\nhi\n' | expect 65 sendmail -t -odq
	says 'a b c'
	spool_is ''
}

@test "-t: no recipients in the header" {
	printf 'Subject: x\n\nhi\n' | expect 64 sendmail -t -odq
	says 'no recipients'
	spool_is ''
}

# --- dots -----------------------------------------------------------------------------------

# dotted WANT ARG...: what is kept of a message with dots.
dotted() {
	local want=$1
	shift
	printf 'Subject: x\n\none\n..two\n...three\n.four\n.\nfive\n' | expect 0 sendmail -odq "$@" "$me"
	same "$(sed '1,/^Subject/d' "$(message)" | paste -sd,)" "$want"
	rm "$(message)"
}

@test "without -i a lone dot ends the message, and leading dots are doubled ones" {
	dotted ',one,.two,..three,.four'
	dotted ',one,.two,..three,.four' -t
}

@test "-i, -oi, -ti: dots are text" {
	for option in -i -oi '-o i' -ti -it -vi; do
		dotted ',one,..two,...three,.four,.,five' $option
	done
}

@test "a lone dot: with CRLF, at the end without a line end, and nothing but one" {
	printf 'Subject: x\r\n\r\none\r\n.\r\ntwo\r\n' | expect 0 sendmail -odq "$me"
	same "$(tail -n 1 "$(message)")" one
	rm "$(message)"
	printf 'Subject: x\n\none\n.' | expect 0 sendmail -odq "$me"
	same "$(tail -n 1 "$(message)")" one
	rm "$(message)"
	printf '.' | expect 0 sendmail -odq "$me"
	same "$(field 'mtabox 1 message')" "$(stat -c 0000000%s "$(message)") 00000000000000000"
}

# --- what has no effect ---------------------------------------------------------------------

@test "unknown options warn and are ignored" {
	for option in -Z -Zxy --frob --frob=x -1; do
		letter | expect 0 sendmail -odq $option "$me"
		says "unknown option $option ignored"
		same "$(rcpts)" "$me"
		rm "$(message)"
	done
}

@test "other sendmails' options take their values with them" {
	for option in -Ac '-A m' -B7BIT '-B 8BITMIME' -d -d9.1 '-E x' '-J x' '-D x' -em '-e p' -eq -ew \
		-G '-h 25' -h25 -I -m '-M id' -Mid -n '-N never' -Nfailure,delay -oem -oep '-o em' \
		-om '-p esmtp:host' -pesmtp '-Q reason' '-R hdrs' -Rfull -s -T -U '-V envid' -Vx \
		-x -c; do
		letter | expect 0 sendmail -odq $option "$me"
		silent
		same "$(rcpts)" "$me" || fail "for: $option"
		rm "$(message)"
	done
}

@test "-L: the name in the log" {
	send -odi -L smartd "$me"
	logged 'smartd['
}

@test "-v: says on standard error what happens" {
	letter | expect 0 sendmail -v "$me"
	is_empty out
	says 'queued as'
	says 'status=sent'
	delivered 1
}

@test "-X: the same in a file, behind what is there, and nobody waits" {
	echo before >session
	send -X "$S/session" "$me"
	wait_for queue_is_empty
	same "$(head -n 1 session)" before
	has session 'queued as'
	has session 'status=sent'
}

@test "-X: a file that cannot be written: a warning, and the mail goes" {
	letter | expect 0 sendmail -odi -X "$S/none/session" "$me"
	says "cannot write to $S/none/session (-X): No such file or directory"
	delivered 1
}

# --- what is refused ------------------------------------------------------------------------

@test "no recipients: 64, with the remedy" { refused 64 -odq; says 'no recipients'; says '-t'; }
@test "a bad recipient: 65" { refused 65 -odq 'a b c'; says "'a b c'"; }
@test "a good and a bad recipient: 65, and the good one gets nothing" { refused 65 "$me" '@'; }
@test "a bad sender: 65" { refused 65 -odq -f 'a b' "$me"; says "'a b'"; }
@test "a line feed in an address: 65" { refused 65 -odq $'a\nrcpt b@x.example'; }
@test "a value that is missing: 64" { refused 64 -odq "$me" -f; says '-f'; }
@test "an unknown -b: 64" { refused 64 -odq -bz "$me"; says '-bz'; }
@test "an unknown -q: 64" { refused 64 -qz; says '-qz'; }

@test "unreadable standard input: 66, and nothing is queued" {
	expect 66 sendmail -odq "$me" </
	says 'cannot read the message'
	spool_is ''
}

@test "closed standard input: 66, no empty mail" {
	expect 66 sendmail -odq "$me" <&-
	says 'cannot read the message'
	spool_is ''
}

@test "closed standard output and error: taken, and no log line in it" {
	letter | sendmail -odq --unknown "$me" >&- 2>&-
	spool_is Q
	same "$(tail -n 3 "$(message)")" "$(letter)"
	expect 0 deliver -q
	delivered 1
}

@test "an empty standard input is an empty mail, and safe" {
	expect 0 sendmail -odi "$me" </dev/null
	delivered 1
}

# --- delivery modes -------------------------------------------------------------------------

@test "by default: delivered in the background, nobody's descriptors kept" {
	# The command substitution ends only when all have closed the pipe.
	same "$(letter | sendmail "$me" 2>&1)" ''
	wait_for queue_is_empty
	delivered 1
}

@test "-odb, -bm: the same" {
	send -odb "$me"
	wait_for queue_is_empty
	send -bm "$me"
	wait_for queue_is_empty
	delivered 2
}

@test "-odi: delivered when it returns" { send -odi "$me"; delivered 1; spool_is ''; }

@test "-odi: exit 0 where the first attempt fails, since the mail is safe" {
	mkdir "mail/$me"
	send -odi "$me"
	spool_is Q
	has "$(message)" 'deferred '
}

@test "-odq and -bq: queued, no runner" {
	send -odq "$me"
	send -bq "$me"
	spool_is QQ
	is_over
	delivered 0
}

@test "-q: delivers what is queued, in the background" {
	send -odq "$me"
	send -odq "$me"
	expect 0 sendmail -q
	silent
	wait_for queue_is_empty
	delivered 2
}

@test "-qf: the same" { send -odq "$me"; expect 0 sendmail -qf; wait_for queue_is_empty; delivered 1; }

@test "-q with an empty queue: 0, and no runner stays" {
	expect 0 sendmail -q
	silent
	wait_for is_over
}

@test "-qI: an id that is not there: 65" {
	for id in 01lg5i62juh310vh nonsense '' ../conf; do
		expect 65 sendmail -qI "$id"
		says "no message"
	done
}

@test "-qI: one message now, with a runner and without" {
	mkdir "mail/$me"
	send -odi "$me"
	send -odi "$me"
	set -- "$spool"/Q*
	rmdir "mail/$me"
	expect 0 sendmail "-qI${1#"$spool"/Q}"
	wait_for "[ ! -e $1 ]"
	spool_is Q
	delivered 1
	kill -9 "$(runner)"
	wait_for is_over
	expect 0 sendmail -qI "${2#"$spool"/Q}"
	wait_for queue_is_empty
	delivered 2
}

@test "-bp is mailq, -bi is newaliases" {
	expect 0 sendmail -bp
	prints 'Mail queue is empty'
	write_aliases 'a: b'
	expect 0 sendmail -bi
	prints '1 aliases, 1 targets, 0 problems'
	write_aliases 'a'
	expect 65 sendmail -bi
}

@test "-bP: every key, its value and where it comes from" {
	write_conf 'workers 7'
	expect 0 sendmail -bP -O retry_min=90s
	prints "spooldir $S/spool  # $conf:1 - the queue"
	prints "workers 7  # $conf:6 - "
	prints 'retry_min 90s  # -O'
	prints 'retry_max 4h  # default'
}

# --- which configuration --------------------------------------------------------------------

@test "-C with a relative path: for the runner in / too" {
	letter | expect 0 "$MTABOX" sendmail -C conf "$me"
	silent
	wait_for queue_is_empty
	delivered 1
	cd mail
	letter | expect 0 "$MTABOX" sendmail -C../conf "$me"
	wait_for queue_is_empty
	delivered 2
}

@test "MTABOX_CONF: for every applet; -C goes before it" {
	sed "s,/spool,/other," conf >other.conf
	export MTABOX_CONF=$S/other.conf
	letter | expect 0 "$MTABOX" sendmail -odq "$me"
	silent
	same "$(ls other | cut -c1)" Q
	expect 0 "$MTABOX" mailq
	prints "$me"
	expect 0 mailq
	prints 'Mail queue is empty'
	expect 0 "$MTABOX" deliver -q
	delivered 1
}

@test "-O: any key, over the file, more than one, attached or not" {
	send -odq -O spooldir="$S/one" -Omailname=other.example "$me"
	has one/Q* "sender $me@other.example"
	expect 0 mailq -O spooldir="$S/one"
	prints "$me@other.example"
	expect 0 deliver -q -O spooldir="$S/one" -O mailbox="$S/mail/here"
	same "$(ls mail)" here
}

@test "-O: an unknown key or a bad value warns, and the mail goes" {
	letter | expect 0 sendmail -odq -O DeliveryMode=b -O workers=many "$me"
	says '-O: DeliveryMode: unknown key'
	says '-O: workers: must be a number'
	spool_is Q
}
