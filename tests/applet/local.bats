#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Delivery on the device: what aliases and .forward files make of a recipient, mailboxes of all
# kinds, commands, and deliver as a delivery agent. Users of their own, in a passwd file that
# only the program sees.

load helper

setup() {
	needs_root "users, and a passwd file of the test's own"
	test_shell=$BASHPID
	S=$(mktemp -d "${TMPDIR:-/tmp}/mtabox.XXXXXX")
	chmod 755 "$S"
	mkdir -m 1777 "$S/mail" "$S/drop"
	spool=$S/spool conf=$S/conf
	printf '%s\n' "root:x:0:0::$S/home/root:/bin/sh" "joe:x:7001:7001::$S/home/joe:/bin/sh" \
		"bob:x:7002:7002::$S/home/bob:/bin/sh" "nobody:x:65534:65534::/:/bin/sh" >"$S/passwd"
	mkdir -p "$S/home/root" "$S/home/joe" "$S/home/bob"
	chown 7001:7001 "$S/home/joe"
	chown 7002:7002 "$S/home/bob"
	write_conf "forward yes" "postmaster bob"
	cd "$S" || return
}

# The program with these users.
run_mtabox() {
	unshare -m sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' "$S/passwd" "$MTABOX" "$@"
}
sendmail() { run_mtabox sendmail -C "$conf" "$@"; }
deliver() { run_mtabox deliver -C "$conf" "$@"; }
newaliases() { run_mtabox newaliases -C "$conf" "$@"; }
flush() { expect 0 timeout 60 unshare -m sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' \
	"$S/passwd" "$MTABOX" deliver -q -C "$conf" -O defer=yes; }

# post RCPT...: a letter, with one attempt to deliver it.
post() {
	letter | expect 0 sendmail -odq -i -f ann@far.example "$@"
	flush
}

# forwards USER LINE...: his .forward.
forwards() {
	local user=$1
	shift
	printf '%s\n' "$@" >"$S/home/$user/.forward"
	chown "$(id_of "$user")" "$S/home/$user/.forward"
}
id_of() { awk -F: -v u="$1" '$1 == u { print $3 }' "$S/passwd"; }

mode_and_owner() { stat -c '%a %u' "$1"; }
deferred() { has "$S/log" "status=deferred"; has "$S/log" "$1"; }

# --- the aliases file -----------------------------------------------------------------------

@test "|command: the message on its standard input, as default_user, in a clean environment" {
	write_aliases "robot: \"|/bin/sh -c 'id -u; env | sort; cat' >$S/drop/out\""
	post robot
	queue_is_empty
	same "$(head -n 1 "$S/drop/out")" 65534
	has "$S/drop/out" "SENDER=ann@far.example"
	has "$S/drop/out" "RECIPIENT=robot@router.example"
	has "$S/drop/out" "Return-Path: <ann@far.example>"
	has "$S/drop/out" "Subject: test"
	same "$(tail -n 1 "$S/drop/out")" hello
	has_not "$S/drop/out" MTABOX
	logged "to=<robot@router.example>"
	has_not "$S/log" "id -u"
}

@test "no text of a command is in the queue or in mailq" {
	write_aliases "robot: \"|/bin/sh -c 'exit 75' secret-word\""
	post robot
	spool_is Q
	has_not "$(message)" secret-word
	run_mtabox mailq -C "$conf" >"$S/listing"
	has "$S/listing" robot
	has_not "$S/listing" secret-word
}

@test "default_user root is not believed" {
	write_conf "default_user root"
	write_aliases "robot: \"|/bin/sh -c 'id -u' >$S/drop/out\""
	post robot
	same "$(cat "$S/drop/out")" 65534
}

@test "/file: appended to with default_user's rights; /dev/null: gone" {
	write_aliases "archive: $S/drop/archive" "sink: /dev/null" "forbidden: $S/home/root/x"
	post archive
	post archive
	same "$(mbox count "$S/drop/archive")" 2
	same "$(mode_and_owner "$S/drop/archive")" "600 65534"
	post sink
	queue_is_empty
	same "$(find /dev/null -type c)" /dev/null
	post forbidden
	deferred "Permission denied"
	[ ! -e "$S/home/root/x" ]
}

@test ":include:, with lists in lists" {
	printf '%s\n' '# friends' 'bob, joe' ":include:$S/more" >"$S/list"
	printf '%s\n' 'joe@router.example' '"far away" <ann@x.invalid>' >"$S/more"
	write_aliases "list: :include:$S/list"
	write_conf
	post list
	delivered 1 joe
	delivered 1 bob
	has "$S/log" "to=<ann@x.invalid>"
}

@test "a list that cannot be read: the mail waits, with the reason, until it can" {
	write_aliases "list: joe, :include:$S/list"
	post list
	deferred "$S/list"
	delivered 0 joe
	echo bob >"$S/list"
	expect 0 deliver -q -O defer=yes
	queue_is_empty
	delivered 1 joe
	delivered 1 bob
}

@test "commands and files in a list that is included are refused" {
	echo "|touch $S/drop/never" >"$S/list"
	write_aliases "list: :include:$S/list"
	post list
	deferred "$S/list line 1"
	[ ! -e "$S/drop/never" ]
	: >"$S/log"
	echo "$S/drop/never" >"$S/list"
	flush
	deferred "$S/list line 1"
	[ ! -e "$S/drop/never" ]
}

@test "of many targets each gets it once, and only what failed is tried again" {
	echo bob >"$S/list"
	write_aliases "team: joe, \"|cat >>$S/drop/one\", $S/drop/two, :include:$S/list, \"|test -e $S/drop/ready && cat >>$S/drop/three || exit 75\""
	post team
	spool_is Q
	flush
	touch "$S/drop/ready"
	flush
	queue_is_empty
	same "$(grep -c ^hello "$S/drop/one")" 1
	same "$(mbox count "$S/drop/two")" 1
	same "$(grep -c ^hello "$S/drop/three")" 1
	delivered 1 joe
	delivered 1 bob
}

@test "whoever two names lead to has it once" {
	write_aliases "robot: joe, /dev/null" "other: joe, bob, /dev/null"
	post robot other bob
	queue_is_empty
	delivered 1 joe
	delivered 1 bob
}

@test "an alias with a command that names itself: the mailbox, too, or where .forward says" {
	echo 'joe, \joe' >"$S/list"
	write_aliases "joe: \"|cat >>$S/drop/out\", joe" "bob: :include:$S/list, bob"
	post joe
	queue_is_empty
	delivered 1 joe
	post bob
	queue_is_empty
	delivered 2 joe
	delivered 1 bob
	forwards joe bob
	post joe
	queue_is_empty
	delivered 2 bob
	same "$(grep -c ^hello "$S/drop/out")" 3
	has_not "$S/log" bounced
}

@test "a command that refuses the mail for good: a bounce, once, for all of its message" {
	write_aliases "robot: \"|/bin/sh -c 'echo we are closed; exit 69'\""
	letter | expect 0 sendmail -odq -i -f joe robot
	flush
	flush
	queue_is_empty
	delivered 1 joe
	has "$S/mail/joe" "we are closed"
	has "$S/mail/joe" "Final-Recipient: rfc822; robot@router.example"
}

@test "a bounce goes where the sender's aliases and .forward lead" {
	write_aliases "robot: \"|cat >>$S/drop/bounce\"" "root: joe, robot" "gone: \"|exit 67\""
	forwards joe bob
	letter | expect 0 sendmail -odq -i -f root gone
	flush
	queue_is_empty
	same "$(grep -c '^Subject: Undelivered' "$S/drop/bounce")" 1
	delivered 1 bob
	delivered 0 joe
	has "$S/mail/bob" "Final-Recipient: rfc822; gone@router.example"
}

@test "a sender whose .forward refuses bounces: what fails later is the postmaster's to know" {
	write_aliases "gone: \"|exit 67\"" "later: \"|test -e $S/drop/ready && exit 67; exit 75\""
	forwards joe '\joe' '"|exit 67"'
	letter | expect 0 sendmail -odq -i -f joe gone later
	flush
	spool_is Q
	delivered 1 joe
	delivered 1 bob
	touch "$S/drop/ready"
	flush
	queue_is_empty
	delivered 1 joe
	delivered 2 bob
	mbox content "$S/mail/bob" 2 | grep -q "later@router.example"
}

@test "the alias is mended while its mail waits" {
	write_aliases "robot: bob, |"
	post robot
	spool_is Q
	delivered 0 bob
	write_aliases "robot: bob, joe"
	flush
	queue_is_empty
	delivered 1 bob
	delivered 1 joe
}

@test "an alias with parts is edited while one of them waits: the file as it is now counts" {
	write_aliases "robot: \"|cat >>$S/drop/done\", \"|exit 75\", $S/drop/file"
	post robot
	spool_is Q
	write_aliases "robot: \"|cat >>$S/drop/new\", $S/drop/file, joe, \"|cat >>$S/drop/done\""
	flush
	queue_is_empty
	same "$(grep -c ^hello "$S/drop/done")" 1
	same "$(grep -c ^hello "$S/drop/new")" 1
	same "$(mbox count "$S/drop/file")" 1
	same "$(mbox count "$S/mail/joe")" 1
	has "$S/drop/new" "Delivered-To: robot@router.example"
}

@test "parts of an alias change places while one of them waits: each gets the mail" {
	local a="\"|cat >>$S/drop/a\"" b="\"|test -e $S/drop/ready && cat >>$S/drop/b || exit 75\""
	write_aliases "robot: $a, $b"
	post robot
	spool_is Q
	touch "$S/drop/ready"
	write_aliases "robot: $b, $a"
	flush
	queue_is_empty
	same "$(grep -c ^hello "$S/drop/a")" 1
	same "$(grep -c ^hello "$S/drop/b")" 1
}

@test "the alias is gone while its command waits: so does the mail" {
	write_aliases "robot: \"|exit 75\""
	post robot
	write_aliases "other: joe"
	flush
	spool_is Q
	deferred "does not have robot any more"
	delivered 0 joe
}

@test ".forward is edited, or goes, while its commands wait" {
	forwards joe '"|exit 75"' '"|exit  75"' bob
	post joe
	spool_is Q
	forwards joe '"|exit  75"' bob "\"|cat >>$S/drop/out\""
	chmod 1777 "$S/drop"
	flush
	spool_is Q
	same "$(grep -c ^hello "$S/drop/out")" 1
	delivered 1 bob
	rm "$S/home/joe/.forward"
	flush
	queue_is_empty
	delivered 1 joe
	delivered 1 bob
}

# --- .forward -------------------------------------------------------------------------------

@test ".forward: addresses, files, commands, with the user's rights" {
	forwards joe '# comment' "bob, /$S/home/joe/copy" "\"|/bin/sh -c 'id -u; cat' >>$S/home/joe/out\""
	post joe
	queue_is_empty
	delivered 0 joe
	delivered 1 bob
	same "$(mode_and_owner "$S/home/joe/copy")" "600 7001"
	same "$(head -n 1 "$S/home/joe/out")" 7001
	has "$S/mail/bob" "Delivered-To: joe@router.example"
}

@test ".forward: \\user and user keep a copy" {
	forwards joe '\joe' bob
	post joe
	delivered 1 joe
	delivered 1 bob
	forwards joe 'joe, bob'
	post joe
	delivered 2 joe
	delivered 2 bob
}

@test ".forward leads to an alias, an alias to a .forward" {
	write_aliases "boss: joe" "team: bob"
	forwards joe team
	post boss
	delivered 1 bob
	delivered 0 joe
}

@test ".forward round in a circle: it ends in a mailbox" {
	forwards joe bob
	forwards bob joe
	post joe
	queue_is_empty
	same "$(($(mail_count joe) + $(mail_count bob)))" 1
	has_not "$S/log" bounced
}

@test ".forward to a list that leads back: each member gets it once" {
	write_aliases "plain: joe, bob" "list: joe, bob, \"|cat >>$S/drop/list\""
	for list in plain list; do
		forwards joe "$list"
		forwards bob "$list"
		post joe
		queue_is_empty
	done
	delivered 2 joe
	delivered 2 bob
	same "$(grep -c ^hello "$S/drop/list")" 1
	has_not "$S/log" bounced
}

@test "two that forward to each other, both addressed: none is left without" {
	forwards joe bob
	forwards bob joe
	post joe bob
	queue_is_empty
	[ "$(($(mail_count joe) + $(mail_count bob)))" -ge 1 ]
	has_not "$S/log" bounced
}

@test ".forward: mail that comes back ends in the mailbox" {
	forwards joe 'ann@x.example'
	printf 'Delivered-To: joe@router.example\n\nagain\n' | expect 0 sendmail -odq -f root joe
	flush
	queue_is_empty
	delivered 1 joe
	has_not "$S/log" ann@x.example
}

@test "an alias: mail that comes back is a loop" {
	write_aliases "list: ann@x.example, /dev/null"
	printf 'Delivered-To: list@router.example\n\nagain\n' | expect 0 sendmail -odq -f root list
	flush
	queue_is_empty
	delivered 1 root
	has "$S/mail/root" "5.4.6"
}

@test "deliver: another mail system's Delivered-To, and a .forward that calls it" {
	printf 'Delivered-To: joe@router.example\n\nx\n' | expect 0 deliver joe
	delivered 1 joe
	cp "$MTABOX" mtabox
	forwards joe "\"|$S/mtabox deliver -C $conf joe\""
	chmod 644 "$conf"
	letter | expect 0 deliver joe
	delivered 2 joe
}

@test ".forward that others may write to is not used" {
	forwards joe bob
	chmod 666 "$S/home/joe/.forward"
	post joe
	delivered 1 joe
	delivered 0 bob
	logged "only its owner may write to"
}

@test ".forward: a bad line keeps the mail in the queue, and says where" {
	forwards joe 'a@@b'
	post joe
	deferred "$S/home/joe/.forward line 1"
	forwards joe ''
	flush
	queue_is_empty
	delivered 1 joe
}

@test ".forward of another user cannot use the aliases file's commands" {
	write_aliases "robot: \"|id -u >$S/drop/out\""
	forwards joe robot
	post joe
	same "$(cat "$S/drop/out")" 65534
}

@test "forward no" {
	forwards joe bob
	write_conf "forward no"
	post joe
	delivered 1 joe
	delivered 0 bob
}

# --- mailboxes ------------------------------------------------------------------------------

@test "user+detail" {
	forwards joe "\"|echo \$EXTENSION >$S/home/joe/out; cat >/dev/null\"" '\joe'
	post joe+lists
	delivered 1 joe
	same "$(cat "$S/home/joe/out")" lists
	has "$S/mail/joe" "Delivered-To: joe+lists@router.example"
	letter | expect 67 sendmail -odd nosuch+lists
}

@test "a Maildir" {
	write_conf "mailbox $S/home/%u/Maildir/"
	post joe
	post joe bob
	same "$(ls "$S/home/joe/Maildir/new" | wc -l)" 2
	same "$(ls "$S/home/joe/Maildir/tmp" | wc -l)" 0
	same "$(mode_and_owner "$S/home/joe/Maildir")" "700 7001"
	has "$(find "$S/home/bob/Maildir/new" -type f)" "Delivered-To: bob@router.example"
}

@test "mailbox |command: as the recipient" {
	write_conf "mailbox |/bin/sh -c 'id -u; cat' >$S/drop/%u"
	post joe
	queue_is_empty
	same "$(head -n 1 "$S/drop/joe")" 7001
	echo 'x$(id):x:7003:7003::/:/bin/sh' >>"$S/passwd"
	letter | expect 67 sendmail -odd 'x$(id)'
}

# --- deliver as a delivery agent ------------------------------------------------------------

@test "deliver USER: at once, without a queue" {
	letter | expect 0 deliver -f ann@far.example joe
	silent
	delivered 1 joe
	has "$S/mail/joe" "Return-Path: <ann@far.example>"
	[ ! -e "$spool" ]
}

@test "deliver: no such user, no users, somebody else's" {
	letter | expect 67 deliver joe nosuch
	says nosuch
	letter | expect 64 deliver
	letter | expect 67 deliver joe@far.example
	letter | expect 64 deliver -q joe
	letter | expect 65 deliver 'a@@b'
	same "$(mail_count joe)" 1
}

@test "deliver follows .forward, not aliases" {
	write_aliases "joe: bob"
	letter | expect 0 deliver joe
	delivered 1 joe
	forwards joe "$S/home/joe/copy"
	letter | expect 0 deliver joe
	same "$(mbox count "$S/home/joe/copy")" 1
	delivered 1 joe
}

@test "deliver -a: the detail" {
	forwards joe "\"|echo \$EXTENSION >$S/home/joe/out; cat >/dev/null\""
	letter | expect 0 deliver -a lists joe
	same "$(cat "$S/home/joe/out")" lists
}

@test "deliver: what cannot be delivered now is 75, and nothing is left of it" {
	write_conf "mailbox $S/missing/%u"
	letter | expect 75 deliver joe
	says "joe"
	[ ! -e "$spool" ]
}

@test "a mailbox and a Maildir are their owner's, whatever the umask" {
	(umask 0777; printf 'Subject: x\n\nx\n' >"$S/letter")
	chmod 600 "$S/letter"
	(umask 0777; expect 0 "$MTABOX" deliver -C "$conf" "$me" <"$S/letter")
	delivered 1
	same "$(stat -c %a "mail/$me")" 600
	(umask 0777; expect 0 "$MTABOX" deliver -C "$conf" -O "mailbox=$S/mail/%u.d/" "$me" <"$S/letter")
	same "$(stat -c %a "mail/$me.d" "mail/$me.d"/new/* | sort -u | paste -sd,)" 600,700
}
