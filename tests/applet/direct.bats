#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Delivery while the caller waits, without a queue: sendmail -odd, and BusyBox's options, which
# mean it.

load helper
load relay

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
}

servers=()

# direct STATUS ARG...: this letter, now.
direct() {
	local status=$1
	shift
	printf 'Subject: zebra crossing\n\nbreakfast at noon\n' | expect "$status" sendmail -i "$@"
	[ ! -e "$spool" ] || fail "there is a queue"
}

@test "into a mailbox, and nothing is written but that" {
	local before
	before=$(listing)
	direct 0 -odd "$me"
	silent
	delivered 1
	same "$(content)" "$(printf 'Subject: zebra crossing\n\nbreakfast at noon')"
	rm "$S/mail/$me"
	same "$(listing)" "$before"
}

@test "to a server, over TLS, with a password: all recipients in one transaction" {
	secure server mechanisms=PLAIN
	relay "smtp+starttls://127.0.0.1:$port"
	knows_password 127.0.0.1
	direct 0 -odd -f x@x.example a@x.example b@x.example
	silent
	no_faults
	has "$S/server/envelope.1" a@x.example
	has "$S/server/envelope.1" b@x.example
	has "$S/server/mail.1" "breakfast at noon"
}

@test "the server hears QUIT" {
	serve server
	relay "smtp://127.0.0.1:$port"
	direct 0 -odd a@x.example
	wait_for "grep -q quit '$S/server/events'"
}

@test "what the server says is the exit status, and each recipient is named" {
	serve server 'rcpt:no@=550 5.1.1 nobody' 'rcpt:later@=450 4.2.1 not now' \
		'rcpt:never@=550 5.7.1 not you'
	relay "smtp://127.0.0.1:$port"
	direct 67 -odd a@x.example no@x.example
	says "<no@x.example>: nobody (550 5.1.1)"
	has_not "$S/err" "a@x.example"
	direct 75 -odd a@x.example later@x.example
	says "<later@x.example>: not now (450 4.2.1)"
	direct 77 -odd never@x.example
	direct 67 -odd later@x.example no@x.example
	same "$(ls "$S"/server/mail.* | wc -l)" 2
}

@test "nobody there: 75, and the message is the caller's" {
	relay "smtp://127.0.0.1:1"
	direct 75 -odd a@x.example
	says "a@x.example"
	direct 67 -odd nosuchuser
	says "no such user here: nosuchuser"
}

@test "a message of 10 MB" {
	serve server
	relay "smtp://127.0.0.1:$port"
	{ letter && head -c 10000000 /dev/zero | tr '\0' 'y' | fold -w 70; echo; } >"$S/big"
	expect 0 sendmail -odd -i a@x.example <"$S/big"
	tr -d '\r' <"$S/server/mail.1" | tail -c 10000000 | cmp - <(tail -c 10000000 "$S/big")
}

@test "-odd where nothing can be written, without passwd, HOME, log or hostname" {
	needs_root "a file system of its own"
	serve server
	mkdir -p "$S/root/bin" "$S/root/proc"
	cp "$MTABOX" "$S/root/bin/sendmail"
	letter | expect 0 unshare -mu sh -c "hostname '(none)'
		mount --bind $S/root $S/root && mount -o remount,bind,ro $S/root
		exec env -i /usr/sbin/chroot $S/root /bin/sendmail -odd -O smarthost=smtp://127.0.0.1:$port a@x.example"
	has "$S/server/mail.1" hello
}

# --- BusyBox's options ----------------------------------------------------------------------

@test "-S, -au, -ap, -am: this server, this login" {
	secure server mechanisms="PLAIN LOGIN"
	write_conf "tls_ca_file $certs/ca.pem" "auth_file $S/none"
	direct 0 -S "smtp+starttls://127.0.0.1:$port" -aujoe "-ap$password" -amLOGIN -w 5 a@x.example
	silent
	no_faults
	same "$(sed -n 's/.* auth //p' "$S/server/events")" LOGIN
}

@test "-au and -ap with a blank behind them are no recipients" {
	secure server mechanisms=PLAIN
	write_conf "tls_ca_file $certs/ca.pem"
	direct 0 -S "smtp+starttls://127.0.0.1:$port" -au joe -ap "$password" a@x.example
	same "$(commands server)" "EHLO STARTTLS EHLO AUTH MAIL RCPT DATA QUIT"
	no_faults
}

@test "a wrong password: 77, never sent without" {
	secure server mechanisms=PLAIN
	write_conf "tls_ca_file $certs/ca.pem"
	direct 77 -S "smtp+starttls://127.0.0.1:$port" -aujoe -apwrong a@x.example
	[ ! -e "$S/server/mail.1" ]
}

@test "-ap in clear is refused" {
	serve server mechanisms=PLAIN
	direct 77 -S "127.0.0.1:$port" -aujoe "-ap$password" a@x.example
	nothing_in_clear server
	[ ! -e "$S/server/mail.1" ]
}

@test "-ap is not to be seen in the process list" {
	secure server mechanisms=PLAIN dot=hold
	write_conf "tls_ca_file $certs/ca.pem"
	letter | sendmail -S "smtp+starttls://127.0.0.1:$port" -aujoe "-ap$password" a@x.example &
	local pid=$!
	wait_for "grep -q ' dot' '$S/server/events'"
	tr '\0' ' ' <"/proc/$pid/cmdline" >"$S/cmdline"
	cat /proc/"$pid"/task/*/children | xargs -rn1 sh -c 'tr "\0" " " </proc/$1/cmdline' _ >>"$S/cmdline"
	has "$S/cmdline" -aujoe
	has_not "$S/cmdline" "$password"
	touch "$S/server/go"
	wait "$pid"
}

@test "-H: a command that leads to the server" {
	serve server mechanisms=PLAIN
	direct 0 -H "exec /usr/bin/python3 -ISB $BATS_TEST_DIRNAME/connect.py $port" -aujoe \
		"-ap$password" -f x@x.example a@x.example b@x.example
	silent
	no_faults
	has "$S/server/mail.1" "breakfast at noon"
	same "$(commands server)" "EHLO AUTH MAIL RCPT RCPT DATA QUIT"
}

@test "-H: a command that fails, or is silent" {
	direct 75 -H "exit 1" a@x.example
	says "a@x.example"
	SECONDS=0
	direct 75 -H "exec sleep 60" -w 1 a@x.example
	[ "$SECONDS" -lt 10 ]
}

@test "-w bounds a server that says nothing" {
	serve server greeting=stall
	SECONDS=0
	direct 75 -S "127.0.0.1:$port" -w 1 a@x.example
	[ "$SECONDS" -lt 10 ]
}

# --- -X, -oeq -------------------------------------------------------------------------------

@test "-X keeps the dialogue in a file, without the password" {
	secure server mechanisms=PLAIN
	relay "smtp+starttls://127.0.0.1:$port"
	knows_password 127.0.0.1
	direct 0 -odd -X "$S/dialogue" a@x.example
	silent
	has "$S/dialogue" "<<< 220"
	has "$S/dialogue" ">>> RCPT TO:<a@x.example>"
	has_not "$S/dialogue" "$password"
	same "$(stat -c %a "$S/dialogue")" 600
}

@test "a caller that ignores SIGCHLD" {
	write_aliases "robot: \"|cat >>$S/out.robot; exit 0\""
	install -m 666 /dev/null "$S/out.robot"
	letter | expect 0 /usr/bin/python3 -c 'import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])' "$MTABOX" sendmail -C "$conf" -odd robot
	silent
	same "$(grep -c ^hello "$S/out.robot")" 1
	has_not "$S/log" died
}

@test "-oeq and -eq: no words, the same status" {
	relay "smtp://127.0.0.1:1"
	local option
	for option in -oeq -eq; do
		direct 75 -odd $option a@x.example
		silent
		direct 65 $option 'a@@x'
		silent
	done
	direct 65 -oep 'a@@x'
	says 'a@@x'
}
