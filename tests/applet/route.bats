#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Which server takes whose mail, and which way leads there.

load helper
load relay

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
}

servers=()

# --- by sender ------------------------------------------------------------------------------

# by_sender LINE...: a configuration with these smarthosts.
by_sender() {
	write_conf "tls_ca_file $certs/ca.pem" "auth_file $S/auth" "connect_timeout 2" \
		"command_timeout 2" "defer yes" "$@"
}

@test "each sender's mail goes to his own server, and not over the other's connection" {
	serve shop
	local shop=$port
	serve home
	by_sender "smarthost smtp://127.0.0.1:$port" \
		"smarthost smtp://127.0.0.1:$shop from=*@shop.example"
	post -f orders@Shop.Example a@x.example
	post -f joe@home.example a@x.example b@x.example
	post -f orders@shop.example b@x.example
	post -f joe@shop.example.org c@x.example
	flush
	queue_is_empty
	kept shop 2
	kept home 2
	saw shop connect 1
	saw home connect 1
	same "$(cat "$S"/home/envelope.* | grep -ci '@shop.example$')" 0
	same "$(cat "$S"/shop/envelope.* | grep -c '@home')" 0
}

@test "one sender's server is dead: the other sender's mail goes" {
	serve home
	by_sender "smarthost smtp://127.0.0.1:$port" \
		"smarthost smtp://127.0.0.1:1 from=shop.example"
	post -f orders@shop.example a@x.example
	post -f joe@home.example b@x.example
	post -f orders@shop.example c@x.example
	flush
	deferred a@x.example "Connection refused"
	deferred c@x.example "Connection refused"
	sent b@x.example
	spool_is QQ
}

@test "a sender's servers are tried in order, and no others" {
	serve second
	local second=$port
	serve other
	by_sender "smarthost smtp://127.0.0.1:$port" \
		"smarthost smtp://127.0.0.1:1 from=orders@shop.example" \
		"smarthost smtp://127.0.0.1:$second from=@shop.example"
	post -f orders@shop.example a@x.example
	flush
	sent a@x.example
	kept second 1
	kept other 0
}

@test "mail that no smarthost line is for waits, and says why" {
	serve server
	by_sender "smarthost smtp://127.0.0.1:$port from=shop.example"
	post -f joe@home.example a@x.example
	flush
	deferred a@x.example "every smarthost line has a from= for other senders"
	saw server connect 0
	spool_is Q
	by_sender "smarthost smtp://127.0.0.1:$port from=shop.example" \
		"smarthost smtp://127.0.0.1:$port"
	flush
	sent a@x.example
}

@test "a bounce goes where mail without a sender goes" {
	serve shop rcpt='550 5.1.1 nobody'
	local shop=$port
	serve bounces
	by_sender "smarthost smtp://127.0.0.1:$shop from=shop.example" \
		"smarthost smtp://127.0.0.1:$port from=<>"
	post -f orders@shop.example a@x.example
	flush
	flush
	bounced a@x.example nobody
	sent orders@shop.example
	kept bounces 1
	same "$(sed -n '1p' "$S/bounces/envelope.1")" '<>'
	queue_is_empty
}

@test "two accounts at one host, each with its own password" {
	secure joes mechanisms=PLAIN user=joe
	local joes=$port password=another-$password
	secure anns mechanisms=PLAIN user=ann
	by_sender "smarthost smtp+starttls://joe@127.0.0.1:$joes" \
		"smarthost smtp+starttls://ann@127.0.0.1:$port from=ann@home.example"
	(umask 077 && printf '%s\n' "ann|127.0.0.1:$password" "joe|127.0.0.1:${password#another-}" \
		"sue|127.0.0.1:x" >"$S/auth")
	post -f ann@home.example a@x.example
	post -f joe@home.example b@x.example
	flush
	queue_is_empty
	has "$S/anns/envelope.1" a@x.example
	has "$S/joes/envelope.1" b@x.example
}

# --- whose password -------------------------------------------------------------------------

@test "password_command says the password that auth_file does not have" {
	secure server mechanisms=PLAIN
	relay "smtp+starttls://joe@127.0.0.1:$port" \
		"password_command echo \$1 \$2 >>$S/asked; cat $S/password; exit 0"
	(umask 077 && printf '%s\r\nsecond line\n' "$password" >"$S/password")
	post a@x.example
	post b@x.example
	try_all
	sent a@x.example
	sent b@x.example
	same "$(cat "$S/asked")" 'joe 127.0.0.1'
	secret_is_not_in "$S/log" "$S/server"/wire.*
	knows_password 127.0.0.1
	post c@x.example
	flush
	sent c@x.example
	same "$(wc -l <"$S/asked")" 1
}

@test "password_command fails, says nothing, too much, or does not end: deferred" {
	local command
	secure server mechanisms=PLAIN
	post a@x.example
	for command in 'echo secret; exit 1' true 'echo; echo secret' 'kill -9 $$' \
		'head -c 5000 /dev/zero' 'exec sleep 1000' /none/such; do
		relay "smtp+starttls://joe@127.0.0.1:$port" "connect_timeout 1" \
			"password_command $command"
		rm -f log
		flush
		deferred a@x.example 'password_command failed, or said nothing, for joe at 127.0.0.1'
	done
	saw server connect 0
	serve other
	relay "smtp://127.0.0.1:$port" "password_command touch $S/asked"
	flush
	sent a@x.example
	[ ! -e asked ] || fail 'asked without a user'
}

# --- which way ------------------------------------------------------------------------------

@test "ip_version: a name's other addresses are not tried" {
	serve server
	relay "smtp://mail.localhost:$port" "ip_version 6"
	post a@x.example
	flush
	deferred a@x.example "connecting to ::1 port $port: Connection refused"
	relay "smtp://127.0.0.1:$port" "ip_version 6"
	flush
	deferred a@x.example "127.0.0.1 has no IPv6 address"
	saw server connect 0
	relay "smtp://mail.localhost:$port" "ip_version 4" "source_address 127.9.8.7"
	try_all
	sent a@x.example
	has "$S/server/events" 'connect 127.9.8.7'
}
