#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# mailq -d, -h, -H, -i, -c: an operator's hands in the queue, and which messages he means.

load helper
load relay

setup_file() { export certs=$BATS_FILE_TMPDIR; }

servers=()

# One attempt for everything that waits; relay.bash has another idea of it.
flush() { expect 0 timeout 60 "$MTABOX" deliver -q -C "$conf" -O defer=yes; }

# Three messages, one each from ann and two from bob, that nobody delivers.
three() {
	write_conf 'defer yes' "$@"
	letter one | expect 0 sendmail -odq -f ann@far.example joe@x.example
	letter two | expect 0 sendmail -odq -f bob@far.example ann@y.example
	letter three | expect 0 sendmail -odq -f bob@far.example jim@x.example tom@z.example
	spool_is QQQ
	one=$(id_of one) two=$(id_of two) three=$(id_of three)
}

# The id of the message with that word.
id_of() { basename "$(grep -lx "$1" "$spool"/[QHC]*)" | cut -c2-; }

# There is such a message in that state.
is() { [ -e "$spool/$1$2" ] || fail "no $1$2:" "$(ls "$spool")"; }

# --- which messages -------------------------------------------------------------------------

@test "a listing of some: by id, sender, recipient; the total is of these" {
	three
	expect 0 mailq "$two" "$one"
	same "$(grep -o '^01[0-9a-v]*' out | paste -sd' ')" "$two $one"
	prints 'in 2 Requests.'
	expect 0 mailq -R X.Example
	prints "$one"
	prints "$three"
	has_not out "$two"
	expect 0 mailq -S bob -R x.example
	prints 'in 1 Request.'
	prints "$three"
	expect 0 mailq ALL
	prints 'in 3 Requests.'
}

@test "none that is meant: 65, and not a word of an empty queue" {
	three
	for arguments in "-R nobody" "-S nobody" "-R joe -S bob" 0123456789abcdef ../Q "-j -R nobody"; do
		expect 65 mailq $arguments
		says 'no such message'
		is_empty out
	done
	expect 65 mailq "$one" nonsense
	says 'nonsense: no such message'
	prints 'in 1 Request.'
}

@test "a verb without messages, two verbs, text that is empty: 64, and nothing happens" {
	three
	for arguments in -d -h -H -i -c "-d -h ALL" "-dj ALL" "-d ALL $one" "-d -k ALL" "-d -R"; do
		expect 64 mailq $arguments
	done
	expect 64 mailq -d -R '' "$one"
	expect 64 mailq -d -S '' ALL
	spool_is QQQ
}

# --- verbs ----------------------------------------------------------------------------------

@test "-d: gone, said, and one line in the log" {
	three
	expect 0 mailq -d "$one"
	same "$(cat out)" "$one: deleted"
	spool_is QQ
	logged "$one: deleted by $(id -un), from=<ann@far.example>, to=<joe@x.example>"
	same "$(grep -c deleted log)" 1
	expect 65 mailq -d "$one"
	says "$one: no such message"
}

@test "-d ALL: all, held and unreadable ones too; of an empty queue nothing, 0" {
	three
	mailq -h "$two"
	echo x >"spool/C0000000000000001"
	expect 0 mailq -d ALL
	spool_is ''
	same "$(grep -c ': deleted' out)" 4
	logged "0000000000000001: deleted by $(id -un), from=<?>"
	expect 0 mailq -d ALL
	silent
}

@test "-d -R, -d -S: those, and no others" {
	three
	expect 0 mailq -d -R x.example
	spool_is Q
	is Q "$two"
	expect 0 mailq -d -S BOB@
	spool_is ''
}

@test "-h, -H: held, never tried; released, and as it was" {
	three
	cp "$spool/Q$two" before
	expect 0 mailq -h "$two"
	same "$(cat out)" "$two: held"
	is H "$two"
	logged "$two: held by $(id -un), from=<bob@far.example>, to=<ann@y.example>"
	expect 0 mailq "$two"
	prints "$two!"
	flush
	cmp "$spool/H$two" before
	expect 65 mailq -h "$two"
	says "$two: is held"
	expect 65 mailq -i "$two"
	says "$two: is held"
	expect 0 mailq -H "$two"
	same "$(cat out)" "$two: released"
	cmp "$spool/Q$two" before
	expect 65 mailq -H "$two"
	says "$two: is not held"
}

@test "-h ALL, -H ALL: whatever is in the other state stays as it is" {
	three
	mailq -h "$two"
	expect 0 mailq -h ALL
	same "$(wc -l <out)" 2
	spool_is HHH
	expect 0 mailq -H -S bob
	spool_is HQQ
	is H "$one"
}

@test "several: each has its line, one that fails stops no other, the worst status counts" {
	three
	flock "$spool/Q$two" cat <(sleep 60) >/dev/null & 
	wait_for '! flock -n "$spool/Q$two" true'
	expect 65 mailq -d "$two" nonsense "$one"
	says "$two: is being delivered"
	says "nonsense: no such message"
	same "$(cat out)" "$one: deleted"
	expect 75 mailq -h "$two"
	expect 75 mailq -h ALL
	same "$(cat out)" "$three: held"
	end_processes
	spool_is HQ
}

@test "a message that is locked counts only where it is meant" {
	three
	flock "$spool/Q$two" cat <(sleep 60) >/dev/null &
	wait_for '! flock -n "$spool/Q$two" true'
	expect 0 mailq -h -R x.example
	expect 75 mailq -h -R y.example
	end_processes
	spool_is HHQ
}

@test "a directory that cannot be written to: 74, and nothing is said to be done" {
	needs_root 'mounts'
	three
	expect 74 unshare -m sh -c 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"' \
		"$spool" "$MTABOX" mailq -C "$conf" -d ALL
	is_empty out
	says 'cannot delete it: Read-only file system'
	spool_is QQQ
}

@test "what is in the queue's way cannot be locked, and stays" {
	three
	mkdir "spool/Q0000000000000001"
	ln -s "$one" "spool/Q0000000000000002"
	mkfifo "spool/Q0000000000000003"
	expect 74 mailq -d 000000000000000{1,2,3}
	is_empty out
	is Q 0000000000000001
	expect 0 mailq
	same "$(grep -c '(cannot be read: not a file that we deliver)' out)" 3
	is_empty err
}

@test "one that cannot be opened or read now: why, and 74; 75 where that may pass" {
	three
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	for verb in "" -j -c; do
		expect 74 strace -qqq -o /dev/null -P "$spool/Q$two" -e inject=pread64:error=EIO \
			"$MTABOX" mailq -C "$conf" $verb ALL
		says "$two: I/O error"
		prints 'I/O error'
		prints "$one"
		prints "$three"
	done
	strace -qqq -o trace -e trace=openat "$MTABOX" mailq -C "$conf" >/dev/null
	n=$(grep -n "$two" trace | cut -d: -f1)
	expect 74 strace -qqq -o /dev/null -e inject=openat:error=EACCES:when="$n" \
		"$MTABOX" mailq -C "$conf" ALL
	prints '(cannot be read: Permission denied)'
	expect 75 strace -qqq -o /dev/null -e inject=openat:error=EMFILE:when="$n" \
		"$MTABOX" mailq -C "$conf" -R x.example
	says "$two: No file descriptors available"
	prints 'in 2 Requests.'
}

# attempted FILE: a runner has looked at it.
attempted() {
	/usr/bin/python3 -ISB - "$1" <<-'END'
	import sys, zlib
	line = b"facts 1795341236 86402123 5f3a9c0d11e2b3a4 1 * 1795341236 x@y host"
	crc = zlib.crc32(sys.argv[1][-16:].encode() + line)
	open(sys.argv[1], "ab").write(line + b" %08x\n" % crc)
	END
}

# strange: none of them is one of ours, however it is listed.
strange() {
	expect 0 mailq
	same "$(grep -c '(cannot be read: not a file that we deliver)' out)" 3
	prints 'in 3 Requests.'
	expect 0 mailq -j
	same "$(grep -c '"unreadable": "not a file that we deliver"' out)" 3
}

@test "a second name, while nobody has tried it: listed with the reason; later with its history" {
	three
	for id in "$one" "$two" "$three"; do ln "$spool/Q$id" "other$id"; done
	strange
	for id in "$one" "$two" "$three"; do attempted "$spool/Q$id"; done
	expect 0 mailq
	same "$(grep -c 'not tried yet' out)" 4
	expect 0 mailq -c ALL
	prints 'not a file that we deliver'
	for id in "$one" "$two" "$three"; do mv "$spool/Q$id" "$spool/C$id"; done
	strange
	expect 0 mailq
	prints "$one#"
}

@test "somebody else's file, while nobody has tried it: listed with the reason; later with its history" {
	needs_root 'a file of somebody else'
	three
	chown daemon "$spool"/Q*
	strange
	for id in "$one" "$two" "$three"; do attempted "$spool/Q$id"; done
	expect 0 mailq
	same "$(grep -c 'not tried yet' out)" 4
	flush
	logged 'not a file that we deliver, left alone'
	spool_is QQQ
}

@test "who and how many names is not asked for what was tried: three system calls for each" {
	three
	for id in "$one" "$two" "$three"; do attempted "$spool/Q$id"; done
	strace -qqq -o trace -e trace=file,desc "$MTABOX" mailq -C "$conf" >/dev/null ||
		skip 'strace may not trace here'
	same "$(grep -A2 "openat.*$two" trace | cut -d'(' -f1 | paste -sd' ')" 'openat pread64 close'
}

@test "no verb on another user's queue" {
	needs_root 'another user'
	three
	for verb in "" -j -c -d -h -H -i; do
		expect 73 as_nobody "$MTABOX" mailq -C "$conf" $verb ALL
		is_empty out
		expect 73 as_nobody "$MTABOX" mailq -C "$conf" $verb "$one"
		is_empty out
	done
	expect 73 as_nobody "$MTABOX" sendmail -C "$conf" -qI"$one"
	spool_is QQQ
}

# --- -i, and who is woken -------------------------------------------------------------------

# A server, and two messages that were tried a moment ago without it.
tried() {
	relay "smtp://127.0.0.1:1" "retry_min 1h"
	letter one | expect 0 sendmail -odq -f ann@far.example joe@x.example
	letter two | expect 0 sendmail -odq -f bob@far.example ann@y.example
	flush
	one=$(id_of one) two=$(id_of two)
	serve server
	write_conf "smarthost smtp://127.0.0.1:$port" "retry_min 1h"
}

arrived() { wait_for "[ \$(find '$S/server' -name 'mail.*' | wc -l) = $1 ]"; }

@test "-i: tried now, and no other" {
	tried
	expect 0 mailq -i "$two"
	same "$(cat out)" "$two: due now"
	arrived 1
	wait_for '[ ! -e "$spool/Q$two" ]'
	is Q "$one"
}

@test "-i ALL, with a runner at work" {
	tried
	letter | expect 0 sendmail -odb -O workers=1 far@w.example
	wait_for '[ -n "$(runner)" ]'
	expect 0 mailq -i ALL
	arrived 3
	wait_for is_over
}

@test "-H: what is released is tried at once" {
	tried
	expect 0 mailq -h ALL
	spool_is HH
	expect 0 mailq -H -R joe
	arrived 1
	wait_for '[ ! -e "$spool/Q$one" ]'
	is H "$two"
}

@test "-H: a bounce that nobody takes, once somebody does" {
	write_conf 'postmaster nobody-here' 'defer yes'
	letter | accepted -f '' no-such-user
	flush
	spool_is H
	expect 0 mailq
	prints '!'
	write_conf "bounce_to $me"
	expect 0 mailq -H ALL
	wait_for is_over
	spool_is ''
	delivered 1
}

@test "an operator at work while all is delivered: each message goes one way, once" {
	local n
	for n in $(seq 40); do
		letter "number $n." | expect 0 sendmail -odq -f "$([ $((n % 2)) = 0 ] && echo even || echo odd)@x.example" "$me"
	done
	expect 0 sendmail -q
	: >deleted
	while ! queue_is_empty; do
		mailq -h -S even >>done 2>&1 || true
		mailq -d -S odd 2>>done >>deleted || true
		mailq -H ALL >>done 2>&1 || true
	done
	wait_for is_over
	has done ': held'
	delivered $((40 - $(wc -l <deleted)))
	same "$(grep -c '^number [0-9]*[02468]\.$' "mail/$me")" 20
	same "$(grep '^number' "mail/$me" | sort | uniq -d)" ''
}

# --- -c -------------------------------------------------------------------------------------

@test "-c: envelope, history in words, content; nothing that steers a terminal" {
	printf 'Subject: \033[31mred\303\274\n\n\377\tx\r\n' | expect 0 sendmail -odq -f ann@far.example "$me"
	mkdir "mail/$me"
	flush
	one=$(basename "$spool"/Q*)
	expect 0 mailq -c "${one#Q}"
	prints 'sender ann@far.example'
	prints "rcpt $me"
	grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} deferred \* 4\.2\.0 0 opening' out
	prints 'Subject: ?[31mredü'
	same "$(tail -n 1 out)" "?$(printf '\tx')"
	spool_is Q
}

@test "-c: a large one, whatever is where its pieces meet" {
	{ printf 'Subject: x\n\n'; for n in $(seq 600); do printf 'ab€ü%s' "$n"; done; echo; } >letter
	expect 0 sendmail -odq "$me" <letter
	expect 0 mailq -c ALL
	tail -n 3 out | cmp - letter
}

@test "-c: a file that becomes shorter meanwhile: said, 74, and an end" {
	{ printf 'Subject: x\n\n'; yes 'a line of text' | head -c 1000000; } >letter
	expect 0 sendmail -odq "$me" <letter
	mkfifo pipe
	timeout 20 "$MTABOX" mailq -C "$conf" -c ALL >pipe 2>err &
	exec 4<pipe
	head -c 100 <&4 >/dev/null
	truncate -s 300000 "$(message)"
	cat <&4 >rest
	exec 4<&-
	status=0
	wait $! || status=$?
	same $status 74
	says 'it has become shorter meanwhile'
	[ "$(wc -c <rest)" -lt 310000 ]
}

@test "-c: a file that is no message, and a line of a journal that is not believed" {
	send -odq "$me"
	echo 'deferred nonsense' >>"$(message)"
	printf 'he\033llo\n' >spool/C0000000000000001
	expect 0 mailq -c ALL
	prints 'not believed: deferred nonsense'
	prints '0000000000000001#'
	prints 'he?llo'
	expect 65 mailq -H 0000000000000001
	says 'cannot be read'
	expect 65 mailq -h 0000000000000001
	spool_is CQ
}

# --- JSON -----------------------------------------------------------------------------------

# json PROGRAM: the lines that were printed, as the list q, satisfy it.
json() {
	/usr/bin/python3 -ISB - "$S/out" "$1" <<-'END' || fail "$(cat out)"
	import json, sys
	q = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8", newline="\n")]
	exec(sys.argv[2].strip())
	END
}

@test "-j: postqueue's names, one message on a line" {
	three
	mailq -h "$two"
	expect 0 mailq -j
	json "
assert [m['queue_name'] for m in q].count('incoming') == 2
m = next(m for m in q if m['queue_id'] == '$three')
assert list(m) == ['queue_name', 'queue_id', 'arrival_time', 'message_size', 'forced_expire', 'sender', 'recipients']
assert m['sender'] == 'bob@far.example' and m['message_size'] == 21 and m['forced_expire'] is False
assert [r['address'] for r in m['recipients']] == ['jim@x.example', 'tom@z.example']
assert next(m for m in q if m['queue_id'] == '$two')['queue_name'] == 'hold'"
	expect 0 mailq -j -S ann
	json "assert len(q) == 1 and q[0]['queue_id'] == '$one'"
}

@test "-j: an empty queue is nothing" {
	expect 0 mailq -j
	silent
}

@test "-j: reasons, a null sender, what cannot be read" {
	mkdir "mail/$me"
	send -odq -f '' "$me"
	flush
	echo x >spool/C0000000000000001
	expect 0 mailq -j
	json "
assert q[0] == dict(queue_name='corrupt', queue_id='0000000000000001', arrival_time=0, message_size=0,
forced_expire=False, sender='?', unreadable='the file ends too early', recipients=[]), q[0]
assert q[1]['queue_name'] == 'deferred' and q[1]['sender'] == 'MAILER-DAEMON'
assert 'Is a directory' in q[1]['recipients'][0]['delay_reason']"
}

@test "-j: hostile words stay within their strings" {
	send -odq "$me"
	/usr/bin/python3 -ISB - "$(message)" <<-'END'
	import sys, zlib
	line = b'deferred 1795341236 86402123 5f3a9c0d11e2b3a4 1 0 4.4.1 0 "}]\\ \xff\xc2\x9b\xed\xa0\x80\x00\x1b \xe2\x82\xac'
	crc = zlib.crc32(sys.argv[1][-16:].encode() + line)
	open(sys.argv[1], "ab").write(line + b" %08x\n" % crc)
	END
	expect 0 mailq -j
	json 'assert "\"}]\\ \ufffd" in q[0]["recipients"][0]["delay_reason"], q'
	! LC_ALL=C grep -q '[[:cntrl:]]' out
}

# --- kills and errors at every call ---------------------------------------------------------

# Calls that a verb makes, and how often it makes each: lines "CALL COUNT".
calls_of() {
	strace -qqq -o trace -e trace=openat,flock,fstat,newfstatat,pread64,renameat2,unlinkat,fsync,utimensat,write,close \
		"$MTABOX" mailq -C "$conf" "$1" ALL >/dev/null
	sed 's/(.*//' trace | sort | uniq -c | awk '{print $2, $1}'
}

# restore: the queue as it was.
restore() {
	rm -rf "$spool"
	cp -a "$S/template" "$spool"
}

# intact VERB: each message is as it was or as asked, whole; what is said to be done, is.
intact() {
	local file id from=Q to=$2
	for file in "$S"/template/?[0-9a-v]*; do
		from=$(basename "$file" | cut -c1)
		id=$(basename "$file" | cut -c2-)
		if grep -q "^$id: " out; then
			[ ! -e "$spool/$from$id" ] || fail "$1: said, and not done"
		fi
		if [ -e "$spool/$from$id" ]; then
			[ ! -e "$spool/$to$id" ] || fail "$1: there twice"
			cmp "$spool/$from$id" "$file"
		elif [ "$to" != - ]; then
			cmp "$spool/$to$id" "$file"
		fi
	done
}

# disturb VERB TO: that verb on all, with a kill and with an error at each call in turn.
disturb() {
	local call count n
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	restore
	calls_of "$1" >calls
	has calls fsync
	while read -r call count; do
		for n in $(seq "$count"); do
			restore
			strace -qqq -o /dev/null -e "inject=$call:signal=KILL:when=$n" \
				"$MTABOX" mailq -C "$conf" "$1" ALL >out 2>err && fail "$call $n: not killed"
			intact "$1: killed at $call $n" "$2"
			restore
			status=0
			strace -qqq -o /dev/null -e "inject=$call:error=EIO:when=$n" \
				"$MTABOX" mailq -C "$conf" "$1" ALL >out 2>err || status=$?
			intact "$1: EIO of $call $n" "$2"
			[ $status != 0 ] || [ "$(grep -c : out)" = 3 ] ||
				fail "$1: EIO of $call $n: status 0, and not all is done"
		done
	done <calls
}

@test "what is said to be done is on disk: the directory is synced in between" {
	three
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	for verb in -h -H -d; do
		expect 0 strace -qqq -o trace -e trace=renameat2,unlinkat,fsync,write \
			"$MTABOX" mailq -C "$conf" $verb ALL
		same "$(sed 's/(.*//; /write/d' trace | uniq -c | awk '{print $1, $2}' | paste -sd,)" \
			"3 $([ $verb = -d ] && echo unlinkat || echo renameat2),1 fsync"
		grep -A9 fsync trace | grep -q '^write(1, "01'
		! sed '/fsync/,$d' trace | grep -q '^write(1,' || fail 'said too early' "$(cat trace)"
	done
}

@test "-d, killed or with an error at each call: as it was, or gone" {
	three
	mv "$spool" template
	disturb -d -
}

@test "-h, killed or with an error at each call: as it was, or held" {
	three
	mv "$spool" template
	disturb -h H
}

@test "-H, killed or with an error at each call: as it was, or released" {
	three
	mailq -h ALL
	mv "$spool" template
	disturb -H Q
}
