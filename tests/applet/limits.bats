#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What servers teach us: how much they take at once, which message they do not survive, that they
# want a login or that their TLS is none. Mail gets through in spite of it, once.

load helper
load relay

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
}

servers=()

# --- verbs ----------------------------------------------------------------------------------

# limited KEY=VALUE...: such a server, and the configuration for it.
limited() {
	serve server "$@"
	relay "smtp://127.0.0.1:$port"
}

# mails COUNT [RCPT]: so many messages into the queue, each from a sender of its own.
mails() {
	local n
	for ((n = 1; n <= $1; n++)); do
		letter "number $n" | expect 0 sendmail -odq -f "s$n@x.example" "${2:-a@x.example}"
	done
}

# poison: a message that such servers know by its sender and recipient. It is older than all
# others, and so the first to be tried.
poison() {
	letter poison | expect 0 sendmail -odq -f poison@x.example poison@x.example
	oldest poison@x.example
}
oldest() {
	local file
	file=$(grep -l "^sender $1" "$spool"/Q*)
	mv "$file" "$spool/Q00${file##*/Q??}"
}

# got_once NAME COUNT RCPT...: each of these has COUNT messages, and nobody else has any.
got_once() {
	local name=$1 count=$2
	shift 2
	same "$(tail -qn +2 "$S/$name"/envelope.* | sort | uniq -c | awk '{ print $1 $2 }')" \
		"$(printf "$count<%s>\n" "$@" | sort)"
}

nothing_was_deferred() { has_not "$S/log" status=deferred; }

# --- recipients -----------------------------------------------------------------------------

@test "too many recipients: the others in further transactions, at once" {
	limited rcpts=2
	post a@x.example b@x.example c@x.example d@x.example e@x.example
	post a@x.example b@x.example c@x.example
	flush
	queue_is_empty
	nothing_was_deferred
	saw server connect 1
	kept server 5
	same "$(tail -qn +2 "$S"/server/envelope.* | sort | uniq -c | awk '{ print $1 $2 }' | paste -sd' ')" \
		'2<a@x.example> 2<b@x.example> 2<c@x.example> 1<d@x.example> 1<e@x.example>'
}

@test "what was learned counts for the messages behind: nobody is asked for in vain" {
	limited rcpts=2
	mails 1 a@x.example,b@x.example,c@x.example
	flush
	same "$(commands server)" "EHLO MAIL RCPT RCPT RCPT DATA MAIL RCPT DATA QUIT"
	next_case
	limited rcpts=2 'dot#1=hold'
	mails 1 a@x.example,b@x.example,c@x.example
	"$MTABOX" deliver -C "$conf" -q >"$S/out" 2>"$S/err" 3>&- &
	wait_for "grep -q 'hold dot' '$S/server/events'"
	mails 4 a@x.example,b@x.example,c@x.example
	: >"$S/server/go"
	wait $!
	queue_is_empty
	kept server 10
	# Two of the first three messages may have been on their way already.
	[ "$(commands server | tr ' ' '\n' | grep -c RCPT)" -le 17 ]
}

@test "one recipient at a time, one message a connection: a connection for each, in the same run" {
	local enough
	for enough in "421 4.7.0 enough" hangup "452 4.3.0 too many messages"; do
		next_case
		limited rcpts=1 mails=1 "enough=$enough"
		post a@x.example b@x.example c@x.example d@x.example
		flush
		queue_is_empty
		nothing_was_deferred
		got_once server 1 {a,b,c,d}@x.example
		saw server connect 4
	done
}

@test "recipients that nobody else fits beside: only those wait" {
	limited 'rcpt:full@=452 4.2.2 mailbox full' 'rcpt:later@=452 4.5.3 never'
	post full@x.example a@x.example later@x.example b@x.example
	flush
	deferred full@x.example "mailbox full"
	deferred later@x.example never
	got_once server 1 {a,b}@x.example
	saw server connect 1
}

@test "LMTP: too many recipients" {
	serve server lmtp=yes rcpts=2
	relay "lmtp://127.0.0.1:$port"
	post a@x.example b@x.example c@x.example d@x.example e@x.example
	flush
	queue_is_empty
	nothing_was_deferred
	got_once server 1 {a,b,c,d,e}@x.example
}

# --- messages -------------------------------------------------------------------------------

@test "so many messages a connection: the next connection at once" {
	local enough
	for enough in "421 4.7.0 enough" hangup "452 4.3.0 too many messages" "450 4.7.1 slow down"; do
		next_case
		limited mails=3 "enough=$enough"
		mails 10
		flush
		queue_is_empty
		nothing_was_deferred
		got_once server 10 a@x.example
		saw server connect 4
	done
}

@test "one message a connection, without PIPELINING, with TLS and a login" {
	secure server ehlo=8BITMIME mails=1 mechanisms=PLAIN
	relay "smtp+starttls://127.0.0.1:$port"
	knows_password 127.0.0.1
	mails 3
	flush
	queue_is_empty
	nothing_was_deferred
	got_once server 3 a@x.example
	saw server connect 3
	nothing_in_clear server
}

@test "no message at all: two are tried, then the destination waits" {
	local action
	for action in "421 4.7.0 not now" hangup; do
		next_case
		limited "mail=$action"
		mails 10
		flush
		spool_is QQQQQQQQQQ
		saw server connect 2
		same "$(grep -c status=deferred "$S/log")" 10
	done
}

@test "the end comes behind one recipient, each time: two connections" {
	local action
	for action in "421 4.7.0 not now" hangup; do
		next_case
		limited "rcpt:b@=$action"
		mails 10 a@x.example,b@x.example
		flush
		spool_is QQQQQQQQQQ
		saw server connect 2
		kept server 0
	done
}

@test "4xx to each MAIL: each message is asked for once, over one connection" {
	limited "mail=450 4.7.1 slow down"
	mails 10
	flush
	spool_is QQQQQQQQQQ
	saw server connect 1
	same "$(grep -c 'slow down' "$S/log")" 10
}

@test "4xx for one sender: the others are not kept up" {
	limited "mail:s1@=451 4.1.8 who is that"
	mails 6
	oldest s1@
	flush
	spool_is Q
	got_once server 5 a@x.example
	saw server connect 1
	logged "status=deferred (who is that)"
}

# --- a message that ends the session --------------------------------------------------------

@test "the end upon one message: only that one waits, the others go at once" {
	local stage action
	for stage in mail:poison rcpt:poison 'data#1' 'body#1' 'dot#1'; do
		for action in "421 4.3.0 not this" hangup; do
			[ "$stage $action" != "body#1 421 4.3.0 not this" ] || continue
			echo "$stage $action"
			next_case
			limited "$stage=$action"
			poison
			mails 4
			flush
			spool_is Q
			# This server has taken what it says it has not.
			[[ $stage = dot* ]] || got_once server 4 a@x.example
			same "$(cat "$S"/server/envelope.* | grep -c '<a@x.example>')" 4
			saw server connect 2
			deferred poison@x.example ""
			same "$(grep -c status=deferred "$S/log")" 1
		done
	done
}

@test "the end upon a message in the middle: it gets a connection of its own before it is blamed" {
	limited mail:s3@=hangup
	mails 5
	flush
	spool_is Q
	got_once server 4 a@x.example
	[ "$(events server connect)" -le 3 ]
}

@test "kill -9 of the worker in the middle of one: the others go in the same run" {
	local runner worker
	limited 'dot#1=hold'
	poison
	mails 3
	"$MTABOX" deliver -C "$conf" -q </dev/null >"$S/out" 2>"$S/err" 3>&- &
	runner=$!
	wait_for "grep -q 'hold dot' '$S/server/events'"
	worker=$(cat "/proc/$runner/task/$runner/children")
	kill -9 ${worker% }
	wait $runner
	spool_is Q
	deferred poison@x.example "delivery process died"
	same "$(grep -c '<a@x.example>' "$S"/server/envelope.* | grep -c ':1$')" 3
}

@test "a message that ended a session goes alone from then on" {
	local runner n
	limited mail:poison=hangup
	relay "smtp://127.0.0.1:$port" 'defer no' 'retry_min 1h'
	poison
	mails 2
	"$MTABOX" deliver -C "$conf" -q </dev/null >"$S/out" 2>"$S/err" 3>&- &
	runner=$!
	wait_for '[ "$(spool_states)" = Q ]'
	saw server connect 2
	kill -STOP $runner
	mails 3
	expect 0 sendmail -q
	kill -CONT $runner
	wait_for '[ "$(spool_states)" = Q ]'
	wait_for "[ \$(grep -c status=deferred '$S/log') = 2 ]"
	got_once server 5 a@x.example
	# It is the first again. The others do not even come near.
	same "$(grep -lF 'FROM:<poison@' "$S"/server/text.* | wc -l)" 2
	n=$(grep -lF 'FROM:<poison@' "$S"/server/text.* | tail -n 1)
	same "$(grep -ac '^MAIL' "$n")" 1
	kill $runner
	wait $runner
}

# held N: so many workers of $runner have been held at a server; $workers.
held() {
	"$MTABOX" deliver -C "$conf" -q </dev/null >"$S/out" 2>"$S/err" 3>&- &
	runner=$!
	wait_for "[ \$(cat '$S'/*/events | grep -c 'stall mail') = $1 ]"
	workers=$(cat "/proc/$runner/task/$runner/children")
}

# On a connection of its own.
poison_is_alone() {
	same "$(grep -ac '^MAIL' "$(grep -lF 'FROM:<poison@' "$1"/text.* | tail -n 1)")" 1
}

@test "a message that killed its worker, or the runner, goes alone in later runs as well" {
	local runner workers victim
	for victim in worker runner; do
		echo "$victim"
		next_case
		limited 'mail#1=stall' ehlo=8BITMIME
		poison
		mails 3
		# What comes next is another worker's, and is held, too.
		held 1
		if [ $victim = runner ]; then kill -9 $runner; else kill -9 $workers; fi
		wait $runner || true
		[ $victim = runner ] || mails 3
		flush
		queue_is_empty
		same "$(cat "$S"/server/envelope.* | grep -c '<poison@')" 2
		same "$(cat "$S"/server/envelope.* | grep -c '<a@')" $([ $victim = runner ] && echo 3 || echo 6)
		poison_is_alone "$S/server"
	done
}

@test "a message that goes alone and does not end keeps up neither its destination nor others" {
	local runner workers other
	serve other 'mail#1=stall'
	other=$port
	serve server 'mail:poison=stall'
	relay "smtp://127.0.0.1:$port" "smarthost smtp://127.0.0.1:$other from=*@y.example"
	poison
	letter | expect 0 sendmail -odq -f poison@y.example poison@x.example
	held 2
	kill -9 $workers
	wait $runner
	same "$(grep -c 'delivery process died)' "$S/log")" 2
	relay "smtp://127.0.0.1:$port" "smarthost smtp://127.0.0.1:$other from=*@y.example" \
		'command_timeout 30'
	mails 3
	: >"$S/server/events"
	: >"$S/other/events"
	held 1
	wait_for '[ "$(spool_states)" = Q ]'
	kept server 3
	kept other 1
	kill -9 $runner
}

@test "a message that cannot be handed to its worker waits, and says why" {
	local n
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	limited
	mails 1
	expect 0 strace -qqq -o "$S/trace" -e trace=fcntl "$MTABOX" deliver -C "$conf" -q
	queue_is_empty
	n=$(grep -n F_DUPFD_CLOEXEC "$S/trace" | head -n 1 | cut -d: -f1)
	mails 1
	expect 0 strace -qqq -o /dev/null -e trace=fcntl -e "inject=fcntl:error=EMFILE:when=$n" \
		"$MTABOX" deliver -C "$conf" -q
	deferred a@x.example 'handing it to a delivery process: '
	flush
	queue_is_empty
	kept server 2
}

# --- several servers ------------------------------------------------------------------------

# two_smarthosts KEY=VALUE... -- KEY=VALUE...: the servers first and second.
two_smarthosts() {
	local first args=()
	while [ "$1" != -- ]; do args+=("$1"); shift; done
	serve first "${args[@]}"
	first=$port
	serve second "${@:2}"
	relay "smtp://127.0.0.1:$first" "smarthost smtp://127.0.0.1:$port"
}

@test "a server that is out of order is asked once in a run, not for each message" {
	two_smarthosts 'greeting=421 4.3.2 down' -- mails=1
	mails 5
	flush
	queue_is_empty
	saw first connect 1
	saw second connect 5
	got_once second 5 a@x.example
}

@test "no message at all at the first server: the second takes them" {
	two_smarthosts 'mail=421 4.7.0 not now' --
	mails 5
	flush
	queue_is_empty
	nothing_was_deferred
	saw first connect 1
	got_once second 5 a@x.example
	saw second connect 1
}

@test "a message that no server survives: only that one waits" {
	two_smarthosts mail:poison=hangup -- mail:poison=hangup
	poison
	mails 3
	flush
	spool_is Q
	deferred poison@x.example "connection"
	got_once first 3 a@x.example
	saw first connect 2
	saw second connect 1
}

# --- what was taken is not sent again -------------------------------------------------------

@test "behind a 250 to the dot nothing of it is sent again" {
	local end
	for end in hangup nonsense "250-half|" "421 4.3.2 down" "554 5.3.0 broken"; do
		echo "$end"
		next_case
		limited "mail#2=$end"
		mails 1 a@x.example,b@x.example
		oldest s1@
		post c@x.example
		flush
		flush
		has "$S/server/envelope.1" '<a@x.example>'
		same "$(cat "$S"/server/envelope.* | grep -c '[ab]@x.example>' )" 2
		sent a@x.example
		sent b@x.example
	done
}

# --- it wants a login, or TLS ---------------------------------------------------------------

@test "530: no bounce, the destination waits, with the remedy" {
	limited "mail=530 5.7.0 Authentication required"
	mails 3
	flush
	spool_is QQQ
	saw server connect 1
	deferred a@x.example "the server wants a login: put user|host:password into auth_file: Authentication required"
	delivered 0
	next_case
	limited "mail=530 5.7.0 Must issue a STARTTLS command first" "ehlo=STARTTLS" \
		"starttls=454 4.7.0 not now"
	mails 1
	try_all
	deferred a@x.example "the server wants TLS: use smtp+starttls://: Must issue"
	delivered 0
}

# --- a refusal in mid-message ----------------------------------------------------------------

# refused_in_body EHLO ACTION: a large message is refused before its end; the next ones go.
refused_in_body() {
	next_case
	limited "ehlo=$1" "body#1=$2"
	{ letter; head -c 20000000 /dev/zero | tr '\0' 'y' | fold -w 70; echo; } >"$S/large"
	expect 0 sendmail -odq -f "$me@router.example" large@x.example <"$S/large"
	oldest "$me@"
	mails 2
	try_all
}

@test "552 before the message is whole: a bounce, and the others go" {
	local ehlo action
	for ehlo in 'PIPELINING|8BITMIME|SIZE' 'PIPELINING|CHUNKING'; do
		for action in '552 5.3.4 too much' 'bye:552 5.3.4 too much' 'bye:554 5.6.0|what|is this'; do
			echo "$ehlo $action"
			refused_in_body "$ehlo" "$action"
			bounced large@x.example "${action:$((${#action} - 4))}"
			got_once server 2 a@x.example
			nothing_was_deferred
			queue_is_empty
		done
	done
}

@test "any other word before the message is whole: it waits" {
	local action
	for action in '250 2.0.0 taken' 'bye:250 2.0.0 taken' '452 4.3.1 full' '500 5.5.1 what?'; do
		echo "$action"
		refused_in_body 'PIPELINING|CHUNKING' "$action"
		deferred large@x.example ""
		got_once server 2 a@x.example
	done
}

@test "530 lives as long as a refused login, 550 is a bounce" {
	read -r uptime _ </proc/uptime
	[ "${uptime%.*}" -gt 3700 ] || skip 'a device that is up for less than an hour bounces nothing'
	limited "mail=530 5.7.0 Authentication required" "rcpt=550 5.7.1 relaying denied"
	relay "smtp://127.0.0.1:$port" 'queue_lifetime 1s' 'auth_fail_lifetime 1h'
	mails 1
	flush
	wait_for "[ \$(( \$(date +%s) - \$(stat -c %Y '$S/server/port') )) -ge 3 ]"
	flush
	spool_is Q
	next_case
	limited "rcpt=550 5.7.1 relaying denied"
	mails 1
	flush
	bounced a@x.example "relaying denied"
}

# --- TLS that was only offered --------------------------------------------------------------

@test "TLS was offered and fails: in clear, at once, and the log says so once" {
	local action
	for action in hangup stall; do
		echo "$action"
		next_case
		serve server tls=starttls cert="$certs/good" "handshake=$action" mails=2
		relay "smtp://127.0.0.1:$port"
		mails 4
		try_all
		queue_is_empty
		nothing_was_deferred
		got_once server 4 a@x.example
		# The first was for TLS; what was learned counts for the next ones.
		saw server connect 3
		same "$(grep -c 'failed, going on in clear' "$S/log")" 1
	done
}

@test "TLS fails that is required, or that a password needs: nothing in clear" {
	local line
	for line in x 'insecure_auth yes'; do
		next_case
		serve server tls=starttls cert="$certs/good" handshake=hangup mechanisms=PLAIN
		if [ "$line" = x ]; then
			relay "smtp+starttls://127.0.0.1:$port"
		else
			knows_password 127.0.0.1
			relay "smtp://127.0.0.1:$port" "$line"
		fi
		mails 2
		flush
		spool_is QQ
		saw server connect 1
		nothing_in_clear server
	done
	knows_password 127.0.0.1
	next_case
	serve server tls=starttls cert="$certs/good" handshake=hangup mechanisms=PLAIN
	relay "smtp://127.0.0.1:$port"
	mails 1
	flush
	spool_is Q
	nothing_in_clear server
}

@test "a server whose certificate is known gets nothing in clear" {
	local offer
	for offer in "tls=starttls cert=$certs/good" tls=no; do
		next_case
		# shellcheck disable=SC2086 # a list of words
		serve server $offer
		relay "smtp://127.0.0.1:$port" "tls_pin $(printf '%064d' 7)"
		mails 1
		flush
		spool_is Q
		nothing_in_clear server
	done
}
