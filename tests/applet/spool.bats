#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# The file of a message in the spool: include/envelope.h and include/journal.h say its form.
load helper

# What a journal line is made of, with its checksum; the number of lines on standard output.
check_journal() {
	/usr/bin/python3 -ISB - "$@" <<-'END'
	import re, sys, zlib
	text, name = open(sys.argv[1], "rb").read(), sys.argv[1][-16:].encode()
	offset, length = map(int, re.match(rb"mtabox 2 (\d{8}) (\d{12}) ", text).groups())
	journal = text[offset + length:]
	assert journal.endswith(b"\n") or not journal, journal[-80:]
	form = re.compile(rb"(facts|sent|deferred|failed|mailbox|bounce) \d+ \d+ [0-9a-f]{16} [01] "
	                  rb"(\*|\d+(-\d+)?(,\d+(-\d+)?)*) \S.* [0-9a-f]{8}")
	for line in journal.splitlines():
	    assert form.fullmatch(line), line
	    assert zlib.crc32(name + line[:-9]) == int(line[-8:], 16), line
	    assert len(line) < (200 if line.startswith(b"deferred") else 4096), line
	print(*[line.split()[0].decode() for line in journal.splitlines()])
	END
}

@test "the envelope, line by line" {
	printf 'Subject: x\nTo: a@x.example\n\nhell\303\266, more\n' |
		expect 0 sendmail -odq -f joe@x.example -F "Joe Q" "$me" bob@mail.example '"a b"@x.example'
	size=$(stat -c %s "$(message)")
	sed -e '/^$/q' -e 's/^arrived [0-9]* [0-9]* [0-9a-f]\{16\} 1$/arrived/' "$(message)" >got
	cat >want <<-END
	mtabox 2 $(printf '%08d %012d' $((size - 41)) 41) 8u--
	header to
	arrived
	submitter $(id -u)
	name Joe Q
	sender joe@x.example
	rcpt $me
	rcpt bob@mail.example
	rcpt "a b"@x.example

	END
	diff want got
}

@test "its first line has a fixed width, and says where the message is" {
	printf 'Subject: x\n\n%0500d\n' 0 | expect 0 sendmail -odq "$me"
	same "$(head -n 1 "$(message)" | wc -c)" 36
	read -r _ _ offset length facts <"$(message)"
	same "$((10#$offset + 10#$length))" "$(stat -c %s "$(message)")"
	same "$(tail -c "+$((10#$offset + 1))" "$(message)")" "$(printf 'Subject: x\n\n%0500d\n' 0)"
	same "$facts" -u--
}

@test "facts of the text: 8bit, UTF-8, NUL, a line that is too long for SMTP" {
	while read -r text want; do
		printf "$text" | expect 0 sendmail -odq "$me"
		same "$(sed -n 1s/.*\ //p "$(message)")" "$want"
		rm "$(message)"
	done <<-'END'
	\0 -un-
	\200 8---
	\303\244 8u--
	a\r\nbb\r\nc -u--
	%0998d -u--
	%0999d\r\nx -u-l
	x\n%01000d -u-l
	END
}

@test "reads well: head -20 is printable, whatever the arguments hold" {
	send -odq -F $'Joe\t\033[31m\nrcpt evil@x.example' "$me"
	for f in "$spool"/Q*; do
		! head -n 20 "$f" | LC_ALL=C grep -n '[^ -~]' || fail "a control character"
		! grep '^rcpt evil' "$f" || fail "a recipient of the name's own"
	done
}

@test "names: Q and 16 digits that sort by arrival; ours alone, whatever the umask" {
	umask 0
	send -odq "$me"
	[[ $(message) =~ /Q[0-9a-v]{16}$ ]]
	same "$(stat -c %a:%u "$(message)")" "600:$(id -u)"
	first=$(message)
	wait_for '[ "$(date +%s)" != "$(stat -c %Y "$first")" ]'
	send -odq "$me"
	set -- "$spool"/Q*
	same "$1" "$first"
}

@test "what is queued stays as it is: a deferral only appends" {
	mkdir "mail/$me"
	send -odq "$me"
	cp "$(message)" before
	flush
	cmp -n "$(stat -c %s before)" before "$(message)"
	[ "$(stat -c %s "$(message)")" -gt "$(stat -c %s before)" ]
}

@test "the journal: every line has its checksum" {
	mkdir "mail/$me"
	write_conf 'smarthost smtp://127.0.0.1:1'
	send -odq "$me" bob@x.example
	flush
	flush
	check_journal "$(message)" >lines
	has lines 'facts deferred'
	has lines 'deferred deferred'
}

@test "the journal: a failure, its bounce and where the bounce was to go" {
	mkdir "mail/$me"
	letter | accepted nobody-there
	flush
	same "$(check_journal "$(message)")" 'facts failed bounce deferred'
	same "$(sed -n 's/^bounce [0-9]* [0-9]* [0-9a-f]* 1 \(.*\) .*/\1/p' "$(message)")" "0 $me@router.example"
}

@test "a torn or forged journal line is skipped, and the next one begins a new line" {
	mkdir "mail/$me"
	send -odq "$me"
	flush
	printf 'sent 1795341301 86467123 5f3a9c0d11e2b3a4 1 0 2.0.0 0 forged 0badcafe\n' >>"$(message)"
	printf 'deferred 17953' >>"$(message)"
	expect 0 mailq
	prints 'Is a directory'
	flush
	same "$(grep -c '^deferred .*Is a directory' "$(message)")" 2
	rmdir "mail/$me"
	flush
	delivered 1
	spool_is ''
}

# The other end of a pipe, terminal or socket may have made it so.
@test "lengths around what is read at a time; a dot ends the message there, too" {
	mkfifo "$S/input"
	exec 9<>"$S/input"
	for length in 2047 2048 2049 4096 10239 10240 10241; do
		printf 'Subject: x\n\n%0*d\n' $((length - 13)) 7 >"$S/text"
		same "$(stat -c %s "$S/text")" "$length"
		expect 0 sendmail -odq -i "$me" <"$S/text"
		tail -c "$length" "$(message)" | cmp - "$S/text"
		rm "$(message)"
		# Whoever holds the pipe open may have more to say, but not to us.
		{ head -c $((length - 3)) "$S/text"; printf '\n.\n'; } | head -c "$length" >&9
		expect 0 timeout 60 "$MTABOX" sendmail -C "$conf" -odq "$me" <"$S/input"
		tail -c $((length - 2)) "$(message)" | cmp - <(head -c $((length - 3)) "$S/text"; echo)
		rm "$(message)"
	done
	exec 9>&-
}

@test "standard input and output that do not block" {
	expect 0 /usr/bin/python3 -ISB - "$MTABOX" "$conf" "$me" <<-'EOF'
	import os, subprocess, sys
	mtabox, conf, me = sys.argv[1:]
	for applet in ["-odq", "-i", me], ["-bs", "-odq"]:
	    there, out = os.pipe()
	    words, said = os.pipe()
	    os.set_blocking(there, False)
	    os.set_blocking(said, False)
	    p = subprocess.Popen([mtabox, "sendmail", "-C", conf, *applet], stdin=there, stdout=said)
	    os.close(there)
	    os.close(said)
	    text = b"Subject: x\n\n" + b"line\n" * 50000
	    if applet[0] == "-bs":
	        text = b"NOOP\r\n" * 50000 + b"QUIT\r\n"
	    # It has to wait for us, and then we for it.
	    pid = os.fork()
	    if pid == 0:
	        while b"S" not in open(f"/proc/{p.pid}/stat", "rb").read().rpartition(b")")[2]:
	            pass
	        os.write(out, text[:6])
	        with open(out, "wb") as f:
	            f.write(text[6:])
	        os._exit(0)
	    os.close(out)
	    os.waitpid(pid, 0) if applet[0] != "-bs" else None
	    got = open(words, "rb").read()
	    assert p.wait() == 0, p.returncode
	    assert applet[0] != "-bs" or got.count(b"\n250 ") == 50000, got[-100:]
	EOF
	spool_is Q
	same "$(grep -c '^line$' "$(message)")" 50000
}

@test "an address that could not be read back is not taken" {
	local long=$(printf 'a%.0s' $(seq 990))
	write_conf 'nullclient yes' 'smarthost smtp://127.0.0.1:1'
	letter | expect 65 sendmail -odq "$long"
	says 'a recipient in the envelope is no address'
	spool_is ''
	write_aliases "short: $long"
	letter | expect 65 sendmail -odq short
	printf 'MAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\n\r\nx\r\n.\r\nQUIT\r\n' "$long" | expect 0 sendmail -bs -odq
	prints '554 '
	spool_is ''
	send -odq "${long:0:980}"
	spool_is Q
	expect 0 mailq
}

@test "a draft that a crash left is swept; one that is being written is not" {
	mkdir -m 700 spool
	echo left >spool/T01lg5i62juh310vh
	echo other >spool/Tother
	mkfifo pipe
	sendmail -odq "$me" <pipe &
	exec 5>pipe
	letter >&5
	head -c 100000 /dev/zero >&5
	wait_for '[ "$(spool_states)" = TTT ]'
	flush
	[ ! -e spool/T01lg5i62juh310vh ]
	[ -e spool/Tother ]
	exec 5>&-
	wait $!
	spool_is QT
}
