#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Mail waits, is warned of and given up by what is known of time: whatever the clocks say.
# clock.py shows the program clocks of our own.
load helper
load clock

lines() { grep -c "^$1 " "$(message)" || true; }
warnings() { same "$(lines warning)" "$1"; }

# About the one message of our mailbox: Python, as in bounce.bats.
report() {
	/usr/bin/python3 - "$S/mail/$me" "$@" <<-'END'
	import email, email.policy, email.utils, mailbox, sys
	[m] = mailbox.mbox(sys.argv[1])
	m = email.message_from_bytes(bytes(m), policy=email.policy.default)
	seconds = lambda date: email.utils.parsedate_to_datetime(date).timestamp()
	text, fields, original = m.iter_parts() if m.is_multipart() else (m, m, m)
	about, *told = fields.get_payload()
	for part in m.walk():
	    assert not part.defects, part.defects
	for check in sys.argv[2:]:
	    assert eval(check), (check, m.as_string())
	END
}

# --- warnings -------------------------------------------------------------------------------

@test "late: the sender is warned, once" {
	no_server
	submit a@x.example
	try_at $((today + 10)) 110
	try_at $((today + 4 * hour - 10)) $((4 * hour + 90))
	warnings 0
	delivered 0
	try_at $((today + 4 * hour + 10)) $((4 * hour + 110))
	warnings 1
	delivered 1
	logged "late: a warning goes to <$me@router.example>"
	report 'm["Return-Path"] == "<>"' 'm["Auto-Submitted"] == "auto-replied"' \
		'm["Subject"].startswith("Delayed")' '"could not be delivered yet" in text.get_content()' \
		'"refused" in text.get_content()' \
		'[(t["Final-Recipient"], t["Action"], t["Status"]) for t in told] == [("rfc822; a@x.example", "delayed", "4.4.1")]' \
		"abs(seconds(told[0]['Will-Retry-Until']) - $((today + 5 * day))) < 60" \
		"abs(seconds(told[0]['Last-Attempt-Date']) - $((today + 4 * hour))) < 60" \
		"abs(seconds(m['Date']) - $((today + 4 * hour))) < 60" \
		'original.get_content_type() == "text/rfc822-headers"'
	try_at $((today + 8 * hour)) $((8 * hour)) 1
	try_at $((today + day)) $((2 * hour)) 2
	warnings 1
	delivered 1
	spool_is Q
	try_at $((today + 6 * day)) $((5 * day + 2 * hour)) 2
	spool_is ''
	delivered 2
	same "$(grep -cx 'Action: failed' "mail/$me")" 1
}

@test "no warning: nobody to tell, not asked for, switched off, not tried, an hour after boot" {
	while IFS='|' read -r line uptime args; do
		no_server "$line"
		submit $args a@x.example
		try_at $((today + 10)) 110
		try_at $((today + 5 * hour - 60)) $((uptime - 60)) 2
		try_at $((today + 5 * hour)) "$uptime" 2
		[ "$(lines deferred)" = 3 ] || fail "$line|$args: $(lines deferred) attempts"
		warnings 0
		rm "$(message)"
	done <<-END
	delay_warning 0|$((5 * hour))|
	delay_warning 0|$((5 * hour))|-N delay
	delay_warning 6h|$((5 * hour))|
	|$((5 * hour))|-f <>
	|$((5 * hour))|-N never
	|$((5 * hour))|-N failure
	|$((5 * hour))|-N success,failure
	|3500|
	END
	delivered 0
	no_server
	submit a@x.example
	try_at $((today + 5 * hour)) $((5 * hour)) 2
	warnings 0
	try_at $((today + 5 * hour + 60)) $((5 * hour + 60)) 2
	warnings 1
	delivered 1
}

@test "a bounce that is late is not warned of; nor is a warning" {
	no_server 'queue_lifetime 3h'
	submit -f ann@far.example a@x.example
	try_at $((today + 10)) 110
	try_at $((today + 4 * hour)) $((4 * hour))
	same "$(lines bounce)" 1
	try_at $((today + 6 * hour)) $((6 * hour))
	warnings 0
	rm "$(message)"
	no_server
	submit -f ann@far.example a@x.example
	try_at $((today + 5 * hour)) $((5 * hour))
	try_at $((today + 10 * hour)) $((10 * hour))
	warnings 1
	same "$(lines bounce)" 0
	# Nobody hears of a warning that fails, and it does not keep the sender from his bounce.
	try_at $((today + 11 * day)) $((11 * day))
	same "$(lines bounce)" 1
}

@test "several recipients: one warning, of those that wait and are asked for" {
	no_server
	write_aliases 'quiet: c@x.example'
	printf '%s\r\n' 'EHLO x' "MAIL FROM:<$me>" "RCPT TO:<$me>" 'RCPT TO:<a@x.example>' \
		'RCPT TO:<b@x.example> NOTIFY=DELAY ORCPT=rfc822;B@x.example' \
		'RCPT TO:<c@x.example> NOTIFY=FAILURE' DATA . QUIT >session
	submit x@x.example
	rm "$(message)"
	expect 0 clocked sendmail -C "$conf" -odq -bs <session
	try_at $((today + 10)) 110
	delivered 1
	rm "mail/$me"
	try_at $((today + 5 * hour)) $((5 * hour))
	delivered 1
	report '[t["Final-Recipient"] for t in told] == ["rfc822; a@x.example", "rfc822; b@x.example"]' \
		'told[1]["Original-Recipient"] == "rfc822; B@x.example"'
}

# A warning that has to wait is the same at each attempt, whatever happens meanwhile.
@test "a warning that waits says what it said at first" {
	no_server
	submit a@x.example
	mkdir "mail/$me"
	try_at $((today + 5 * hour)) $((5 * hour))
	warnings 1
	[ "$(lines deferred)" -ge 2 ]
	no_server 'smarthost smtp+unix:/nonexistent'
	try_at $((today + 9 * hour)) $((9 * hour))
	rmdir "mail/$me"
	try_at $((today + 30 * hour)) $((30 * hour))
	report '"refused" in told[0]["Diagnostic-Code"]' \
		"abs(seconds(told[0]['Last-Attempt-Date']) - $((today + 5 * hour))) < 60"
}

@test "kill -9 of the runner at each call around a warning: it comes once" {
	read -r uptime _ </proc/uptime
	[ "${uptime%.*}" -gt 3700 ] || skip 'in the first hour nobody is warned'
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	no_server 'delay_warning 1s' 'defer yes'
	send -odq a@x.example
	flush
	id=$(basename "$(message)")
	start=${EPOCHREALTIME/[.,]/}
	wait_for '[ $((${EPOCHREALTIME/[.,]/} - start)) -ge 2000000 ]'
	cp "spool/$id" late
	for call in write fdatasync sendmsg; do
		hits=0
		for nth in {1..40}; do
			cp late "spool/$id"
			rm -f "mail/$me"
			got=0
			strace -f -qqq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$nth \
				"$MTABOX" deliver -q -C "$conf" -O defer=yes 2>/dev/null || got=$?
			wait_for is_over
			flush
			flush
			same "$call $nth: $(mail_count) $(grep -cx 'Action: delayed' "mail/$me") $(lines warning)" "$call $nth: 1 1 1"
			[ $got != 0 ] || break
			hits=$((hits + 1))
		done
		[ $hits -gt 0 ] && [ $hits -lt 40 ] || fail "$call: $hits"
	done
}

# --- clocks ---------------------------------------------------------------------------------

# wait_and_arrive DATE STEP...: mail is taken at the first step and tried at all the others: it
# waits, nobody is warned, nothing bounces. When its mailbox is mended it arrives, with a Date
# that is DATE. Each step is WALL:UPTIME:BOOT.
wait_and_arrive() {
	local date=$1 attempts=0 step wall up boot
	shift
	no_server
	mkdir -p "mail/$me"
	born=${1//:/ }
	submit -f ann@far.example "$me"
	shift
	for step; do
		try_at ${step//:/ }
		attempts=$((attempts + 1))
		same "$step: $(spool_states) $(lines deferred) $(lines warning) $(lines bounce) $(lines failed)" "$step: Q $attempts 0 0 0"
	done
	rmdir "mail/$me"
	# Later, as boot clocks are: what was tried since somebody asked is not tried again.
	read -r wall up boot <<<"${step//:/ }"
	try_at $((wall + 100)) $((up + 100)) "$boot"
	spool_is ''
	report "abs(seconds(m['Date']) - $date) < 60"
	rm "mail/$me"
}

@test "1970, for ever: mail waits and is tried again; its date is what is known" {
	wait_and_arrive 100 100:100:1 200:200:1 $((3 * hour)):$((3 * hour)):1
}

@test "1970 when it is taken, set right before the first attempt, or between two" {
	wait_and_arrive $((today - 2 * hour)) 100:100:1 $today:$((2 * hour + 100)):1
	wait_and_arrive 100 100:100:1 160:160:1 $today:$((2 * hour)):1 $((today + hour)):$((3 * hour)):1
}

@test "1970 at each boot: no boot's wall clock says how long another one was" {
	wait_and_arrive 100 100:100:1 200:200:1 50:50:2 $((2 * hour)):$((2 * hour)):2 50:50:3 $today:$((2 * hour)):3
}

@test "2038: across the end of 32 bits" {
	wait_and_arrive $((0x7fffffff - 100)) $((0x7fffffff - 100)):5000:1 $((0x7fffffff - 50)):5050:1 $((0x80000000 + 100)):5200:1 \
		$((0x80000000 + hour)):$((2 * hour)):2
}

@test "2080 and after: dates and waits" {
	wait_and_arrive 3471292800 3471292800:5000:1 3471292900:5100:1 $((3471292800 + 3 * hour)):$((3 * hour)):2
}

@test "three days back: in one boot, and across a reboot" {
	wait_and_arrive $today $today:9000:1 $((today + 60)):9060:1 $((today - 3 * day)):9300:1 $((today - 3 * day + hour)):12900:1
	wait_and_arrive $today $today:9000:1 $((today + 60)):9060:1 $((today - 3 * day)):300:2 $((today - 3 * day + 2 * hour)):7500:2 \
		$((today + 3 * hour)):$((2 * hour)):3
}

@test "56 years on while mail is queued: in one boot, and in the first hour of another" {
	wait_and_arrive $today $today:9000:1 $((today + 60)):9060:1 $((today + 56 * year)):9300:1 $((today + 56 * year + 60)):9360:1
	wait_and_arrive $today $today:9000:1 $((today + 60)):9060:1 $((today + 56 * year)):600:2 $((today + hour)):$((2 * hour)):2
	wait_and_arrive $today $today:9000:1 $((today + 60)):9060:1 $((today + 56 * year)):600:2 $((today + hour)):$((2 * hour)):3
}

@test "56 years on for hours, in a boot and in three: it gives nobody up" {
	wait_and_arrive $today $today:9000:1 $((today + 60)):9060:1 $((today + 56 * year)):100:2 $((today + 56 * year + 200)):300:2 \
		$((today + 56 * year + 4000)):4100:2 $((today + 56 * year + 4100)):4200:2
	wait_and_arrive $today $today:9000:1 $((today + 56 * year)):100:2 $((today + 56 * year + 100)):200:2 \
		$((today + 56 * year)):100:3 $((today + hour)):100:4 $((today + hour + 4000)):4100:4
}

@test "the first attempt after the clock was set, and of a boot, gives nobody up" {
	wait_and_arrive $today $today:9000:1 $((today + 60)):9060:1 $((today + 120)):100:2 $((today + 56 * year)):7200:2 \
		$((today + 2 * hour)):7260:2 $((today + 3 * hour)):10860:2
	no_server 'queue_lifetime 1d'
	born="$today 100 1"
	submit a@x.example
	try_at $((today + 10)) 110
	try_at 5000 5000 2
	try_at $((today + 6 * day)) $((2 * hour)) 2
	try_at $((today + 6 * day)) $((3 * hour)) 3
	same "$(spool_states) $(lines deferred) $(lines warning)" 'Q 4 0'
	try_at $((today + 6 * day + 60)) $((3 * hour + 60)) 3
	spool_is ''
	report 'told[0]["Action"] == "failed"' 'told[0]["Status"] == "5.4.7"'
}

@test "56 years on, three days back, 1970, while the runner sleeps: it goes on trying" {
	no_server 'retry_min 1s' 'retry_max 1s'
	mkdir "mail/$me"
	born="$today $((2 * hour))"
	submit -f ann@far.example "$me"
	at "$today" $((2 * hour))
	clocked deliver -C "$conf" -q15m &
	for wall in $today $((today + 56 * year)) $((today - 3 * day)) 100 $today; do
		at "$wall" $((2 * hour + SECONDS))
		before=$(lines deferred)
		wait_for '[ "$(lines deferred)" -ge $((before + 2)) ]'
	done
	same "$(spool_states) $(lines warning) $(lines bounce) $(lines failed)" 'Q 0 0 0'
	rmdir "mail/$me"
	wait_for queue_is_empty
	report "abs(seconds(m['Date']) - $today) < 60"
}

@test "a clock that was never set: what boots have seen counts, for the warning and for the end" {
	no_server
	born='100 100 1'
	submit a@x.example
	try_at 200 200
	try_at $((5 * hour)) $((5 * hour))
	delivered 1
	report 'told[0]["Action"] == "delayed"' 'told[0]["Will-Retry-Until"] is None' \
		'told[0]["Last-Attempt-Date"] is None' "seconds(m['Date']) == 100"
	rm "mail/$me"
	try_at $((6 * day)) $((6 * day))
	report 'told[0]["Action"] == "failed"' 'told[0]["Status"] == "5.4.7"'
}
