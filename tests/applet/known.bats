#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Who gets mail on this device: what intake refuses, and what -bv says.
load helper

# with_passwd FILE COMMAND...: that file is /etc/passwd; without_passwd: there is none.
with_passwd() { unshare -m sh -c 'mount --bind "$0" /etc/passwd && exec "$@"' "$@"; }
without_passwd() { unshare -m sh -c 'mount -t tmpfs none /etc && exec "$@"' sh "$@"; }

# refused NAME...: 67 with the last of them named, and nothing is queued.
refused() {
	letter | expect 67 sendmail -odq "$@"
	same "$(cat err)" "sendmail: message not accepted: no such user here: ${*: -1}"
	spool_is ''
}

# --- intake ---------------------------------------------------------------------------------

@test "nobody knows any recipient: 67, and nothing is queued" {
	refused no-one
	refused no-one no-two@localhost no-three@router.example
	refused "$me.x"
	printf 'To: no-one\n\nhi\n' | expect 67 sendmail -odq -t
	says 'no such user here: no-one'
	spool_is ''
}

@test "the same directly, without a queue" {
	letter | expect 67 sendmail -odd no-one
	[ ! -e "$spool" ]
}

@test "one known beside: accepted, and the other comes back" {
	send -odq no-one "$me"
	same "$(rcpts)" "no-one $me"
	flush
	spool_is ''
	delivered 2
	has "mail/$me" 'Final-Recipient: rfc822; no-one@router.example'
}

@test "one elsewhere beside: accepted" {
	send -odq no-one joe@x.example
	same "$(rcpts)" 'joe@x.example no-one'
}

@test "known are users, in any case, with a detail, and aliases" {
	write_aliases 'robot: |exit 75' 'dead: no-one'
	for name in "$me" "${me^^}" "$me@localhost" "$me+x" robot ROBOT robot+x dead; do
		send -odq "$name"
		rm "$(message)"
	done
	refused no-one+robot
}

@test "with an alias for *, an adminaddr or nullclient all are known" {
	write_aliases '*: root'
	send -odq no-one
	rm aliases
	send -odq -O adminaddr=joe@x.example no-one
	send -odq -O nullclient=yes -O smarthost=smtp://127.0.0.1:1 no-one
	spool_is QQQ
}

@test "without /etc/passwd nobody can be told apart: accepted" {
	needs_root 'a name space of its own'
	letter | expect 0 without_passwd "$MTABOX" sendmail -C "$conf" -odq no-one
	silent
	same "$(rcpts)" no-one
}

@test "an /etc/passwd that cannot be read: accepted" {
	needs_root 'an /etc/passwd of its own'
	(umask 077; echo 'root:x:0:0::/:/bin/sh' >passwd)
	install -d -o nobody -m 700 spool
	install -m 666 /dev/null log
	letter | expect 0 with_passwd passwd setpriv --reuid=nobody --regid=nogroup --clear-groups \
		"$MTABOX" sendmail -C "$conf" -odq -f joe@x.example no-one
	silent
	spool_is Q
}

@test "an empty /etc/passwd, as a power cut leaves it: accepted, and kept until there is one" {
	needs_root 'an /etc/passwd of its own'
	: >passwd
	letter | expect 0 with_passwd passwd "$MTABOX" sendmail -C "$conf" -odq root
	expect 0 with_passwd passwd "$MTABOX" deliver -q -C "$conf" -O defer=yes
	logged 'status=deferred (cannot read /etc/passwd: '
	spool_is Q
	flush
	spool_is ''
	delivered 1 root
}

@test "-bs: 550 to each such RCPT, the others go on" {
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<joe@x.example>' 'RCPT TO:<no-one>' "RCPT TO:<$me>" \
		'RCPT TO:<no-two@router.example>' 'RCPT TO:<ann@x.example>' DATA '' hi . QUIT |
		expect 0 sendmail -bs -odq
	same "$(grep '^550' out | tr -d '\r' | paste -sd,)" \
		'550 5.1.1 no such user here,550 5.1.1 no such user here'
	same "$(rcpts)" "$(printf '%s\n' ann@x.example "$me" | sort | paste -sd' ')"
}

@test "-bs: none left, none queued" {
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<joe@x.example>' 'RCPT TO:<no-one>' DATA QUIT |
		expect 0 sendmail -bs -odq
	prints '503 '
	spool_is ''
}

# --- -bv ------------------------------------------------------------------------------------

# verified STATUS ARG...: -bv prints the lines on standard input, and leaves nothing behind.
verified() {
	local want=$1 before
	shift
	cat >"$S/want"
	before=$(listing)
	expect "$want" sendmail -bv "$@" </dev/null
	same "$(cat out)" "$(cat want)"
	same "$(listing)" "$before"
}

@test "-bv: a mailbox, in whatever form it is named" {
	verified 0 "$me" "$me@localhost" "Root <$me@router.example>" "$me+x" <<-END
	$me... deliverable: mailbox $S/mail/$me
	$me@localhost... deliverable: mailbox $S/mail/$me
	$me@router.example... deliverable: mailbox $S/mail/$me
	$me+x... deliverable: mailbox $S/mail/$me
	END
	is_empty err
}

@test "-bv: nobody: 67, and the others all the same" {
	verified 67 no-one "$me" no-two@localhost <<-END
	no-one... not deliverable: no such user here
	$me... deliverable: mailbox $S/mail/$me
	no-two@localhost... not deliverable: no such user here
	END
}

@test "-bv: aliases, expanded; what stands for a command is named only" {
	write_aliases "team: $me, joe@x.example, robot, chain" 'robot: "|secret"' 'chain: no-one'
	verified 67 -O smarthost=smtps://mail.example team <<-END
	robot... deliverable: by the aliases file
	$me... deliverable: mailbox $S/mail/$me
	joe@x.example... deliverable: smtps://mail.example:465
	no-one... not deliverable: no such user here
	END
}

@test "-bv: an alias that leads too far: 75" {
	for i in $(seq 1 30); do echo "a$i: a$((i + 1))"; done >aliases
	verified 75 a1 <<-END
	a1... waits: the alias leads too far
	END
}

@test "-bv: servers, those for the sender in order; or those of the domain" {
	write_conf 'smarthost smtps://one.example from=joe@*' 'smarthost smtps://two.example:466 from=joe@*' \
		'smarthost lmtp+unix:/run/three from=ann@*' 'masquerade ann@x.example'
	verified 0 -f joe@x.example bob@y.example <<-END
	bob@y.example... deliverable: smtps://one.example:465, smtps://two.example:466
	END
	verified 0 bob@y.example <<-END
	bob@y.example... deliverable: lmtp+unix:/run/three
	END
	verified 75 -f bob@x.example bob@y.example <<-END
	bob@y.example... waits: every smarthost has a from= for other senders
	END
	write_conf
	verified 0 bob@y.example <<-END
	bob@y.example... deliverable: mail servers of y.example
	END
}

@test "-bv: adminaddr, nullclient, other mailboxes" {
	write_conf 'adminaddr ann@x.example'
	verified 0 no-one <<-END
	no-one... deliverable: mail servers of x.example
	END
	write_conf 'nullclient' 'smarthost smtp://mail.example'
	verified 0 no-one <<-END
	no-one... deliverable: smtp://mail.example:25
	END
	write_conf 'mailbox |/bin/deliver-to %u'
	verified 0 "$me" <<-END
	$me... deliverable: mailbox |/bin/deliver-to $me
	END
}

@test "-bv: an /etc/passwd that cannot be read: 75; none: everybody" {
	needs_root 'an /etc/passwd of its own'
	(umask 077; echo 'root:x:0:0::/:/bin/sh' >passwd)
	expect 75 with_passwd passwd setpriv --reuid=nobody --regid=nogroup --clear-groups \
		"$MTABOX" sendmail -C "$conf" -bv joe -f joe@x.example
	prints 'joe... waits: cannot read /etc/passwd: Permission denied'
	expect 0 without_passwd "$MTABOX" sendmail -C "$conf" -bv joe
	prints "joe... deliverable: mailbox $S/mail/joe"
}

@test "-bv: without a recipient 64, with a bad one 65" {
	expect 64 sendmail -bv
	says 'name the recipients'
	expect 65 sendmail -bv 'a@@b' "$me"
	is_empty out
}
