#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Mail to the exchangers of a domain, from the question to a name server (dns_server.py) to the
# mailbox or the bounce. Exchangers listen on port 25, each on a loopback address of its own.

load helper
load relay

servers=()

# The resolver of this test, and loopback addresses for its exchangers: $net.1, $net.2, ...
name_server() {
	needs_root 'port 25'
	mkdir "$S/dns"
	zone
	/usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/dns_server.py" "$S/dns" \
		>"$S/server.dns" 2>&1 3>&- &
	wait_for "[ -e '$S/dns/port' ]"
	dns=$(cat "$S/dns/port")
	net=127.$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1))
	by_mx "127.0.0.1#$dns"
}

# zone [LINE...]: what it says from now on.
zone() {
	printf '%s\n' "$@" >"$S/dns/zone.new"
	mv "$S/dns/zone.new" "$S/dns/zone"
}

# by_mx RESOLVER [LINE...]
by_mx() {
	write_conf "resolver $1" "connect_timeout 3" "command_timeout 3" "defer yes" "${@:2}"
}

# exchanger NAME NUMBER [KEY=VALUE...]
exchanger() { serve "$1" listen="$net.$2" port=25 "${@:3}"; }

# asked PATTERN COUNT: so many different questions.
asked() { same "$(sort -u "$S/dns/questions" | grep -c "$1")" "$2"; }

# bounced_as RCPT CODE WORDS: the log says so, and so does the bounce in our mailbox.
bounced_as() {
	bounced "$1" "$3"
	grep -F "to=<$1>" "$S/log" | grep -qF "dsn=$2," || fail "not $2"
	flush
	delivered 1
	has "$S/mail/$me" "Final-Recipient: rfc822; $1"
	has "$S/mail/$me" "Status: $2"
	queue_is_empty
}

@test "the best exchanger takes it, in clear where it offers no TLS" {
	name_server
	exchanger best 1
	exchanger second 2
	zone 'x.example MX 20 b.x.example' 'x.example MX 3 a.x.example' \
		"a.x.example A $net.1" "b.x.example A $net.2"
	post one@x.example two@X.Example
	flush
	sent one@x.example
	logged "relay=a.x.example[$net.1]:25"
	kept second 0
	saw best connect 1
	kept best 1
	has "$S/best/envelope.1" 'two@X.Example'
	queue_is_empty
}

@test "without a queue: more domains than workers" {
	name_server
	exchanger first 1
	exchanger second 2
	zone 'x.example MX 3 a.x.example' "a.x.example A $net.1" \
		'y.example MX 3 a.y.example' "a.y.example A $net.2"
	letter | expect 0 sendmail -odd -O workers=1 -f '' one@x.example two@y.example
	kept first 1
	kept second 1
}

@test "the first exchanger is dead: the next one takes it" {
	name_server
	exchanger live 2
	zone 'x.example MX 3 a.x.example' 'x.example MX 20 b.x.example' \
		"a.x.example A $net.1" "b.x.example A $net.2"
	post one@x.example
	flush
	sent one@x.example
	kept live 1
}

@test "the first exchanger greets with 421: the next one takes it" {
	name_server
	exchanger busy 1 greeting='421 4.3.2 later'
	exchanger live 2
	zone 'x.example MX 3 a.x.example' 'x.example MX 20 b.x.example' \
		"a.x.example A $net.1" "b.x.example A $net.2"
	post one@x.example
	flush
	sent one@x.example
	saw busy connect 1
	kept live 1
}

@test "all exchangers are dead: deferred" {
	name_server
	zone 'x.example MX 3 a.x.example' 'x.example MX 20 b.x.example' \
		"a.x.example A $net.1" "b.x.example A $net.2"
	post one@x.example
	flush
	deferred one@x.example "connecting to $net.2 port 25: Connection refused"
}

@test "an exchanger with two addresses, the first one dead" {
	name_server
	exchanger live 2
	zone 'x.example MX 3 a.x.example' "a.x.example A $net.1" "a.x.example A $net.2"
	post one@x.example
	flush
	sent one@x.example
	kept live 1
}

@test "null MX: a bounce, 5.1.10" {
	name_server
	zone 'x.example MX 0 .' 'x.example A 127.0.0.1'
	post one@x.example
	flush
	bounced_as one@x.example 5.1.10 'x.example takes no mail (null MX)'
}

@test "no MX: the domain's own address" {
	name_server
	exchanger live 1
	zone "x.example A $net.1"
	post one@x.example
	flush
	sent one@x.example
	logged "relay=x.example[$net.1]:25"
	kept live 1
}

@test "neither MX nor address: a bounce, 5.4.4" {
	name_server
	zone 'x.example TXT x'
	post one@x.example
	flush
	bounced_as one@x.example 5.4.4 'x.example has no address'
}

@test "an exchanger without an address: the next one; without a next one a bounce" {
	name_server
	exchanger live 1
	zone 'x.example MX 3 a.x.example' 'x.example MX 20 b.x.example' \
		'a.x.example TXT x' "b.x.example A $net.1" 'y.example MX 1 a.x.example'
	post one@x.example
	flush
	sent one@x.example
	kept live 1
	queue_is_empty
	post one@y.example
	flush
	bounced_as one@y.example 5.4.4 'a.x.example has no address'
}

@test "an exchanger that does not exist, another one that is dead: deferred" {
	name_server
	zone 'x.example MX 3 none.x.example' 'x.example MX 20 b.x.example' "b.x.example A $net.1"
	post one@x.example
	flush
	deferred one@x.example 'Connection refused'
}

@test "an alias: the exchangers of the name it stands for" {
	name_server
	exchanger live 1
	zone 'x.example CNAME y.example' 'y.example CNAME z.example' 'z.example MX 1 mail.z.example' \
		'mail.z.example CNAME host.z.example' "host.z.example A $net.1"
	post one@x.example
	flush
	sent one@x.example
	has "$S/live/envelope.1" one@x.example
}

@test "no such domain: a bounce, 5.1.2" {
	name_server
	zone 'y.example A 127.0.0.1'
	post one@x.example
	flush
	bounced_as one@x.example 5.1.2 'no such domain: x.example'
}

@test "the name server fails: deferred; it goes when that is over" {
	name_server
	exchanger live 1
	zone 'x.example SERVFAIL'
	post one@x.example
	flush
	deferred one@x.example "looking up x.example: only failures from name server 127.0.0.1"
	zone "x.example A $net.1"
	flush
	sent one@x.example
	kept live 1
}

@test "the name server is silent, or not there: deferred" {
	name_server
	zone 'x.example DROP'
	post one@x.example
	flush
	deferred one@x.example "looking up x.example: no answer from name server 127.0.0.1"
	by_mx '127.0.0.1#1'
	flush
	deferred one@x.example "no answer from name server 127.0.0.1"
}

@test "the exchanger's name cannot be looked up: deferred" {
	name_server
	zone 'x.example MX 1 a.x.example' 'a.x.example SERVFAIL'
	post one@x.example
	flush
	deferred one@x.example "looking up a.x.example"
}

@test "an answer that was cut short is asked for over TCP" {
	name_server
	exchanger live 1
	zone 'x.example TRUNCATE' 'x.example MX 1 a.x.example' "a.x.example A $net.1"
	post one@x.example
	flush
	sent one@x.example
	asked '^udp mx x.example$' 1
	asked '^tcp mx x.example$' 1
}

@test "the first name server is dead: the second one answers" {
	name_server
	exchanger live 1
	zone 'x.example MX 1 a.x.example' "a.x.example A $net.1"
	by_mx "127.0.0.1#1 127.0.0.1#$dns"
	post one@x.example
	flush
	sent one@x.example
	kept live 1
}

@test "two domains with one exchanger, and a third that is dead" {
	name_server
	exchanger live 1
	zone 'x.example MX 1 a.x.example' 'y.example MX 1 a.x.example' "a.x.example A $net.1" \
		"z.example A $net.2"
	post one@x.example two@y.example three@z.example
	flush
	sent one@x.example
	sent two@y.example
	deferred three@z.example 'Connection refused'
	kept live 2
}

# many_domains COUNT MX: dN.example, with this zone for its exchangers; and a message to each.
many_domains() {
	local n lines=()
	for ((n = 1; n <= $1; n++)); do lines+=("d$n.example MX ${2//|/$'\n'd$n.example MX }"); done
	zone "${lines[@]}" "a.x.example A $net.1" "b.x.example A $net.2"
	for ((n = 1; n <= $1; n++)); do post "one@d$n.example"; done
}

@test "many domains with one dead exchanger: it is tried once" {
	name_server
	exchanger dead 1 greeting=hangup
	by_mx "127.0.0.1#$dns" 'workers 1'
	many_domains 12 '1 a.x.example'
	flush
	saw dead connect 1
	same "$(grep -c 'status=deferred.*lost while waiting' "$S/log")" 12
	# Each run finds out anew.
	flush
	saw dead connect 2
}

@test "many domains whose first exchanger is dead: the second one takes all" {
	name_server
	exchanger dead 1 greeting=hangup
	exchanger live 2
	by_mx "127.0.0.1#$dns" 'workers 1'
	many_domains 12 '1 a.x.example|2 b.x.example'
	flush
	saw dead connect 1
	kept live 12
	queue_is_empty
}

@test "many domains at a host that refuses them: each hears it for itself" {
	name_server
	exchanger choosy 1 'greeting=421 4.7.0 not you'
	by_mx "127.0.0.1#$dns" 'workers 1'
	many_domains 4 '1 a.x.example'
	flush
	saw choosy connect 4
}

@test "ip_version and source_address" {
	name_server
	exchanger live 1
	zone "x.example A $net.1" 'x.example AAAA ::1'
	by_mx "127.0.0.1#$dns" 'ip_version 4' "source_address ::1  $net.9"
	post one@x.example
	flush
	sent one@x.example
	has "$S/live/events" "connect $net.9"
	asked ' aaaa ' 0
	by_mx "127.0.0.1#$dns" 'source_address 192.0.2.1' 'ip_version 4'
	post one@x.example
	flush
	deferred one@x.example "connecting to $net.1 port 25 from 192.0.2.1: "
}

# --- many destinations at once ----------------------------------------------------------------

@test "200 messages, and destinations that are silent, dead, slow, or want a login: one is well" {
	local n runner most=0 now name
	name_server
	exchanger well 1
	exchanger silent 2 greeting=stall
	exchanger slow 3 drip=yes 'mail#1=hold'
	exchanger login 4 'mail=530 5.7.0 who are you?'
	zone "well.example A $net.1" "silent.example A $net.2" "slow.example A $net.3" \
		"login.example A $net.4" "dead.example A $net.5"
	by_mx "127.0.0.1#$dns" 'command_timeout 50' 'workers 4'
	for ((n = 0; n < 40; n++)); do
		for name in silent slow dead login; do
			letter | expect 0 sendmail -odq -f joe@x.example "r$n@$name.example"
		done
	done
	for ((n = 0; n < 36; n++)); do
		letter | expect 0 sendmail -odq -f joe@x.example "r$n@well.example"
	done
	for ((n = 0; n < 4; n++)); do
		letter | expect 0 sendmail -odq -f joe@x.example \
			all@{silent,slow,dead,login,well}.example
	done
	"$MTABOX" deliver -C "$conf" -q </dev/null >"$S/out" 2>"$S/err" 3>&- &
	runner=$!
	# It does not wait for those that are at work all the time.
	while [ "$(events well kept)" -lt 40 ]; do
		now=$(wc -w <"/proc/$runner/task/$runner/children")
		[ "$now" -le "$most" ] || most=$now
		[ "$SECONDS" -lt 40 ] || fail 'the healthy one waits'
	done
	has_not "$S/log" '@silent.example>, relay=silent'
	kept slow 0
	[ "$most" -le 4 ] || fail "$most workers"
	: >"$S/slow/go"
	wait_for '[ "$(events slow kept)" = 44 ]' 40
	kill -TERM $runner
	wait $runner || true
	[ "$(events well connect)" -le 3 ]
	saw silent connect 1
	# One attempt for all of them, and one line for each.
	[ "$(events login connect)" -le 2 ]
	same "$(grep -c '@dead.example>.*status=deferred' "$S/log")" 44
	same "$(grep -c '@login.example>.*status=deferred' "$S/log")" 44
	same "$(grep -c '@well.example>.*status=sent' "$S/log")" 40
	same "$(grep -c '@slow.example>.*status=sent' "$S/log")" 44
}
