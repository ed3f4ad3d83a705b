#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Which addresses the world sees: qualify, masquerade, virtual_users, from_override.
load helper
load relay

servers=()

# header: of the one queued message, as it is stored; the message goes.
header() {
	local file offset
	file=$(message)
	read -r _ _ offset _ <"$file"
	tail -c "+$((10#$offset + 1))" "$file" | sed '/^$/q'
	rm "$file"
}

# turns ARG...: standard input is a header, a line ">", and the header that comes of it with
# its envelope's sender in the first line.
turns() {
	local in='' want
	while IFS= read -r line && [ "$line" != '>' ]; do in+=$line$'\n'; done
	want=$(cat)
	printf '%s\n' "$in" 'the text' | expect 0 sendmail -odq "$@" x@y.example
	same "$(field sender && header)" "$want"
}

# --- qualify --------------------------------------------------------------------------------

@test "what cron, mdadm, sudo and logwatch write gets the device's name" {
	turns -f root <<-'END'
	From: root (Cron Daemon)
	To: root
	Subject: Cron <root@router> echo: root
	>
	root@router.example
	From: root@router.example (Cron Daemon)
	To: root@router.example
	Subject: Cron <root@router> echo: root
	END
	turns -f root <<-'END'
	From: "(Cron Daemon)" <root>
	From: mdadm monitoring <root>
	To: root, Joe <joe@x.example>,
	 "admin, the" <admin> (not root)
	Cc: staff: ann, bob@x.example;, undisclosed:;
	>
	root@router.example
	From: "(Cron Daemon)" <root@router.example>
	From: mdadm monitoring <root@router.example>
	To: root@router.example, Joe <joe@x.example>,
	 "admin, the" <admin@router.example> (not root)
	Cc: staff: ann@router.example, bob@x.example;, undisclosed:;
	END
}

@test "what has a domain or is no address stays, byte for byte" {
	turns -f a@x.example <<-'END'
	From:joe@x.example
	To : Cron Daemon,  <>, a@b@c
	 ,"open, root
	Received: from root
	X-To: root
	>
	a@x.example
	From:joe@x.example
	To : Cron Daemon,  <>, a@b@c
	 ,"open, root
	Received: from root
	X-To: root
	END
}

@test "qualify: another domain, or none" {
	turns -O qualify=q.example -f root <<-'END'
	From: root
	To: root@router.example
	>
	root@q.example
	From: root@q.example
	To: root@router.example
	END
	turns -O qualify=no -f root <<-'END'
	From: root
	To: joe
	>
	root@router.example
	From: root
	To: joe
	END
}

@test "recipients of -t are those that were written" {
	write_conf 'masquerade joe@mail.example' 'qualify q.example' "virtual_users $S/users"
	echo 'root: ann@v.example' >users
	printf 'From: root\nTo: root\nCc: ann@x.example\n\nhello\n' | expect 0 sendmail -t -odq
	same "$(rcpts)" 'ann@x.example root'
	same "$(header)" $'From: ann@v.example\nTo: root@q.example\nCc: ann@x.example'
}

@test "longer lines and other domains are noted for delivery" {
	write_conf "$(printf 'masquerade ex\303\244mple')"
	printf 'From: %0980d <root>\n\nhello\n' 0 | expect 0 sendmail -odq x@y.example
	same "$(sed -n 1s/.*\ //p "$(message)")" 8u-l
}

# --- masquerade -----------------------------------------------------------------------------

@test "masquerade: the senders of this device, not others, and not the recipients" {
	write_conf 'local_domains lan.example'
	for mask in mail.example @mail.example; do
		turns -O masquerade=$mask -f root <<-'END'
		From: root, Joe <joe@router.example>, a@LAN.example, b@x.example
		Sender: root@localhost
		Reply-To: c@x.example
		To: root
		>
		root@mail.example
		From: root@mail.example, Joe <joe@mail.example>, a@mail.example, b@x.example
		Sender: root@mail.example
		Reply-To: c@x.example
		To: root@router.example
		END
	done
	turns -O masquerade=me@ -f root <<-'END'
	From: root
	>
	me@router.example
	From: me@router.example
	END
	turns -O masquerade=me@mail.example -f a@x.example <<-'END'
	From: "Root" <root@router.example>
	>
	a@x.example
	From: "Root" <me@mail.example>
	END
}

@test "the envelope: every way to be the sender" {
	write_conf 'masquerade me@mail.example'
	for sender in "-f root" "-f root@router.example" "-r <root>" ""; do
		letter | expect 0 sendmail $sender -odq x@y.example
		same "$(field sender)" me@mail.example
		rm "$(message)"
	done
	for sender in a@x.example ''; do
		letter | expect 0 sendmail -f "$sender" -odq x@y.example
		same "$(field sender)" "$sender"
		rm "$(message)"
	done
	cp "$MTABOX" mtabox
	letter | as_nobody env -i ./mtabox sendmail -C "$conf" -O "spooldir=$S/mail/spool" \
		-O "log_file=$S/mail/log" -odq x@y.example
	same "$(sed -n 's/^sender //p' mail/spool/Q*)" me@mail.example
}

@test "SMTP on standard input: the same" {
	write_conf 'masquerade me@mail.example'
	for sender in root root@router.example ''; do
		printf '%s\r\n' 'HELO x' "MAIL FROM:<$sender>" 'RCPT TO:<x@y.example>' DATA 'From: root' \
			'' x . QUIT | expect 0 sendmail -bs -odq
		same "$(field sender)" "${sender:+me@mail.example}"
		same "$(header)" 'From: me@mail.example'
	done
}

@test "a From that is added is the sender, with the name of -F" {
	write_conf 'masquerade me@mail.example'
	printf 'To: x\n\nhello\n' | expect 0 sendmail -F 'Router, hall' -odi "$me"
	wait_for queue_is_empty
	has "mail/$me" 'From: "Router, hall" <me@mail.example>'
	has "mail/$me" 'Return-Path: <me@mail.example>'
	same "$(mbox added "mail/$me" 1)" "Return-Path Delivered-To Received Date From Message-ID"
}

@test "direct mode: the same" {
	write_conf 'masquerade me@mail.example'
	printf 'From: root\nTo: root\n\nhello\n' | expect 0 sendmail -odd "$me"
	same "$(content)" $'From: me@mail.example\nTo: root@router.example\n\nhello'
	has "mail/$me" 'Return-Path: <me@mail.example>'
}

@test "a null client: its name is its own" {
	write_conf 'nullclient' 'smarthost mail.example' 'masquerade me@mail.example'
	turns -f root@router.example <<-'END'
	From: root@router.example
	To: root
	>
	me@mail.example
	From: me@mail.example
	To: root@router.example
	END
}

@test "dma's names for it" {
	echo 'root me@v.example' >users
	write_conf 'MASQUERADE me@' "VIRTPATH $S/users" 'MAILNAME other.example'
	turns -f joe <<-'END'
	From: root
	>
	me@other.example
	From: me@v.example
	END
}

# --- from_override --------------------------------------------------------------------------

@test "from_override no: whatever the caller says, but no sender stays none" {
	write_conf 'masquerade me@mail.example' 'from_override no'
	turns -f boss@x.example <<-'END'
	From: "The Boss" <boss@x.example>
	Sender: pa@x.example
	To: boss@x.example, root
	>
	me@mail.example
	From: "The Boss" <me@mail.example>
	Sender: pa@x.example
	To: boss@x.example, root@router.example
	END
	turns -f '<>' <<-'END'
	From: daemon@x.example
	>

	From: me@mail.example
	END
}

@test "from_override no without a domain to send from: a warning, and it is as if yes" {
	write_conf 'masquerade me@' 'from_override no'
	letter | expect 0 sendmail -f a@x.example -odq x@y.example
	says "$S/conf line 7: from_override: needs to know what to send from"
	same "$(field sender)" a@x.example
}

# --- virtual_users --------------------------------------------------------------------------

@test "virtual_users come before masquerade, and are only for this device's" {
	write_conf 'masquerade mail.example' 'from_override no' "virtual_users $S/users"
	printf '%s\n' '# who is who' 'root: Root <root@v.example>' 'ann ann@v.example' >users
	turns -f ROOT@router.example <<-'END'
	From: root (x), Ann <ann>, bob, ann@x.example
	To: ann
	>
	root@v.example
	From: root@v.example (x), Ann <ann@v.example>, bob@mail.example, ann@mail.example
	To: ann@router.example
	END
}

@test "virtual_users: a bad line is logged and has no effect; newaliases shows it" {
	write_conf "virtual_users $S/users"
	printf '%s\n' 'root' 'ann ann' 'joe joe@v.example' >users
	send -f ann -odq x@y.example
	same "$(field sender)" ann@router.example
	logged "$S/users line 1: no address: root"
	logged "$S/users line 2: an address without a domain: ann ann"
	expect 65 newaliases
	says "$S/users line 2: an address without a domain: ann ann"
	prints "$S/users: 1 users, 2 problems"
	echo 'joe joe@v.example' >users
	expect 0 newaliases
	prints "$S/users: 1 users, 0 problems"
}

@test "virtual_users: a missing file is a warning, one that cannot be read is 75" {
	write_conf "virtual_users $S/users"
	letter | expect 0 sendmail -odq x@y.example
	says "there is no virtual_users file $S/users"
	rm "$(message)"
	mkdir users
	letter | expect 75 sendmail -odq x@y.example
	says "cannot read the virtual_users file $S/users: Is a directory"
	printf 'HELO x\r\n' | expect 75 sendmail -bs
	is_empty out
	expect 75 newaliases
	spool_is ''
}

# --- on the way -----------------------------------------------------------------------------

@test "a server that takes mail of one address only; bounces go there, too" {
	serve server "rcpt:bad@=550 5.1.1 no such user"
	write_conf "smarthost smtp://127.0.0.1:$port" 'masquerade me@mail.example' 'defer yes'
	printf 'From: root (Cron Daemon)\nTo: bad, a\n\nhello\n' |
		expect 0 sendmail -i bad@x.example a@x.example
	flush
	flush
	queue_is_empty
	same "$(paste -sd' ' server/envelope.1)" '<me@mail.example> <a@x.example>'
	has server/mail.1 'From: me@mail.example (Cron Daemon)'
	same "$(paste -sd' ' server/envelope.2)" '<> <me@mail.example>'
	has server/mail.2 'Final-Recipient: rfc822; bad@x.example'
	no_faults
}

@test "a bounce to such a sender that fails is held" {
	serve server "rcpt=550 5.1.1 no such user"
	write_conf "smarthost smtp://127.0.0.1:$port" 'masquerade me@mail.example' 'defer yes'
	send a@x.example
	flush
	flush
	spool_is H
	outcome me@mail.example bounced 'no such user'
}

# --- the header besides ---------------------------------------------------------------------

@test "a byte order mark in front of the header: the recipients are found, the mark goes" {
	printf '\357\273\277To: a@x.example\r\nSubject: x\r\n\r\nhello\r\n' | expect 0 sendmail -t -odq
	same "$(rcpts)" a@x.example
	same "$(header)" $'To: a@x.example\nSubject: x'
}

@test "Content-Length goes" {
	printf 'Content-Length: 3\nSubject: x\ncontent-length:\n 4\n\nhello\n' | expect 0 sendmail -odq x@y.example
	same "$(header)" 'Subject: x'
}

@test "a header that is too long with its addresses qualified: 65, and nothing is queued" {
	{ printf 'To: '; yes a, | head -n 200000 | tr -d '\n'; printf 'a\n\nhello\n'; } |
		expect 65 sendmail -odq x@y.example
	says 'header is too long'
	spool_is ''
}
