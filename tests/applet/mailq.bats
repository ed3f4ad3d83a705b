#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What mailq shows, also of files that nobody should have put there.
load helper

id=01lg5i62juh310vh

@test "an empty queue" {
	expect 0 mailq
	same "$(cat out)" 'Mail queue is empty'
	is_empty err
	mkdir -p spool
	touch spool/runner spool/Tleft
	expect 0 mailq
	same "$(cat out)" 'Mail queue is empty'
}

@test "header, id, size, arrival, sender, recipients, total" {
	letter | expect 0 sendmail -odq -f joe@x.example "$me" bob@y.example
	name=$(basename "$(message)")
	expect 0 mailq
	cat >want <<-END
	----Queue ID----- --Size-- ---Arrival (UTC)---  -Sender/Recipient-------
	${name#Q}        21 $(date -u -d "@$(field arrived | cut -d' ' -f1)" '+%F %T')  joe@x.example
	                  (not tried yet)
	                                              $me
	                  (not tried yet)
	                                              bob@y.example
	                  Total requests: 1
	-- 1 Kbytes in 1 Request.
	END
	diff want out
}

@test "several: in the order of arrival; the total is of all" {
	for n in 1 2 3; do
		head -c 2000 /dev/zero | tr '\0' x | expect 0 sendmail -odq -f "n$n@x.example" "$me"
		last=$(date +%s)
		wait_for '[ "$(date +%s)" != "$last" ]'
	done
	expect 0 mailq
	same "$(grep -o 'n[0-9]@' out | paste -sd' ')" 'n1@ n2@ n3@'
	prints '-- 6 Kbytes in 3 Requests.'
}

@test "a null sender is MAILER-DAEMON" {
	send -odq -f '' "$me"
	expect 0 mailq
	prints 'MAILER-DAEMON'
}

@test "a reason that several recipients share stands once" {
	write_aliases 'one: |exit 75' 'two: |exit 75'
	letter | expect 0 sendmail -odq "$me" one two
	mkdir "mail/$me"
	flush
	expect 0 mailq
	same "$(grep -c 'Is a directory' out)" 1
	same "$(grep -c 'exit status 75' out)" 1
	same "$(grep -c 'next attempt in' out)" 2
}

@test "a reason: the server's code, if one spoke, and all of its words" {
	send -odq "$me"
	many=$(printf 'x%.0s' {1..300})
	for said in '4.2.0 450 mailbox is busy' '4.4.1 0 connection refused' '4.4.1 000 0 is none' \
		"4.0.0 451 $many" '4.3.0 451'; do
		/usr/bin/python3 -ISB - "$(message)" "$said" <<-'END'
		import sys, zlib
		line = b"deferred 1795341236 86402123 5f3a9c0d11e2b3a4 1 0 " + sys.argv[2].encode()
		crc = zlib.crc32(sys.argv[1][-16:].encode() + line)
		open(sys.argv[1], "ab").write(line + b" %08x\n" % crc)
		END
		expect 0 mailq
		words=${said#* } words=${words#0 } words=${words#000 }
		same "$(grep -o '(.*)' out | sed 's/; next attempt in .*)/)/' | tail -1)" "($words)"
	done
}

@test "it takes no lock and changes nothing" {
	mkdir "mail/$me"
	send -odi "$me"
	before=$(listing)
	for n in 1 2 3; do expect 0 mailq; done
	same "$(listing)" "$before"
}

@test "output that cannot be written: an error" {
	send -odq "$me"
	[ -c /dev/full ] || skip 'no /dev/full'
	! mailq >/dev/full || fail 'content'
}

# --- what could steer a terminal ------------------------------------------------------------

# forge FIELD TEXT: puts TEXT, in printf's notation, in a field's place in the queued message.
forge() {
	/usr/bin/python3 -ISB - "$(message)" "$1" "$(printf "$2")" <<-'END'
	import os, re, sys
	path, field, text = [os.fsencode(a) for a in sys.argv[1:]]
	old = open(path, "rb").read()
	new = re.sub(rb"(?m)^%s .*$" % field, lambda m: field + b" " + text, old, count=1)
	assert new != old
	size = len(new) - len(old)
	new = re.sub(rb"\A(mtabox 2 )(\d{8})", lambda m: m[1] + b"%08d" % (int(m[2]) + size), new)
	open(path, "wb").write(new)
	END
}

# Nothing but what can be seen.
printable() { ! LC_ALL=C grep -n '[^ -~]' "$S/out" || fail 'control characters'; }

@test "control characters in reasons are shown as ?" {
	mkdir "mail/$me"
	send -odq "$me"
	flush
	/usr/bin/python3 -ISB - "$(message)" <<-'END'
	import re, sys, zlib
	line = b"deferred 1795341236 86402123 5f3a9c0d11e2b3a4 1 0 4.4.1 0 \x1b[31mred\x07\xc2\x9b31m\x7f"
	crc = zlib.crc32(sys.argv[1][-16:].encode() + line)
	open(sys.argv[1], "ab").write(line + b" %08x\n" % crc)
	END
	expect 0 mailq
	printable
	prints '?[31mred???31m?'
}

@test "control characters in addresses and names never reach the terminal" {
	for field in rcpt sender submitter; do
		send -odq "$me"
		forge "$field" '\033[31mred\007@x.example'
		expect 0 mailq
		printable
		rm "$(message)"
	done
}

@test "control characters never reach the terminal of -v, nor the log" {
	letter | expect 0 sendmail -odq -f joe@x.example "$me"
	/usr/bin/python3 -ISB - "$(message)" <<-'END'
	import sys, zlib
	line = b"facts 1795341236 86402123 5f3a9c0d11e2b3a4 1 * 1795341236 x@y \xc2\x9b31m\x9b\xc3\xbc\xffz"
	crc = zlib.crc32(sys.argv[1][-16:].encode() + line)
	open(sys.argv[1], "ab").write(line + b" %08x\n" % crc)
	END
	expect 0 deliver -q -v -O "mailname $(printf 'x\302\2331m\233')"
	expect 64 sendmail -v "-$(printf '\302\2331m\233\303\274\377')"
	! LC_ALL=C grep -n "$(printf '\302[\200-\237]')" err log || fail 'control characters'
	says 'ü'
}

# --- what is no message ---------------------------------------------------------------------

# beside MAKE: with this in the spool, a good message is delivered all the same, mailq lists
# both, and the thing is set aside or left alone.
beside() {
	send -odq "$me"
	local good
	good=$(message)
	eval "$1"
	expect 0 mailq
	prints "${good#"$spool"/Q}"
	prints "$id"
	printable
	flush
	[ ! -e "$good" ] || fail 'the good one was not delivered'
	delivered 1
	expect 0 mailq
	prints "$id"
	[ -e "spool/Q$id" ] || [ -e "spool/C$id" ] || [ -L "spool/C$id" ] || fail 'it is gone'
}

@test "an empty file: set aside" { beside 'touch spool/Q$id'; spool_is C; prints "$id#"; }
@test "garbage: set aside" { beside 'head -c 5000 /dev/urandom >spool/Q$id'; spool_is C; }
@test "a line of text: set aside" { beside 'echo hello >spool/Q$id'; spool_is C; logged "$id"; }
@test "a message of another version: set aside" { beside 'sed "1s/ 2 / 3 /" "$good" >spool/Q$id'; spool_is C; }
@test "a torn envelope: set aside" { beside 'head -n 4 "$good" >spool/Q$id'; spool_is C; prints "cannot be read"; }
@test "a torn message: set aside" { beside 'head -c -3 "$good" >spool/Q$id'; spool_is C; prints "shorter"; }
@test "an envelope without recipients: set aside" {
	beside 'sed "s/^rcpt/sent/" "$good" >spool/Q$id'
	spool_is C
}
@test "lengths beyond all measure: set aside" {
	beside 'sed "1s/[0-9]\{12\} /99999999999999999 /" "$good" >spool/Q$id'
	spool_is C
}
@test "a symbolic link: set aside, not followed" {
	beside 'cp "$good" message; ln -s ../message spool/Q$id'
	spool_is C
	prints "$id#"
	prints 'not a file that we deliver'
	logged "$id: not a file: kept as C$id"
	[ -L "spool/C$id" ] && [ -s message ]
}
@test "a dangling link: set aside" { beside 'ln -s /nowhere spool/Q$id'; spool_is C; }
@test "a FIFO: set aside, nobody hangs" { beside 'mkfifo spool/Q$id'; spool_is C; }
@test "a directory: set aside" { beside 'mkdir spool/Q$id'; spool_is C; }
@test "a second name of a file elsewhere: left alone, and delivered when it is the only one" {
	beside 'cp "$good" message; ln message spool/Q$id'
	spool_is Q
	logged "$id: not a file that we deliver, left alone"
	rm message
	flush
	delivered 2
	spool_is ''
}

@test "somebody else's file: left alone" {
	needs_root 'a file of somebody else'
	beside 'cp "$good" spool/Q$id; chown daemon spool/Q$id'
	spool_is Q
}

@test "names that are not ours are not looked at" {
	mkdir -m 700 spool
	for name in Q Q1 "Q${id}x" "q$id" "X$id" "Q${id^^}" '.hidden' 'Qéééééééé'; do echo x >"spool/$name"; done
	before=$(listing)
	expect 0 mailq
	same "$(cat out)" 'Mail queue is empty'
	expect 0 sendmail -q
	wait_for is_over
	rm spool/runner
	same "$(listing)" "$before"
}

@test "what was set aside stays, is counted and listed, and hurts nobody" {
	beside 'echo hello >spool/Q$id'
	send -odi "$me"
	delivered 2
	spool_is C
	same "$(cat spool/C*)" hello
	expect 0 mailq
	prints '1 Request.'
}
