#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Logins at a server that computes each mechanism on its own (server.py).

load helper
load relay

setup_file() {
	export certs=$BATS_FILE_TMPDIR/certs
	make_certificates "$certs"
}

servers=()

mechanisms() { sed -n 's/.* auth //p' "$S/server/events" | paste -sd' '; }
flags() { sed -n 's/.* flag //p' "$S/server/events" | paste -sd' '; }

# login [LINE...]: one message through the server, or not.
login() {
	relay "smtp+starttls://joe@127.0.0.1:$port" "$@"
	post a@x.example
	flush
}

# --- who is let in --------------------------------------------------------------------------

@test "each mechanism that is named" {
	local all="SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 NTLM"
	all+=" PLAIN LOGIN OAUTHBEARER XOAUTH2 EXTERNAL"
	local mechanism
	knows_password 127.0.0.1
	secure server mechanisms="$all"
	for mechanism in $all; do
		login "auth_mechanisms $mechanism"
		queue_is_empty
	done
	same "$(mechanisms)" "$all"
	same "$(flags)" "p=tls-server-end-point p=tls-server-end-point n n"
	kept server 11
	nothing_in_clear server
}

@test "the strongest, if none is named" {
	local offered expected
	knows_password 127.0.0.1
	while read -r expected offered; do
		next_case
		secure server mechanisms="$offered"
		login
		queue_is_empty
		same "$(mechanisms)" "$expected"
	done <<-'END'
		SCRAM-SHA-256-PLUS PLAIN SCRAM-SHA-1-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-256
		SCRAM-SHA-1-PLUS SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-1-PLUS
		SCRAM-SHA-1 LOGIN CRAM-MD5 SCRAM-SHA-1
		PLAIN LOGIN PLAIN NTLM XOAUTH2
		NTLM XOAUTH2 NTLM EXTERNAL
		LOGIN XOAUTH2 LOGIN EXTERNAL
		OAUTHBEARER XOAUTH2 OAUTHBEARER EXTERNAL
	END
}

@test "names with a domain, and letters that are not ASCII" {
	local mechanism password=$'stra\u00dfe-\u20ac' user=$'j\u00f6rg@home.example'
	secure server user="$user" mechanisms="NTLM SCRAM-SHA-1 PLAIN XOAUTH2"
	(umask 077 && echo "$user|127.0.0.1:$password" >"$S/auth")
	# The server's own capitals are Python's; ours are ASCII.
	for mechanism in SCRAM-SHA-1 PLAIN XOAUTH2; do
		relay "smtp+starttls://127.0.0.1:$port" "auth_mechanisms $mechanism"
		post a@x.example
		flush
		queue_is_empty
	done
	next_case
	secure server user=joe mechanisms=NTLM
	(umask 077 && echo "HOME\\joe|127.0.0.1:$password" >"$S/auth")
	relay "smtp+starttls://127.0.0.1:$port"
	post a@x.example
	flush
	queue_is_empty
}

@test "a token of 4 kB from password_command" {
	local password
	password=$(head -c 3072 /dev/urandom | base64 -w0)
	secure server mechanisms="PLAIN XOAUTH2 OAUTHBEARER"
	(umask 077 && echo "$password" >"$S/token")
	local mechanism
	for mechanism in XOAUTH2 OAUTHBEARER; do
		login "auth_mechanisms $mechanism" "password_command cat $S/token"
		queue_is_empty
	done
	kept server 2
	secret_is_not_in "$S/log" "$S/server"/wire.*
	# RFC 4954 4: such a response has no room in the command's line.
	same "$(grep -ac '^AUTH [A-Z0-9]*.$' "$S/server/text.1")" 1
}

# --- who is not -----------------------------------------------------------------------------

@test "a wrong password: each mechanism says which user at which server, and keeps the mail" {
	local mechanism words
	(umask 077 && echo "joe|127.0.0.1:not-$password" >"$S/auth")
	while read -r mechanism words; do
		next_case
		secure server mechanisms="$mechanism"
		login "auth_mechanisms $mechanism"
		deferred a@x.example "AUTH $mechanism as joe at 127.0.0.1 refused: no such user or password${words:+ $words}"
		spool_is Q
		kept server 0
		saw server auth 1
		secret_is_not_in "$S/log" "$S/listing"
	done <<-'END'
		SCRAM-SHA-256-PLUS  (invalid-proof)
		SCRAM-SHA-256  (invalid-proof)
		SCRAM-SHA-1  (invalid-proof)
		CRAM-MD5
		NTLM
		PLAIN
		LOGIN
		XOAUTH2  (401)
		OAUTHBEARER  (invalid_token)
	END
}

@test "bound to another channel: deferred, and nothing weaker is tried" {
	knows_password 127.0.0.1
	secure server mechanisms="PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS" binding=wrong
	login
	deferred a@x.example "(channel-bindings-dont-match)"
	same "$(mechanisms)" SCRAM-SHA-256-PLUS
	kept server 0
	next_case
	secure server mechanisms="PLAIN SCRAM-SHA-256" binding=wrong
	login
	deferred a@x.example "AUTH SCRAM-SHA-256 as joe at 127.0.0.1 refused"
	same "$(flags)" y
	kept server 0
}

@test "a server that binds in another way: the next best, unless mechanisms are named" {
	knows_password 127.0.0.1
	secure server mechanisms="PLAIN SCRAM-SHA-256 SCRAM-SHA-1-PLUS" binding=other
	login
	queue_is_empty
	same "$(mechanisms)" "SCRAM-SHA-1-PLUS SCRAM-SHA-256"
	same "$(flags)" "p=tls-server-end-point n"
	saw server connect 1
	login "auth_mechanisms SCRAM-SHA-1-PLUS SCRAM-SHA-256"
	deferred a@x.example "AUTH SCRAM-SHA-1-PLUS as joe at 127.0.0.1 refused"
	kept server 1
}

# --- what must not be guessed -----------------------------------------------------------------

@test "a kernel without the call for random numbers: by /dev/urandom, from within the cage" {
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	knows_password 127.0.0.1
	secure server mechanisms=SCRAM-SHA-256
	relay "smtp+starttls://joe@127.0.0.1:$port"
	post a@x.example
	expect 0 timeout 60 strace -f -qqq -o /dev/null -e trace=getrandom -e inject=getrandom:error=ENOSYS \
		"$MTABOX" deliver -q -C "$conf"
	queue_is_empty
	kept server 1
	same "$(mechanisms)" SCRAM-SHA-256
}

@test "nor has it the device: no login, and the mail waits" {
	needs_root 'a /dev of its own'
	strace -qqq -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
	knows_password 127.0.0.1
	secure server mechanisms=SCRAM-SHA-256
	relay "smtp+starttls://joe@127.0.0.1:$port"
	post a@x.example
	expect 0 timeout 60 unshare -m sh -c 'mount -t tmpfs none /dev && exec "$@"' sh \
		strace -f -qqq -o trace -e trace=getrandom -e inject=getrandom:error=ENOSYS \
		"$MTABOX" deliver -q -C "$conf"
	spool_is Q
	logged 'status=deferred (the kernel gives no random bytes)'
	kept server 0
}
