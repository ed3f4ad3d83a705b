#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Mail that cannot be delivered goes back to its sender, or is kept for a person.
load helper

# report ASSERTION...: Python, with the one message of the sender's mailbox in m, its parts in
# text, fields and original, and who was told of in told.
report() {
	[ "$(mail_count)" = 1 ] || fail "no bounce"
	/usr/bin/python3 - "$S/mail/$me" "$@" <<-'END'
	import email, email.policy, mailbox, sys
	[m] = mailbox.mbox(sys.argv[1])
	m = email.message_from_bytes(bytes(m), policy=email.policy.default)
	assert m.get_content_type() == "multipart/report", m.get_content_type()
	assert m.get_param("report-type") == "delivery-status"
	assert not m.defects, m.defects
	parts = list(m.iter_parts())
	assert len(parts) == 3, parts
	text, fields, original = parts
	assert text.get_content_type() == "text/plain"
	assert fields.get_content_type() == "message/delivery-status"
	about, *told = fields.get_payload()
	for part in m.walk():
	    assert not part.defects, part.defects
	for check in sys.argv[2:]:
	    assert eval(check), (check, m.as_string())
	END
}

# attempt ARG...: the message on standard input, for users that there may be or not, is tried once.
attempt() { accepted "$@" && flush; }

@test "an unknown user: a report comes back, as RFC 3464 has it" {
	printf 'Subject: lost\nMessage-ID: <1@x.example>\n\nsecret text\n' | attempt nobody-there
	queue_is_empty
	report 'm["Return-Path"] == "<>"' \
		'm["Auto-Submitted"] == "auto-replied"' \
		'"MAILER-DAEMON@router.example" in m["From"]' \
		"m['To'] == '$me@router.example'" \
		'm["References"] == "<1@x.example>"' \
		'm["Message-ID"] != "<1@x.example>"' \
		'"no such user here: nobody-there" in text.get_content()' \
		'about["Reporting-MTA"] == "dns; router.example"' \
		'len(told) == 1' \
		'told[0]["Final-Recipient"] == "rfc822; nobody-there@router.example"' \
		'told[0]["Action"] == "failed"' \
		'told[0]["Status"] == "5.1.1"' \
		'"no such user" in told[0]["Diagnostic-Code"]' \
		'original.get_content_type() == "text/rfc822-headers"' \
		'"Subject: lost" in original.get_content()' \
		'"secret text" not in m.as_string()'
	has "mail/$me" 'From MAILER-DAEMON '
	logged 'dsn=5.1.1, status=bounced (no such user here: nobody-there)'
}

@test "fullbounce: the whole message comes back" {
	write_conf 'fullbounce yes'
	printf 'Subject: lost\n\nthe text\nFrom here\n' | attempt nobody-there
	queue_is_empty
	report 'original.get_content_type() == "message/rfc822"' \
		'original.get_content()["Subject"] == "lost"' \
		'original.get_content().get_payload() == "the text\n>From here\n"'
}

@test "a message without a header comes back, too" {
	for full in no yes; do
		write_conf "fullbounce $full"
		printf 'no header\n' | attempt nobody-there
		queue_is_empty
		report 'told[0]["Status"] == "5.1.1"'
		rm "mail/$me"
	done
}

@test "some fail, some do not: each its own, one report for all who failed" {
	letter | expect 0 sendmail -odi no-one "$me" no-two
	wait_for queue_is_empty
	delivered 2
	content "$me" 1 >one
	content "$me" 2 >two
	same "$(grep -lx hello one two)" one
	same "$(grep -c '^Final-Recipient' two)" 2
	has two 'Final-Recipient: rfc822; no-one'
	has two 'Final-Recipient: rfc822; no-two'
}

@test "8-bit text in the header that is returned" {
	printf 'Subject: Zo\303\253 \377\n\nhi\n' | attempt nobody-there
	queue_is_empty
	report 'original["Content-Transfer-Encoding"] == "8bit"'
	has "mail/$me" "$(printf 'Subject: Zo\303\253 \377')"
}

@test "to a sender with an alias: the bounce goes where the alias leads" {
	write_aliases "watcher: $me"
	letter | attempt -f watcher nobody-there
	queue_is_empty
	delivered 1
}

@test "to a sender whose alias leads to several, one of them gone: that one is held, no storm" {
	write_aliases "watcher: $me, no-one" 'postmaster: watcher'
	write_conf 'postmaster postmaster'
	letter | attempt -f watcher nobody-there
	delivered 2
	same "$(grep -c 'a bounce goes to' log)" 2
	same "$(content "$me" 1 | grep ^To:)" 'To: watcher@router.example'
	same "$(content "$me" 2 | grep ^To:)" 'To: postmaster@router.example'
	spool_is H
}

@test "a bounce that fails where its alias leads, and the postmaster too: held, no storm" {
	write_aliases 'watcher: no-one' 'postmaster: watcher'
	write_conf 'postmaster postmaster'
	letter | attempt -f watcher nobody-there
	spool_is H
	same "$(grep -c 'a bounce goes to' log)" 2
	delivered 0
}

@test "a null sender gets no bounce: the mail is held, and mailq shows it" {
	letter | attempt -f '' nobody-there
	spool_is H
	logged 'neither its sender nor a postmaster can be told'
	expect 0 mailq
	prints "$(basename "$(message H)" | cut -c2-)!"
	prints 'no such user here: nobody-there'
	delivered 0
}

@test "held mail stays held" {
	letter | attempt -f '' nobody-there
	flush
	expect 0 sendmail -q
	wait_for is_over
	spool_is H
}

@test "postmaster: gets what has no sender" {
	write_conf "postmaster $me"
	letter | attempt -f '' nobody-there
	queue_is_empty
	report "m['To'] == '$me@router.example'" 'm["Return-Path"] == "<>"'
}

@test "bounce_to: goes before postmaster" {
	write_conf "bounce_to $me" 'postmaster no-postmaster'
	letter | attempt -f '' nobody-there
	queue_is_empty
	report "m['To'] == '$me@router.example'"
}

@test "a bounce that fails is not bounced: to the postmaster, or held" {
	letter | attempt -f nobody-here nobody-there
	spool_is H
	rm "$(message H)"
	write_conf "postmaster $me"
	letter | attempt -f nobody-here nobody-there
	queue_is_empty
	report 'told[0]["Final-Recipient"] == "rfc822; nobody-here@router.example"' \
		'told[0]["Status"] == "5.1.1"'
}

@test "a postmaster who is not there either: held, no storm" {
	write_conf 'postmaster no-postmaster'
	letter | attempt -f nobody-here nobody-there
	spool_is H
	[ "$(grep -c 'a bounce goes to' log)" -le 2 ]
}

# ids STATE: of the messages in that state.
ids() { find "$spool" -name "$1*" -printf '%f\n' | cut -c2- | sort; }

@test "of those that the runner holds the newest 50 stay; of an operator's, all" {
	local n
	write_conf 'defer yes'
	letter | accepted -f '' no-one
	first=$(basename "$(message)")
	flush
	grep -q '^held ' "$(message H)"
	# Released and held by an operator: his.
	expect 0 mailq -H ALL
	expect 0 mailq -h ALL
	for n in 1 2 3; do letter "mine $n" | accepted -f '' no-one; done
	expect 0 mailq -h ALL
	ids H >mine
	for n in $(seq 40); do letter "$n" | accepted -f "$([ $((n % 2)) = 0 ] || echo nobody-here)" no-one; done
	ids Q >all
	flush
	spool_is "$(printf 'H%.0s' $(seq 44))"
	for n in $(seq 20); do letter "$n" | accepted -f '' no-one; done
	ids Q | sort -o all - all
	flush
	ids H >held
	sort mine <(tail -n 50 all) | diff - held
	same "$(grep -c ': removed: nobody takes it, and more than 50 such are held' log)" 10
	same "$(sed -n 's/.* \([0-9a-v]*\): removed: nobody .*/\1/p' log | sort)" "$(head -n 10 all)"
	# Those that an operator deletes leave room.
	expect 0 mailq -d $(tail -n 5 all)
	for n in $(seq 5); do letter "$n" | accepted -f '' no-one; done
	flush
	same "$(ids H | wc -l)" $((4 + 50))
	[ -e "spool/H${first#Q}" ]
}

@test "a full file system of the mailbox delays mail, and bounces none" {
	needs_root 'a small file system'
	mount -t tmpfs -o size=64k,mode=1777 none mail 2>/dev/null || skip 'no mounts here'
	head -c 200000 /dev/urandom | base64 | expect 0 sendmail -odq "$me"
	flush
	spool_is Q
	has "$(message)" 'deferred'
	logged 'No space left on device'
	size=$(stat -c %s "mail/$me")
	umount mail
	same "$size" 0
	flush
	spool_is ''
	same "$(content | wc -c)" $(($(printf %s "$(head -c 200000 /dev/zero | base64)" | wc -c) + 2))
}

@test "-oem, -em: mail for nobody is taken, and its sender told" {
	local option
	for option in -oem -em; do
		letter | expect 0 sendmail -odi $option nobody-there
	done
	wait_for queue_is_empty
	delivered 2
	has "$S/mail/$me" "no such user here: nobody-there"
	letter | expect 67 sendmail -oep nobody-there
	says "no such user here: nobody-there"
	letter | expect 67 sendmail -oeq nobody-there
	silent
}
