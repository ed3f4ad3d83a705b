#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Does the configuration work? sendmail -bv -v goes to the servers, and sends nothing.

load helper
load relay

servers=()

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
}

# probe STATUS ARG...: standard output is the lines on standard input; no mail goes anywhere, no
# password is shown.
probe() {
	local name
	cat >"$S/wanted"
	expect "$1" timeout 40 "$MTABOX" sendmail -C "$conf" -bv -v "${@:2}" </dev/null
	same "$(cat "$S/out")" "$(cat "$S/wanted")"
	no_faults
	for name in "${servers[@]}"; do
		saw "$name" mail 0
		kept "$name" 0
	done
	secret_is_not_in "$S/out" "$S/err"
	[ ! -e "$spool" ] || fail 'it made a queue'
}

@test "a server that works, with a login: greeting, extensions, TLS and verdict" {
	secure server mechanisms='PLAIN LOGIN'
	knows_password 127.0.0.1
	relay "smtp+starttls://joe@127.0.0.1:$port"
	probe 0 <<-END
		127.0.0.1[127.0.0.1]:$port: ready for mail as joe (TLS, verified)
	END
	says '<<< 220 '
	says 'TLSv1.2 ECDHE-'
	says '<<< 250-'
	says '>>> AUTH PLAIN'
	says '>>> QUIT'
	same "$(commands server)" 'EHLO STARTTLS EHLO AUTH QUIT'
	nothing_in_clear server
}

@test "a recipient: the servers that his mail would go to, each once" {
	serve first
	local one=$port
	serve second
	relay "smtp://127.0.0.1:$one from=other.example" "smarthost 127.0.0.1:$port" 'nullclient no'
	printf '%s\n' 'list: a@x.example, b@y.example' >"$S/aliases"
	probe 0 list c@x.example <<-END
		a@x.example... deliverable: smtp://127.0.0.1:$port
		b@y.example... deliverable: smtp://127.0.0.1:$port
		c@x.example... deliverable: smtp://127.0.0.1:$port
		127.0.0.1[127.0.0.1]:$port: ready for mail without a login (in clear)
	END
	saw second connect 1
	saw first connect 0
	probe 0 -f me@other.example a@x.example <<-END
		a@x.example... deliverable: smtp://127.0.0.1:$one
		127.0.0.1[127.0.0.1]:$one: ready for mail without a login (in clear)
	END
	saw first connect 1
}

@test "without -v no server is asked" {
	serve server
	relay "127.0.0.1:$port"
	expect 0 sendmail -bv a@x.example
	expect 0 sendmail -X "$S/session" -bv a@x.example
	saw server connect 0
}

@test "local users are looked up, and nobody is asked for them: 0 and 67" {
	probe 0 "$me" <<-END
		$me... deliverable: mailbox $S/mail/$me
	END
	serve server
	relay "127.0.0.1:$port"
	probe 67 no-such-user a@x.example <<-END
		no-such-user... not deliverable: no such user here
		a@x.example... deliverable: smtp://127.0.0.1:$port
		127.0.0.1[127.0.0.1]:$port: ready for mail without a login (in clear)
	END
}

@test "every line of the configuration is tried, whatever became of those before: 75" {
	serve good
	local good=$port
	serve busy greeting='421 4.3.2 come back later'
	relay 'smtp://127.0.0.1:9' "smarthost 127.0.0.1:$port" \
		"smarthost 127.0.0.1:$good from=joe@x.example"
	probe 75 <<-END
		127.0.0.1[127.0.0.1]:9: not usable: connecting to 127.0.0.1 port 9: Connection refused (4.4.1)
		127.0.0.1[127.0.0.1]:$port: not usable: come back later (421 4.3.2)
		127.0.0.1[127.0.0.1]:$good: ready for mail without a login (in clear)
	END
}

@test "a server that refuses us in its greeting: 75, for mail would be tried there again" {
	serve server greeting='554 5.7.1 not from there'
	relay "127.0.0.1:$port"
	probe 75 <<-END
		127.0.0.1[127.0.0.1]:$port: not usable: not from there (554 4.7.1)
	END
	relay smtps://nowhere.invalid 'resolver 127.0.0.1#9'
	probe 75 <<-END
		smtps://nowhere.invalid:465: not usable: looking up nowhere.invalid: no answer from name server 127.0.0.1 (4.4.3)
	END
}

@test "a password that is refused, or not there, or may be read by others: 77" {
	local words
	secure server mechanisms=PLAIN auth='535 5.7.8 wrong password'
	relay "smtp+starttls://joe@127.0.0.1:$port"
	probe 77 <<-END
		smtp+starttls://joe@127.0.0.1:$port: not usable: no password for joe at 127.0.0.1 in auth_file $S/auth (4.7.8)
	END
	knows_password 127.0.0.1
	probe 77 <<-END
		127.0.0.1[127.0.0.1]:$port: not usable: AUTH PLAIN as joe at 127.0.0.1 refused: wrong password (535 4.7.8)
	END
	chmod 644 "$S/auth"
	probe 77 <<-END
		smtp+starttls://joe@127.0.0.1:$port: not usable: auth_file $S/auth can be read by others: chmod 600 it (4.7.0)
	END
}

@test "an auth_file that this user may not read: 77, and who may" {
	needs_root 'another user'
	serve server
	knows_password 127.0.0.1
	relay "joe@127.0.0.1:$port"
	cp "$MTABOX" mtabox
	expect 77 as_nobody ./mtabox sendmail -C "$conf" -bv -v
	prints "smtp://joe@127.0.0.1:$port: not usable: auth_file $S/auth: Permission denied: root and its owner may read it (4.7.0)"
	saw server connect 0
}

@test "a certificate that is not trusted: 77, with words and remedy" {
	serve server tls=starttls cert="$certs/unknown"
	relay "smtp+starttls://127.0.0.1:$port"
	expect 77 sendmail -bv -v
	prints "127.0.0.1[127.0.0.1]:$port: not usable: "
	prints 'tls_pin'
	kept server 0
	relay "smtp+starttls://127.0.0.1:$port" 'tls_verify no'
	probe 0 <<-END
		127.0.0.1[127.0.0.1]:$port: ready for mail without a login (TLS, NOT verified)
	END
}

@test "TLS that is required and not offered: 77; a server that says nothing: 75" {
	serve server
	relay "smtp+starttls://127.0.0.1:$port"
	expect 77 sendmail -bv -v
	prints "127.0.0.1[127.0.0.1]:$port: not usable: "
	next_case
	serve server greeting=stall
	relay "127.0.0.1:$port"
	expect 75 sendmail -bv -v
	prints "not usable: no answer from 127.0.0.1[127.0.0.1]:$port in time (4.4.2)"
}

@test "exchangers, one after the other until one works; a domain without any: 69" {
	mkdir "$S/dns"
	printf '%s\n' 'x.example MX 10 a.x.example' 'x.example MX 20 b.x.example' \
		'a.x.example A 127.0.0.9' 'b.x.example A 127.0.0.1' 'null.example MX 0 .' \
		'dead.example MX 10 a.x.example' >"$S/dns/zone"
	/usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/dns_server.py" "$S/dns" \
		>"$S/server.dns" 2>&1 3>&- &
	wait_for "[ -e '$S/dns/port' ]"
	needs_root 'port 25'
	serve server listen=127.0.0.9 port=25 greeting='421 4.3.2 later'
	serve other listen=127.0.0.1 port=25
	write_conf "resolver 127.0.0.1#$(cat "$S/dns/port")" 'connect_timeout 3'
	probe 0 a@x.example b@X.Example <<-END
		a@x.example... deliverable: mail servers of x.example
		b@X.Example... deliverable: mail servers of X.Example
		b.x.example[127.0.0.1]:25: ready for mail without a login (in clear)
	END
	says 'later'
	saw other connect 1
	probe 69 a@null.example a@x.example a@dead.example <<-END
		a@null.example... deliverable: mail servers of null.example
		a@x.example... deliverable: mail servers of x.example
		a@dead.example... deliverable: mail servers of dead.example
		mail servers of null.example: not usable: null.example takes no mail (null MX) (5.1.10)
		b.x.example[127.0.0.1]:25: ready for mail without a login (in clear)
		mail servers of dead.example: not usable: later (421 4.3.2)
	END
}

@test "with -O, without a file; the login and command of one message" {
	serve server mechanisms=PLAIN
	write_conf 'insecure_auth yes'
	probe 0 -S "127.0.0.1:$port" -au joe -ap "$password" <<-END
		127.0.0.1[127.0.0.1]:$port: ready for mail as joe (in clear)
	END
	next_case
	serve server
	probe 0 -O "smarthost=smtp://127.0.0.1:$port" <<-END
		127.0.0.1[127.0.0.1]:$port: ready for mail without a login (in clear)
	END
	probe 0 -H "/usr/bin/python3 -ISB '$BATS_TEST_DIRNAME/connect.py' $port" <<-END
		/-H: ready for mail without a login (unix socket)
	END
	saw server connect 2
}

@test "no smarthost and no recipient: 64, with words" {
	expect 64 sendmail -bv -v
	says '-bv -v: there is no smarthost to try: name a recipient'
	is_empty "$S/out"
}

@test "a configuration that cannot be used: 78" {
	write_conf 'smarthost smtps://joe:secret@127.0.0.1'
	expect 78 sendmail -bv -v
	says 'a password does not belong here'
	has_not "$S/err" secret@
}
