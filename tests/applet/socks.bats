#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Servers by way of a SOCKS5 proxy (socks_server.py), which knows names that this device does
# not, good and bad.

load helper
load relay

servers=()

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
	local from=20200101000000Z until=20400101000000Z
	certificate example ca CA:FALSE subjectAltName=DNS:mail.example
}

# proxy [KEY=VALUE...]: starts one; its port is $proxy.
proxy() {
	rm -rf "$S/proxy"
	/usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/socks_server.py" "$S/proxy" "$@" \
		<<<"$password" >"$S/server.proxy" 2>&1 3>&- &
	wait_for "[ -e '$S/proxy/port' ]"
	proxy=$(cat "$S/proxy/port")
}

asked() { same "$(cat "$S/proxy/events" 2>/dev/null | paste -sd,)" "$1"; }

# by_proxy URL [LINE...]: no name server answers.
by_proxy() { relay "$1" "resolver 127.0.0.1#9" "proxy 127.0.0.1:$proxy" "${@:2}"; }

@test "a server by its name, with TLS and a login; the name is the proxy's to look up" {
	serve server tls=starttls cert="$certs/example" mechanisms=PLAIN
	proxy
	knows_password mail.example
	by_proxy "smtp+starttls://joe@mail.example:$port"
	post a@x.example
	flush
	sent a@x.example
	kept server 1
	nothing_in_clear server
	asked "connect mail.example $port"
	logged "relay=mail.example:$port,"
}

@test "addresses go to the proxy as such" {
	serve server
	proxy
	by_proxy "192.0.2.1:$port"
	post a@x.example
	flush
	sent a@x.example
	logged "relay=192.0.2.1[192.0.2.1]:$port,"
	by_proxy "[2001:DB8::1]:$port"
	post b@x.example
	flush
	sent b@x.example
	logged "relay=2001:DB8::1[2001:db8::1]:$port,"
	kept server 2
	asked "connect 192.0.2.1 $port,connect 2001:db8::1 $port"
}

@test "this device itself, and unix sockets, are reached without" {
	local host
	proxy
	for host in 127.0.0.1 localhost Mail.LocalHost; do
		next_case
		serve server
		by_proxy "$host:$port"
		post a@x.example
		flush
		sent a@x.example
	done
	next_case
	serve server listen=unix
	by_proxy "smtp+unix:$S/server/socket"
	post b@x.example
	flush
	sent b@x.example
	asked ''
}

@test "a proxy that wants a login: from auth_file, or password_command, or not at all" {
	serve server
	proxy user=joe
	by_proxy "mail.example:$port" "proxy joe@127.0.0.1:$proxy"
	post a@x.example
	flush
	deferred a@x.example 'no password for joe at 127.0.0.1 in auth_file'
	asked ''
	knows_password 127.0.0.1
	flush
	sent a@x.example
	asked "login joe right,connect mail.example $port"
	rm "$S/auth"
	post b@x.example
	by_proxy "mail.example:$port" "proxy joe@127.0.0.1:$proxy" \
		"password_command \"cat $S/pass.\$1.\$2\""
	printf '%s\n' "$password" >"$S/pass.joe.127.0.0.1"
	flush
	sent b@x.example
	kept server 2
	secret_is_not_in "$S/log"
}

@test "a login that is refused, wanted, or not wanted at all" {
	serve server
	proxy user=jane
	knows_password 127.0.0.1
	by_proxy "mail.example:$port" "proxy joe@127.0.0.1:$proxy"
	post a@x.example
	flush
	deferred a@x.example "reaching mail.example by proxy 127.0.0.1: it refuses our user or password"
	asked "login joe wrong"
	# An entry for that host without a user in the key is for a mail server there.
	by_proxy "mail.example:$port"
	flush
	deferred a@x.example 'it wants a login: write proxy USER@HOST, and the password into auth_file'
	proxy say=05ff
	by_proxy "mail.example:$port" "proxy joe@127.0.0.1:$proxy"
	flush
	deferred a@x.example 'it does not take a user and password'
	kept server 0
}

@test "what the proxy cannot do is no reason for a bounce" {
	local code words
	serve server
	while IFS='|' read -r code words; do
		proxy code="$code"
		by_proxy "mail.example:$port"
		post a@x.example
		flush
		deferred a@x.example "reaching mail.example by proxy 127.0.0.1: it $words"
	done <<-'END'
		1|says: general failure
		2|says: not allowed by the rules
		4|says: host unreachable
		5|says: connection refused
		8|says: address type not supported
	END
	by_proxy "mail.example:$port" "proxy nowhere.invalid" "connect_timeout 1"
	post b@x.example
	flush
	deferred b@x.example 'by proxy nowhere.invalid: looking up nowhere.invalid: no answer'
	by_proxy "mail.example:$port" 'proxy 127.0.0.1:9'
	post c@x.example
	flush
	deferred c@x.example 'by proxy 127.0.0.1: connecting to 127.0.0.1 port 9: Connection refused'
	kept server 0
}

@test "a proxy that is cut off, or another kind of server" {
	local case words
	serve server
	knows_password 127.0.0.1
	while IFS='|' read -r case words; do
		proxy user=joe $case
		by_proxy "mail.example:$port" "proxy joe@127.0.0.1:$proxy"
		post a@x.example
		flush
		deferred a@x.example "reaching mail.example by proxy 127.0.0.1: it $words"
	done <<-'END'
		cut=0|closed the connection
		cut=1|closed the connection
		cut=3|closed the connection
		cut=8|closed the connection
		cut=13|closed the connection
		say=485454502f312e3120343030|does not speak SOCKS5
		say=05000400000100|does not speak SOCKS5
		say=05000500000001|does not speak SOCKS5
		say=05000500000305|closed the connection
	END
	kept server 0
}

@test "a proxy that says one byte at a time; one that stops has connect_timeout for it all" {
	local bytes
	secure server
	proxy drip=yes
	by_proxy "mail.example:$port" 'tls_verify no'
	post a@x.example
	flush
	sent a@x.example
	knows_password 127.0.0.1
	for bytes in 0 3 9; do
		proxy user=joe stall=$bytes drip=yes
		by_proxy "mail.example:$port" "proxy joe@127.0.0.1:$proxy" 'connect_timeout 1'
		post b@x.example
		flush
		deferred b@x.example 'it does not answer in time'
	done
}

@test "exchangers are asked of our name servers and reached by their names" {
	mkdir "$S/dns"
	printf '%s\n' 'x.example MX 10 mx.x.example' >"$S/dns/zone"
	/usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/dns_server.py" "$S/dns" \
		>"$S/server.dns" 2>&1 3>&- &
	wait_for "[ -e '$S/dns/port' ]"
	serve server
	proxy port="$port"
	write_conf "resolver 127.0.0.1#$(cat "$S/dns/port")" "proxy 127.0.0.1:$proxy" 'defer yes'
	post a@x.example
	flush
	sent a@x.example
	logged 'relay=mx.x.example:25,'
	asked 'connect mx.x.example 25'
	same "$(cat "$S/dns/questions")" 'udp mx x.example'
}

@test "whether the configuration works is seen by way of the proxy" {
	serve server
	proxy
	by_proxy "mail.example:$port"
	expect 0 sendmail -bv -v
	same "$(cat "$S/out")" "mail.example:$port: ready for mail without a login (in clear)"
	asked "connect mail.example $port"
	by_proxy "mail.example:$port" 'proxy 127.0.0.1:9'
	expect 75 sendmail -bv -v
	prints "mail.example:$port: not usable: reaching mail.example by proxy 127.0.0.1: connecting to"
	kept server 0
}

@test "a proxy's name that leads to several addresses: one of them may be dead" {
	mkdir "$S/dns"
	printf '%s\n' 'gw.example AAAA ::1' 'gw.example A 127.0.0.1' >"$S/dns/zone"
	/usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/dns_server.py" "$S/dns" \
		>"$S/server.dns" 2>&1 3>&- &
	wait_for "[ -e '$S/dns/port' ]"
	serve server
	proxy
	relay "mail.example:$port" "resolver 127.0.0.1#$(cat "$S/dns/port")" \
		"proxy gw.example:$proxy"
	post a@x.example
	flush
	sent a@x.example
	asked "connect mail.example $port"
	! grep mail.example "$S/dns/questions" || fail 'it asked for the server'
}

@test "BusyBox's way goes by the proxy too; its login is not for the proxy" {
	serve server mechanisms=PLAIN
	proxy
	by_proxy 127.0.0.1 'insecure_auth yes'
	letter | expect 0 sendmail -S "mail.example:$port" -au joe -ap "$password" a@x.example
	kept server 1
	asked "connect mail.example $port"
	proxy user=joe
	by_proxy 127.0.0.1 'insecure_auth yes' "proxy joe@127.0.0.1:$proxy"
	letter | expect 77 sendmail -S "mail.example:$port" -au joe -ap "$password" a@x.example
	says 'no password for joe at 127.0.0.1'
	asked ''
	knows_password 127.0.0.1
	letter | expect 0 sendmail -S "mail.example:$port" -au joe -ap "$password" a@x.example
	kept server 2
}
