#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# A queue for all users of a system: the program is set-gid, the queue root's and that group's,
# and only root delivers.

load helper

setup() {
	needs_root "a set-gid program, other users"
	test_shell=$BASHPID
	S=$(mktemp -d "${TMPDIR:-/tmp}/mtabox.XXXXXX")
	chmod 755 "$S"
	mkdir -m 1777 "$S/mail"
	mkdir "$S/bin" "$S/etc"
	# Mounted without nosuid, whatever the test's directory is on.
	mount -t tmpfs -o suid,mode=755 none "$S/bin"
	cp "$MTABOX" "$S/bin/mtabox"
	ln -s mtabox "$S/bin/sendmail"
	ln -s mtabox "$S/bin/mailq"
	ln -s mtabox "$S/bin/deliver"
	chgrp mail "$S/bin/mtabox"
	chmod 2755 "$S/bin/mtabox"
	mkdir "$S/spool"
	chgrp mail "$S/spool"
	chmod 2770 "$S/spool"
	spool=$S/spool conf=$S/conf
	write_conf
	# The program reads only the system's configuration for these users.
	: >"$S/etc/mtabox.conf"
	cd "$S" || return
}

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || show
	cd /
	end_processes
	umount "$S/bin"
	rm -rf "$S"
}

# as USER COMMAND...: with the test's configuration as the system's.
as() {
	local user=$1
	shift
	cp "$conf" "$S/etc/mtabox.conf"
	unshare -m sh -c 'mount -t overlay overlay -o "lowerdir=$0:/etc" /etc && exec "$@"' \
		"$S/etc" setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
}

# post USER ARG...: a letter by that user, accepted without a word.
post() { letter "$1's" | expect 0 as "$1" "$S/bin/sendmail" "${@:2}" && silent; }

@test "any user submits, root delivers" {
	post games daemon
	post daemon -f somebody@x.example daemon
	spool_is QQ
	same "$(stat -c '%U %G %a' "$spool"/Q* | sort | paste -sd,)" "daemon mail 600,games mail 600"
	[ -z "$(runner)" ]
	expect 0 as root "$S/bin/deliver" -q
	queue_is_empty
	delivered 2 daemon
	has "$S/mail/daemon" "games's"
}

@test "root's runner hears of it at once" {
	as root "$S/bin/deliver" -q15m 3>&- &
	wait_for '[ -n "$(runner)" ]'
	post games -odi daemon
	delivered 1 daemon
}

@test "root submits and starts a runner as ever" {
	letter | expect 0 as root "$S/bin/sendmail" -odi daemon
	delivered 1 daemon
	wait_for is_over
}

@test "everybody sees his own mail, root all" {
	post games daemon
	post daemon daemon
	expect 0 as games "$S/bin/mailq"
	prints games@
	has_not "$S/out" "daemon@router.example"
	prints "in 1 Request"
	expect 0 as nobody "$S/bin/mailq"
	prints "Mail queue is empty"
	expect 0 as root "$S/bin/mailq"
	prints "in 2 Requests"
}

@test "everybody manages his own mail, root all" {
	: >"$S/log"
	chmod 666 "$S/log"
	post games daemon
	post daemon daemon
	local own other
	own=$(cd "$spool" && find . -user games -printf '%f' | cut -c2-)
	other=$(cd "$spool" && find . -user daemon -printf '%f' | cut -c2-)
	for verb in -d -h -H -i -c -j; do
		expect 77 as games "$S/bin/mailq" $verb "$other"
		says "$other: is somebody else's"
		is_empty out
		expect 65 as games "$S/bin/mailq" $verb 0123456789abcdef
		says 'no such message'
	done
	expect 77 as games "$S/bin/mailq" "$other"
	expect 77 as games "$S/bin/sendmail" -qI"$other"
	spool_is QQ
	expect 65 as games "$S/bin/mailq" -d -S daemon@
	expect 0 as games "$S/bin/mailq" -j ALL
	has_not out "$other"
	expect 0 as games "$S/bin/mailq" -h ALL
	same "$(cat out)" "$own: held"
	same "$(stat -c %U "$spool/H$own")" games
	expect 0 as games "$S/bin/mailq" -c "$own"
	prints "games's"
	expect 0 as games "$S/bin/mailq" -H ALL
	expect 0 as games "$S/bin/mailq" -i "$own"
	[ -z "$(runner)" ]
	spool_is QQ
	expect 0 as games "$S/bin/mailq" -d ALL
	same "$(cat out)" "$own: deleted"
	logged "$own: deleted by games"
	expect 0 as root "$S/bin/mailq" -h "$other"
	expect 0 as root "$S/bin/mailq" -d "$other"
	spool_is ''
}

@test "-qI, -qR and -qS are for everybody's own mail, -q and -qf for root" {
	: >"$S/log"
	chmod 666 "$S/log"
	post games daemon
	local own
	own=$(basename "$(message)")
	for option in -q -qf -q15m; do
		expect 77 as games "$S/bin/sendmail" $option
		says "only root"
	done
	expect 77 as nobody "$S/bin/sendmail" -qI "${own#Q}"
	says "somebody else's"
	for option in -qRdaemon -qSgames@ "-qRdaemon -qSgames@"; do
		expect 65 as nobody "$S/bin/sendmail" $option
		says "no such message"
	done
	for option in "-qI ${own#Q}" -qRdaemon -qSgames@ "-qRdaemon -qSgames@"; do
		expect 0 as games "$S/bin/sendmail" $option
	done
	[ -z "$(runner)" ]
	spool_is Q
	# Nobody but root could wait for the end of another runner either.
	expect '7[37]' as games "$S/bin/deliver" -q15m
}

@test "what the group may read is not everybody's" {
	post daemon daemon
	chmod 660 "$(message)"
	for arguments in "-d ALL" "-h ALL" "-c ALL" "-j ALL"; do
		expect 0 as games "$S/bin/mailq" $arguments
		silent
	done
	expect 77 as games "$S/bin/mailq" -d "$(message | sed 's/.*Q//')"
	expect 0 as games "$S/bin/mailq"
	same "$(cat out)" 'Mail queue is empty'
	spool_is Q
}

@test "what all may read, and what is no file, is root's to see, also when it was tried" {
	post daemon daemon
	file=$(message)
	/usr/bin/python3 -ISB - "$file" <<-'END'
	import sys, zlib
	line = b"facts 1795341236 86402123 5f3a9c0d11e2b3a4 1 * 1795341236 x@y host"
	crc = zlib.crc32(sys.argv[1][-16:].encode() + line)
	open(sys.argv[1], "ab").write(line + b" %08x\n" % crc)
	END
	chmod 666 "$file"
	mkdir "$spool/Q0000000000000001"
	for option in "" -j; do
		expect 0 as games "$S/bin/mailq" $option
		has_not out Q0000000000000001
		has_not out "${file##*/Q}"
		expect 0 as root "$S/bin/mailq" $option
		prints "${file##*/Q}"
		prints 'not a file that we deliver'
	done
}

@test "root's runner hears of what a user releases or wants tried" {
	mkdir "$S/mail/daemon"
	post games daemon
	as root "$S/bin/deliver" -q15m -O retry_min=1h 3>&- &
	wait_for 'grep -q status=deferred "$S/log"'
	rmdir "$S/mail/daemon"
	expect 0 as games "$S/bin/mailq" -i ALL
	wait_for '[ "$(mail_count daemon)" = 1 ]'
	mkdir "$S/mail/games"
	post games games
	wait_for '[ "$(grep -c status=deferred "$S/log")" = 2 ]'
	expect '*' as games "$S/bin/mailq" -h ALL
	wait_for 'as games "$S/bin/mailq" -h ALL; [ "$(spool_states)" = H ]'
	rmdir "$S/mail/games"
	expect 0 as games "$S/bin/mailq" -H ALL
	wait_for '[ "$(mail_count games)" = 1 ]'
}

@test "no user reads, changes or lists the queue without the program" {
	post games daemon
	expect 2 as games ls "$spool"
	expect 1 as games cat "$(message)"
	expect 1 as games rm -f "$(message)"
	spool_is Q
}

@test "what is root's to say" {
	letter | expect 77 as games "$S/bin/sendmail" -C "$conf" daemon
	letter | expect 77 as games "$S/bin/sendmail" -O defer=yes daemon
	letter | expect 77 as games "$S/bin/sendmail" -X "$S/mail/log" daemon
	expect 77 as games "$S/bin/sendmail" -q
	says "only root"
	expect '7[37]' as games "$S/bin/deliver" -q
	[ ! -e "$S/mail/log" ]
	spool_is ''
}

@test "without a queue there is no group either: -odd and deliver" {
	write_conf "mailbox |id -gn >$S/mail/%u.group; cat >/dev/null"
	letter | expect 0 as games "$S/bin/sendmail" -odd games
	same "$(cat "$S/mail/games.group")" games
	letter | expect 0 as games "$S/bin/deliver" games
	same "$(cat "$S/mail/games.group")" games
	letter | expect 75 as games "$S/bin/deliver" daemon
	letter | expect 75 as games "$S/bin/sendmail" -H 'id -gn >&2; exit 1' x@x.example
	same "$(head -n 1 "$S/err")" games
}

@test "whether the configuration works: with the caller's own rights, and root's server" {
	write_conf 'smarthost joe@127.0.0.1:9' "auth_file $S/auth" 'insecure_auth yes'
	echo 'joe|127.0.0.1:Waldmeister' >"$S/auth"
	chgrp mail "$S/auth"
	chmod 640 "$S/auth"
	expect 77 as games "$S/bin/sendmail" -bv -v
	prints "not usable: auth_file $S/auth: Permission denied: root and its owner may read it"
	has_not "$S/err" connecting
	# A server of his own choice gets no password by the group's rights either.
	expect 77 as games "$S/bin/sendmail" -bv -v -O smarthost=joe@127.0.0.1:10
	prints "smtp://joe@127.0.0.1:10: not usable: auth_file $S/auth: Permission denied"
	has_not "$S/err" connecting
	expect 75 as root "$S/bin/sendmail" -bv -v
	prints 'not usable: connecting to 127.0.0.1 port 9: Connection refused'
}

@test "the caller's environment chooses no files" {
	write_conf "mailname wrong.example"
	cp "$conf" "$S/other"
	write_conf
	letter | MTABOX_CONF=$S/other expect 0 as games "$S/bin/sendmail" daemon
	same "$(field sender)" games@router.example
}

@test "killed while it submits: nothing, or all of it" {
	for n in 1 2 3 4 5 6 7 8; do
		(letter; sleep 5) | as games timeout -s KILL "0.0$n" "$S/bin/sendmail" daemon || true
	done
	expect 0 as root "$S/bin/deliver" -q
	queue_is_empty
	delivered 0 daemon
}

@test "-bs for every user" {
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<daemon>' DATA 'Subject: x' '' hi . QUIT |
		expect 0 as games "$S/bin/sendmail" -bs
	prints "250 2.0.0"
	spool_is Q
}
