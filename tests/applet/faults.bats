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

@test "an aliases file that cannot be read: mail for elsewhere is taken all the same" {
	mkdir aliases
	letter | expect 75 sendmail -odq "$me"
	letter | expect 75 sendmail -odq -t
	spool_is ''
	letter | expect 0 sendmail x@far.example
	says "cannot read the aliases file $S/aliases: Is a directory"
	says "is queued, but no queue runner is started"
	spool_is Q
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

# on_tmpfs SIZE: the queue is a file system of its own, and a command gets the mail, whatever it is.
on_tmpfs() {
	needs_root 'a small file system'
	mkdir -m 700 spool
	mount -t tmpfs -o "size=$1,mode=700" none spool 2>/dev/null || skip 'no mounts here'
	printf '#!/bin/sh\ngrep "^Subject" >>%s\n' "$S/count" >take
	chmod 755 take .
	: >count
	chmod 666 count
	write_conf "mailbox |$S/take" 'spool_min_free 0'
	expect 0 deliver -q
}

@test "a queue on a file system that is read-only: what could not be written down is not sent" {
	on_tmpfs 1m
	local sent
	for _ in 1 2 3; do send -odq "$me"; done
	mount -o remount,ro spool
	flush
	flush
	sent=$(wc -l <count)
	mount -o remount,rw spool
	flush
	same "$(spool_states)" ''
	umount spool
	same "$sent" 0
	same "$(wc -l <count)" 3
	logged 'its journal cannot be written, left alone: Read-only file system'
}

@test "a queue on a full file system becomes empty, and nothing is sent twice" {
	on_tmpfs 400k
	local pad left n
	# Files into whose last page no line of the journal goes.
	letter "$(printf %3500s)" | accepted "$me"
	pad=$((3500 + 4090 - $(stat -c %s spool/Q*)))
	rm spool/Q*
	for n in $(seq 40); do letter "$(printf %${pad}s)" | accepted "$me"; done
	head -c 1m /dev/zero 2>/dev/null >spool/full || true
	flush
	left=$(spool_states)
	umount spool
	same "$left" 'f'
	same "$(wc -l <count)" 40
}

# Not read to its end, which does not come; not in the log as one that was taken.
refuses_endless() {
	(printf 'Subject: x\n\n'; exec yes) | expect 75 timeout 60 "$MTABOX" sendmail -C "$conf" "$me"
	same "$(spool_states)" ''
	has_not log uid=
}

@test "a message without end, of which so much may come" {
	write_conf 'message_size_limit 20000'
	refuses_endless
}

@test "a message without end, for which the disk has no room" {
	on_tmpfs 256k
	refuses_endless
	umount spool
}

@test "another directory in the queue's place: its runner ends, and the next has that" {
	"$MTABOX" deliver -q15m -C "$conf" 3>&- &
	wait_for '[ -n "$(runner)" ]'
	mv spool aside
	mkdir -m 700 spool
	kill -HUP $!
	wait $! || fail "exit status $?"
	logged 'is not our lock any more'
}

@test "deliver -q where the queue's directory cannot be read: 75 and the reason" {
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	send -odq "$me"
	expect 75 timeout 20 strace -f -qqq -o /dev/null -e inject=getdents64:error=EIO \
		"$MTABOX" deliver -q -C "$conf"
	says "cannot read the spool directory $spool"
	spool_is Q
	flush
	delivered 1
}
