#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What goes wrong around the program must not become lost or misdirected mail.
load helper

@test "an aliases file that cannot be read: no runner goes on without it" {
	send -odq "$me"
	mkdir aliases
	expect 75 deliver -q
	says "cannot read the aliases file $S/aliases: Is a directory"
	expect 75 sendmail -q
	says "cannot read the aliases file $S/aliases: Is a directory"
	spool_is Q
	rmdir aliases
	expect 0 deliver -q
	delivered 1
}

@test "a link in the recipient's home: root creates nothing behind it" {
	needs_root "delivers to somebody else"
	mkdir home precious
	chown nobody home
	as_nobody ln -s ../precious home/mail
	write_conf "mailbox $S/home/mail/%u"
	send -odq nobody
	flush
	spool_is Q
	same "$(ls precious)" ''
	as_nobody rm home/mail
	as_nobody mkdir home/mail
	expect 0 deliver -q
	queue_is_empty
	same "$(stat -c '%U %a' home/mail/nobody)" 'nobody 600'
}
