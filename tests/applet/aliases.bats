#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# The aliases file: who gets the mail, and that no line of it, good or bad, loses one.
load helper

# expands NAME WANT...: the recipients that NAME stands for.
expands() {
	local name=$1
	shift
	letter | accepted "$name"
	same "$(rcpts)" "$*" || fail "for: $name" || return
	rm "$(message)"
}

@test "expansion: one, many, aliases of aliases, addresses elsewhere" {
	write_aliases 'one: joe' 'many: joe, ann,bob@x.example' 'chain: one, many' \
		'# a comment' '' 'long: joe,' '  ann' '	, bob@x.example' 'named: Bob <bob@x.example>'
	expands one joe
	expands many ann bob@x.example joe
	expands chain ann bob@x.example joe
	expands long ann bob@x.example joe
	expands named bob@x.example
	expands other other
}

@test "a local name with a domain is looked up; one elsewhere is not" {
	write_conf 'local_domains home.example'
	write_aliases 'one: joe' 'there: one@router.example' 'far: one@x.example'
	expands one@router.example joe
	expands one@localhost joe
	expands one@HOME.example joe
	expands there joe
	expands far one@x.example
	expands one@x.example one@x.example
}

@test "case: names without regard to it" {
	write_aliases 'PostMaster: Root' 'root: joe'
	expands postmaster joe
	expands POSTMASTER joe
}

@test "loops end, and the one who loops keeps the mail" {
	write_aliases 'self: self' 'copy: copy, bob@x.example' 'a: b' 'b: a' 'far: a, joe'
	expands self self
	expands copy bob@x.example copy
	expands a a
	expands far a joe
}

@test "a backslash: that user's mailbox, no alias" {
	write_aliases 'joe: ann' 'plain: joe' 'final: \joe' 'ann: \ann, bob@x.example'
	expands plain ann bob@x.example
	expands final joe
	expands ann ann bob@x.example
}

@test "catch-all, and those it does not catch" {
	write_aliases '*: ann' 'joe: joe' 'bob: rob'
	expands anybody ann
	expands joe joe
	expands bob ann
	expands anybody@x.example anybody@x.example
}

@test "+detail: its own alias first, then that of the name" {
	write_aliases 'joe: ann' 'joe+lists: bob'
	expands joe+lists bob
	expands joe+other ann
	expands ann+x ann+x
}

@test "quotes" {
	write_aliases '"joe q": ann' 'x: "ann b"@x.example'
	expands '"joe q"' ann
	expands x '"ann b"@x.example'
}

@test "duplicates go once, whichever way they came" {
	write_aliases 'one: joe, ann' 'two: ann, joe'
	letter | expect 0 sendmail -odq one two joe
	same "$(rcpts)" 'ann joe'
}

@test "a chain that is too long keeps the mail, with a warning" {
	for i in $(seq 1 30); do echo "a$i: a$((i + 1))"; done >aliases
	letter | expect 0 sendmail -odq a1
	says 'the alias a1 leads too far'
	same "$(rcpts)" ''
	same "$(field alias)" a1
	expect 75 sendmail -bv a1
	prints 'a1... waits: the alias leads too far'
}

@test "too many targets: the same" {
	{ printf 'all: x0@x.example'; for i in $(seq 1 10001); do printf ',x%d@x.example' $i; done; } >aliases
	letter | expect 0 sendmail -odq all
	says 'the alias all leads too far'
	same "$(field alias)" all
}

@test "no aliases file: nobody has one" { expands joe joe; }

@test "bad lines: logged with file and line; the others count, no mail is lost" {
	write_aliases 'no colon here' 'good: joe' ': nameless' 'empty:' 'good: ann' 'a b c: x' 'half: ann, b c, joe'
	send -odq good empty half
	logged "$S/aliases line 1: no colon: no colon here"
	logged "$S/aliases line 3: no name"
	logged "$S/aliases line 4: no targets"
	logged "$S/aliases line 5: defined before, which counts: good"
	logged "$S/aliases line 7: "
	same "$(rcpts)" 'empty joe'
	same "$(field alias)" half
}

@test "newaliases: counts, and 0" {
	write_aliases 'one: joe' 'two: joe, ann,' '  bob'
	expect 0 newaliases
	same "$(cat out)" "$S/aliases: 2 aliases, 4 targets, 0 problems"
	is_empty err
}

@test "newaliases: every problem with file and line, and 65" {
	write_aliases 'one: joe' 'no colon' 'one: ann' '' '# x' 'two: |x, b c, ./y, /z, :include:/w'
	expect 65 newaliases
	same "$(sed 's/: .*//' err | sort -u)" newaliases
	same "$(grep -o 'line [0-9]*' err | paste -sd' ')" 'line 2 line 3 line 6 line 6'
	has err "newaliases: $S/aliases line 2: no colon: no colon"
	prints '4 problems'
}

@test "newaliases: no file is no problem; one that cannot be read is" {
	expect 0 newaliases
	mkdir aliases
	expect 66 newaliases
	says "cannot read the aliases file $S/aliases: Is a directory"
}

@test "they stay in the queue as a name; branches beside them do not wait" {
	write_aliases 'all: one, robot, far@x.example, joe' 'one: robot+x, ann' \
		'robot: "|cmd --password secret", bob' '*: /file' 'ann: ann'
	expands all ann far@x.example
	letter | expect 0 sendmail -odq all joe eve ann
	same "$(rcpts)" 'ann far@x.example'
	same "$(field alias | sort | paste -sd' ')" 'eve joe robot+x'
	has_not "$(message)" secret
	expect 0 mailq
	prints robot+x
}

@test "an alias that is gone when its mail is delivered: the name itself" {
	write_aliases "$me: |x"
	letter | expect 0 sendmail -odq $me
	rm aliases
	expect 0 sendmail -q
	wait_for queue_is_empty
	delivered 1
}

@test "an aliases file that was emptied: what it had waits, and goes when it is there again" {
	write_aliases "robot: |cat >$S/mail/robot" "$me: |x"
	letter | expect 0 sendmail -odq robot "$me"
	cp aliases kept
	: >aliases
	flush
	logged "status=deferred ($S/aliases does not have robot any more)"
	delivered 1
	spool_is Q
	cp kept aliases
	flush
	spool_is ''
	has mail/robot 'Subject: test'
}

@test "a name in a .forward that was never an alias is no reason to wait" {
	needs_root 'a name space of its own'
	mkdir home
	echo no-one >home/.forward
	printf 'root:x:0:0::/nowhere:/bin/sh\nbob:x:0:0::%s:/bin/sh\n' "$S/home" >passwd
	letter | expect 0 unshare -m sh -c 'mount --bind passwd /etc/passwd && exec "$@"' - \
		"$MTABOX" sendmail -C "$conf" -odi -O forward=yes -f root bob
	wait_for queue_is_empty
	logged 'no such user here: no-one'
}

@test "adminaddr: gets all local mail, after aliases" {
	write_conf "adminaddr $me"
	write_aliases 'one: two'
	send -odi one
	delivered 1
	has "mail/$me" "Delivered-To: $me@router.example"
}

@test "one message to several users of this device" {
	needs_root 'several mailboxes'
	write_aliases 'all: root, daemon, bin'
	send -odi all
	for user in root daemon bin; do
		delivered 1 $user
		same "$(stat -c %U:%a "mail/$user")" "$user:600"
	done
	same "$(content root)" "$(content bin)"
}
