#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What comes of sendmail's options, as far as one call does not show it: that is in table/flags.py.
load helper

# --- the full name --------------------------------------------------------------------------

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

# --- what is said ---------------------------------------------------------------------------

@test "-v: says on standard error what happens" {
	letter | expect 0 sendmail -v "$me"
	is_empty out
	says 'queued as'
	says 'status=sent'
	delivered 1
}

@test "closed standard output and error: taken, and no log line in it" {
	letter | sendmail -odq --unknown "$me" >&- 2>&-
	spool_is Q
	same "$(tail -n 3 "$(message)")" "$(letter)"
	expect 0 deliver -q
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
		says "$id: no such message"
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
