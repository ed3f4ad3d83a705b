#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Mail that cannot be delivered now waits, is tried again, and costs nothing in between.
load helper

# The mailbox cannot be written to, until it is mended.
break_mailbox() { mkdir "mail/${1:-$me}"; }
mend_mailbox() { rmdir "mail/${1:-$me}"; }

# Clock ticks that process $1 has used, and how often it has slept.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }
sleeps() { awk '/^voluntary/ { print $2 }' "/proc/$1/status"; }

# A second passes for everybody.
second_passes() {
	local start=${EPOCHREALTIME/[.,]/}
	wait_for '[ $((${EPOCHREALTIME/[.,]/} - start)) -ge 1000000 ]'
}

@test "a deferral shows in mailq, with reason and next attempt" {
	break_mailbox
	send -odi "$me"
	expect 0 mailq
	grep -qE "\(.*$S/mail/$me: Is a directory; next attempt in [1-9][0-9a-z ]*\)$" out || fail "$(cat out)"
	logged 'dsn=4.'
	logged 'status=deferred'
}

@test "sendmail -q tries at once, again and again" {
	break_mailbox
	send -odi "$me"
	for n in 2 3; do
		expect 0 sendmail -q
		wait_for "[ \$(grep -c '^deferred' \$(message)) = $n ]"
	done
	mend_mailbox
	expect 0 sendmail -q
	wait_for queue_is_empty
	delivered 1
}

@test "the waits grow by half each time" {
	break_mailbox
	send -odq "$me"
	for n in 1 2 3 4; do
		flush
		expect 0 mailq
		sed -n 's/.*next attempt in \([0-9a-z ]*\).*/\1/p' out
	done | awk '{ s = 0; for (i = 1; i <= NF; i++) s += $i * ($i ~ /m/ ? 60 : $i ~ /h/ ? 3600 : 1)
		low = 60 * 1.5 ^ (NR - 1) * 0.85 - 60; high = 60 * 1.5 ^ (NR - 1) * 1.15
		if (s < low || s > high) print NR, $0, s }
		END { if (NR != 4) print NR " waits" }' >wrong
	is_empty wrong
}

@test "without being asked, the runner tries again when it is time" {
	write_conf 'retry_min 1s'
	break_mailbox
	send -odi "$me"
	pid=$(runner)
	wait_for '[ $(grep -c "^deferred" $(message)) -ge 2 ]'
	mend_mailbox
	wait_for queue_is_empty
	delivered 1
	[ -n "$pid" ]
	wait_for is_over
}

@test "the runner exits when the queue is empty" {
	send "$me"
	wait_for queue_is_empty
	wait_for is_over 5
}

@test "the runner sleeps while mail waits" {
	break_mailbox
	send -odi "$me"
	pid=$(runner)
	wait_for "grep -q '^deferred' $(message) && [ \"\$(processes $S)\" = $pid ]"
	second_passes
	before="$(ticks "$pid") $(sleeps "$pid") $(cksum <log) $(stat -c %y "$(message)")"
	second_passes
	same "$(ticks "$pid") $(sleeps "$pid") $(cksum <log) $(stat -c %y "$(message)")" "$before"
	same "$(runner)" "$pid"
}

# Deferred letters, besides the one that is there.
multiply() {
	local file n
	file=$(message)
	for n in $(seq -f %08.0f "$1"); do cp "$file" "${file:0:-8}$n"; done
}

@test "it sleeps in less than 200 kB, with one message or a thousand" {
	break_mailbox
	write_conf 'spool_count_limit 0'
	for count in 0 1000; do
		send -odq "$me"
		multiply $count
		send -odi "$me"
		pid=$(runner)
		wait_for "! grep -L '^deferred' $spool/Q* | grep -q . && [ \"\$(processes $S)\" = $pid ]" 60
		wait_for "[ \"\$(awk '/^Rss:/ { print (\$2 < 200) }' /proc/$pid/smaps_rollup)\" = 1 ]" 5
		kill "$pid"
		wait_for is_over
		rm "$spool"/Q*
	done
}

@test "asleep with deferred mail: not one system call, nothing written" {
	type strace >/dev/null || skip 'needs strace'
	break_mailbox
	send -odi "$me"
	send -odi "$me"
	pid=$(runner)
	wait_for "[ \"\$(processes $S)\" = $pid ] && [ \$(grep -l ^deferred $spool/Q* | wc -l) = 2 ]"
	second_passes
	listed() { find "$S" ! -path "$S/out" ! -path "$S/before" ! -path "$S" -printf '%p %s %C@\n' | sort; }
	listed >before
	timeout 3 strace -f -o "$S/out" -p "$pid" 2>/dev/null || true
	grep -q 'detached' out || fail "it was not seen"
	same "$(wc -l <out)" 1
	diff before <(listed)
}

@test "a retry appends at most 200 bytes, and writes nothing else" {
	break_mailbox
	send -odq -f "$(printf %0200d 0)@x.example" "$me"
	flush
	for n in 1 2 3; do
		size=$(stat -c %s "$(message)")
		cp "$(message)" before
		flush
		cmp -n "$size" before "$(message)"
		[ $(($(stat -c %s "$(message)") - size)) -le 200 ]
		spool_is Q
	done
}

@test "the runner keeps none of its caller's descriptors" {
	exec 5>lock
	flock 5
	break_mailbox
	send -odi "$me"
	exec 5>&-
	flock -n lock true || fail "the caller's lock is still held"
	same "$(find "/proc/$(runner)/fd" -lname "$S/*" ! -lname "$S/spool*" ! -lname "$S/log")" ''
	same "$(readlink "/proc/$(runner)/cwd")" /
}

@test "mail for others goes on, with the same runner" {
	needs_root 'a second mailbox'
	break_mailbox daemon
	send -odi daemon
	pid=$(runner)
	send "$me"
	wait_for "[ \$(mail_count) = 1 ]"
	same "$(runner)" "$pid"
	spool_is Q
}

@test "defer: delivers only when -q says so" {
	write_conf 'defer yes'
	send "$me"
	send -odb "$me"
	send -odi "$me"
	spool_is QQQ
	is_over
	expect 0 sendmail -q
	wait_for queue_is_empty
	delivered 3
}

@test "defer: one attempt for each message, then the runner goes" {
	write_conf 'defer yes' 'retry_min 1s'
	break_mailbox
	send "$me"
	expect 0 timeout 10 "$MTABOX" deliver -q -C "$conf"
	same "$(grep -c '^deferred' "$(message)")" 1
	expect 0 sendmail -q
	wait_for is_over 5
	same "$(grep -c '^deferred' "$(message)")" 2
	mend_mailbox
	expect 0 deliver -q
	delivered 1
}

@test "two recipients, one waits: the other gets one copy" {
	needs_root 'two mailboxes'
	break_mailbox daemon
	send -odq "$me" daemon
	flush
	flush
	delivered 1
	expect 0 mailq
	same "$(sed -n '4s/^ *//p' out)" daemon
	same "$(tail -n 1 out)" '-- 1 Kbytes in 1 Request.'
	mend_mailbox daemon
	flush
	spool_is ''
	delivered 1
	delivered 1 daemon
}

@test "a final verdict names its recipients: no other line's damage makes it another's" {
	needs_root "two mailboxes"
	mkdir "mail/$me"
	send -odq -N success daemon
	flush
	grep -qE '^sent ([^ ]+ ){4}0 2\.0\.0 ' "$(message)" || fail "$(cat "$(message)")"
	grep -qE '^deferred ([^ ]+ ){4}\* ' "$(message)" || fail "$(cat "$(message)")"
}

@test "with defer the runner ends, also where what was locked turns out to be none of ours" {
	write_conf 'defer yes'
	send "$me"
	exec 5<"$(message)"
	flock 5
	"$MTABOX" deliver -q -C "$conf" 5<&- 3>&- &
	local runner=$!
	second_passes
	[ -e "/proc/$runner/exe" ]
	ln "$(message)" elsewhere
	exec 5<&-
	wait_for '! [ -e "/proc/$runner/exe" ]'
	logged 'not a file that we deliver'
	delivered 0
}

# --- who may write to a mailbox -------------------------------------------------------------

@test "a lock of another program is waited for: flock" {
	touch "mail/$me"
	exec 5<"mail/$me"
	flock 5
	send "$me"
	second_passes
	spool_is Q
	is_empty "mail/$me"
	exec 5<&-
	wait_for queue_is_empty
	delivered 1
}

@test "who waits for a lock keeps one worker, and nobody else's mail" {
	needs_root "two mailboxes"
	write_conf 'workers 2'
	touch "mail/$me"
	exec 5<"mail/$me"
	flock 5
	for n in 1 2 3; do send -odq "$me"; done
	send -odq daemon
	send nobody 5<&-
	wait_for '[ "$(mail_count daemon) $(mail_count nobody)" = "1 1" ]'
	same "$(spool_states)" QQQ
	is_empty "mail/$me"
	exec 5<&-
	wait_for queue_is_empty
	delivered 3
}

@test "a mailbox that cannot be used is tried for one message, and the others wait" {
	mkdir "mail/$me"
	for n in 1 2 3; do send -odq "$me"; done
	flush
	spool_is QQQ
	same "$(grep -c 'relay=local, .*status=deferred' log)" 1
	same "$(grep -c 'relay=none, .*status=deferred' log)" 2
	rmdir "mail/$me"
	flush
	spool_is ''
	delivered 3
}

@test "a lock of another program is waited for: .lock" {
	echo 12345 >"mail/$me.lock"
	send "$me"
	second_passes
	spool_is Q
	rm "mail/$me.lock"
	wait_for queue_is_empty
	delivered 1
	[ ! -e "mail/$me.lock" ]
}

@test "a .lock that was forgotten long ago does not stop mail" {
	touch -d '1 hour ago' "mail/$me" "mail/$me.lock"
	send "$me"
	wait_for queue_is_empty 5
	delivered 1
	[ ! -e "mail/$me.lock" ]
}

@test "a mailbox that is no plain file of its user: the mail waits, nothing is written" {
	echo precious >precious
	while IFS='|' read -r make why; do
		eval "$make"
		send -odq "$me"
		flush
		spool_is Q
		has "$(message)" "$why"
		same "$(cat precious)" precious
		rm -rf "mail/$me" "$(message)"
	done <<-'END'
	ln -s ../precious "mail/$me"|is a symbolic link
	ln -s ../new "mail/$me"|is a symbolic link
	ln precious "mail/$me"|has a second name
	mkfifo "mail/$me"|is not a regular file
	END
	[ ! -e new ]
}

@test "a mailbox of somebody else: the mail waits" {
	needs_root 'a file of somebody else'
	echo >mail/daemon
	send -odq daemon
	flush
	spool_is Q
	has "$(message)" 'deferred'
	same "$(cat mail/daemon)" ''
}

@test "not root: mail for another user waits, and says why" {
	cp "$MTABOX" mtabox
	chmod 666 conf
	mkdir -m 700 spool
	touch log
	chmod 666 log
	[ "$(id -u)" != 0 ] || chown nobody spool
	letter | as_nobody ./mtabox sendmail -C "$conf" -odq daemon
	as_nobody ./mtabox deliver -C "$conf" -q -O defer=yes
	expect 0 as_nobody ./mtabox mailq -C "$conf"
	prints 'only root can deliver'
}

@test "the system has no process for a delivery: the runner waits, and does not spin" {
	cp "$MTABOX" mtabox
	write_conf 'smarthost smtp://127.0.0.1:1'
	mkdir -m 700 spool
	touch log
	chmod 666 log
	[ "$(id -u)" != 0 ] || chown nobody spool
	letter | as_nobody ./mtabox sendmail -C "$conf" -odq a@x.example
	# Ended by its time of 1 s on the processor, or else by the clock.
	expect 124 as_nobody timeout 3 prlimit --cpu=1 prlimit --nproc=1 \
		./mtabox deliver -C "$conf" -q
	spool_is Q
	logged 'status=deferred (starting a delivery process: '
}

# --- stopping -------------------------------------------------------------------------------

@test "SIGTERM: the runner goes at once, the mail stays" {
	break_mailbox
	send -odi "$me"
	kill "$(runner)"
	wait_for is_over 5
	spool_is Q
	mend_mailbox
	flush
	delivered 1
}

@test "SIGTERM while a delivery waits for a lock: within 5 seconds, the mail stays" {
	echo 12345 >"mail/$me.lock"
	send "$me"
	kill "$(runner)"
	wait_for is_over 8
	spool_is Q
	rm "mail/$me.lock"
	flush
	delivered 1
}

@test "deliver -q15m stays when the queue is empty, and takes new mail" {
	"$MTABOX" deliver -q15m -C "$conf" &
	wait_for '[ -n "$(runner)" ]'
	send "$me"
	wait_for queue_is_empty
	delivered 1
	same "$(runner)" "$!"
	kill $!
	wait $! || fail "exit status $?"
}

@test "a log file that is rotated: the runner that stays writes to the new one" {
	"$MTABOX" deliver -q15m -C "$conf" &
	wait_for '[ -n "$(runner)" ]'
	send "$me"
	wait_for queue_is_empty
	mv log log.1
	cp log.1 before
	kill -HUP $!
	wait_for '[ -e log ]'
	send "$me"
	wait_for 'grep -q status=sent log'
	cmp log.1 before
	rm log
	send "$me"
	wait_for 'grep -q status=sent log'
	kill $!
	wait $! || fail "exit status $?"
}

@test "-v into a pipe that nobody reads: the queue goes on" {
	for n in {1..150}; do letter | sendmail -odq "$me"; done
	expect 0 timeout 60 /usr/bin/python3 -ISB - "$MTABOX" "$conf" "$me" <<-'EOF'
	import subprocess, sys
	mtabox, conf, me = sys.argv[1:]
	p = subprocess.Popen([mtabox, "sendmail", "-C", conf, "-v", me], stdin=subprocess.PIPE,
	                     stderr=subprocess.PIPE)
	p.stdin.write(b"Subject: x\n\n" + b"x\n")
	p.stdin.close()
	subprocess.run(["sh", "-c", """until [ "$(grep -c status=sent log)" = 151 ]; do sleep .05; done"""])
	EOF
	wait_for queue_is_empty
	delivered 151
}

@test "deliver -q beside another runner: tells it, and exits with 0" {
	break_mailbox
	send -odi "$me"
	pid=$(runner)
	mend_mailbox
	expect 0 timeout 10 "$MTABOX" deliver -q -C "$conf"
	wait_for queue_is_empty
	delivered 1
}

@test "a new configuration is read by the runner that waits" {
	break_mailbox
	send -odi "$me"
	sed "s,/%u,/new-%u," conf >new.conf
	mv new.conf conf
	expect 0 sendmail -q
	wait_for queue_is_empty
	delivered 1 "new-$me"
	logged 'configuration read again'
}

@test "a new configuration that is bad changes nothing" {
	break_mailbox
	send -odi "$me"
	{ sed "s,/%u,/new-%u," conf; echo 'tls_verify maybe'; } >new.conf
	mv new.conf conf
	touch spool/runner
	wait_for "[ \$(grep -c '^deferred' \$(message)) -ge 2 ]"
	[ ! -e "mail/new-$me" ]
	logged 'conf line 6: tls_verify'
}

@test "what is too old bounces, after a last attempt" {
	read -r uptime _ </proc/uptime
	[ "${uptime%.*}" -gt 3700 ] || skip 'a device that is up for less than an hour bounces nothing'
	write_conf 'queue_lifetime 1s' 'defer yes'
	break_mailbox
	send -f "$me" "$me"
	flush
	second_passes; second_passes
	flush
	grep -q '^failed .* 5[.]4[.]7 0 ' "$(message)" || fail "$(tail -n 5 "$(message)")"
	grep -q '^bounce ' "$(message)"
}
