# SPDX-License-Identifier: ISC
# The verbs of relay.bats, on top of helper.bash: servers that play a part (server.py) and what
# they were sent.

password=Waldmeister-$$

# --- set-up ---------------------------------------------------------------------------------

# make_certificates DIR: a CA that is trusted (ca.pem), and for localhost and its addresses
# NAME.pem with NAME.key: good, and wrongname, expired, future, unknown as they say.
make_certificates() {
	mkdir "$1"
	cd "$1" || return
	printf '%s\n' '[ca]' 'default_ca=x' '[x]' database=index new_certs_dir=. policy=any \
		rand_serial=yes unique_subject=no default_md=sha256 '[any]' commonName=supplied \
		'[req]' distinguished_name=dn '[dn]' >openssl.cnf
	: >index
	local from=20200101000000Z until=20400101000000Z
	local names=DNS:localhost,DNS:mail.localhost,IP:127.0.0.1,IP:::1
	certificate ca - CA:TRUE keyUsage=keyCertSign
	certificate stranger - CA:TRUE keyUsage=keyCertSign
	certificate good ca CA:FALSE subjectAltName=$names
	certificate wrongname ca CA:FALSE subjectAltName=DNS:other.localhost
	certificate unknown stranger CA:FALSE subjectAltName=$names
	until=20240102030405Z certificate expired ca CA:FALSE subjectAltName=$names
	from=20390101000000Z certificate future ca CA:FALSE subjectAltName=$names
}

# certificate NAME ISSUER BASIC EXTENSION: issuer - is itself
certificate() {
	local issuer=(-cert "$2.pem" -keyfile "$2.key")
	[ "$2" != - ] || issuer=(-selfsign -keyfile "$1.key")
	printf '%s\n' "basicConstraints=critical,$3" "$4" >ext
	openssl req -new -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
		-nodes -subj "/CN=$1" -keyout "$1.key" -out csr 2>/dev/null
	openssl ca -config openssl.cnf -batch -notext -in csr -out "$1.pem" -extfile ext \
		-startdate "$from" -enddate "$until" "${issuer[@]}" 2>/dev/null
}

# serve NAME [KEY=VALUE...]: starts server.py in $S/NAME; its port is $port.
serve() {
	local name=$1
	shift
	# The password not as an argument: a test looks whether it stands in any.
	/usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/server.py" "$S/$name" "$@" \
		<<<"$password" >"$S/server.$name" 2>&1 3>&- &
	servers+=("$name")
	wait_for "[ -e '$S/$name/port' ]"
	port=$(cat "$S/$name/port")
}

# A server with TLS and a good certificate: secure NAME [KEY=VALUE...]
secure() { serve "$1" tls=starttls cert="$certs/good" "${@:2}"; }

# relay URL [LINE...]: the configuration for this smarthost.
relay() {
	write_conf "smarthost $1" "tls_ca_file $certs/ca.pem" "auth_file $S/auth" \
		"connect_timeout 2" "command_timeout 2" "defer yes" "${@:2}"
}

# knows_password HOST: there is an entry for it in auth_file.
knows_password() { (umask 077 && echo "joe|$1:$password" >"$S/auth"); }

# --- doing ----------------------------------------------------------------------------------

# post RCPT...: a message of which nobody on the way must see a byte, into the queue.
post() {
	printf 'Subject: zebra crossing\n\nbreakfast at noon\n' | expect 0 sendmail -odq -i "$@"
}

# Everything that waits is tried once...
try_all() { expect 0 timeout 40 "$MTABOX" deliver -C "$conf" -q; }

# ... and no server has seen us break the protocol.
flush() { try_all && no_faults; }

# For the next of several cases in one test: what is queued is put aside, servers are forgotten.
next_case() {
	mkdir -p "$S/aside"
	mv "$spool"/Q* "$S/aside" 2>/dev/null || true
	rm -rf "$S/log" "$S/server"
	servers=()
}

# all_of_them COUNT [KEY=VALUE...]: nothing was lost: so many were put aside, and a good server
# gets each of them once.
all_of_them() {
	next_case
	mv "$S"/aside/Q* "$spool"
	secure good "${@:2}"
	relay "smtp+starttls://127.0.0.1:$port"
	flush
	queue_is_empty
	kept good "$1"
}

# --- what is the case -----------------------------------------------------------------------

# Its parent need not have heard of it yet.
is_gone() { ! grep -q '^State:.[^Z]' "/proc/$1/status" 2>/dev/null; }

no_faults() {
	local n
	for n in "${servers[@]}"; do
		! grep -H ' fault ' "$S/$n/events" || fail "not as the protocol has it"
	done
}

# outcome RCPT WORD TEXT: the last line that was logged for the recipient.
outcome() {
	local line
	line=$(grep -F "to=<$1>" "$S/log" | tail -n 1)
	case $line in
	*status=$2\ *"$3"*) ;;
	*) fail "not '$2 ($3)': $line" ;;
	esac
}
sent() { outcome "$1" sent "${2:-}"; }
bounced() { outcome "$1" bounced "$2"; }

# deferred RCPT TEXT: also still in the queue, and mailq says why.
deferred() {
	outcome "$1" deferred "$2"
	mailq >"$S/listing"
	has "$S/listing" "$1"
	has "$S/listing" "$2"
}

# How often an event came: events NAME WORD
events() { grep -c "^[0-9]* $2" "$S/$1/events"; }
saw() { same "$(events "$1" "$2")" "$3"; }

# kept NAME COUNT: so many messages were accepted.
kept() { same "$(find "$S/$1" -name 'mail.*' | wc -l)" "$2"; }

# The commands that came, in order, without their arguments: commands NAME. All of them: nobody
# waits for the answer to QUIT, and so the server may hear of it later than the test gets here.
commands() {
	wait_for "[ \$(grep -c ' connect' '$S/$1/events') = \$(grep -c ' end$' '$S/$1/events') ]"
	cat "$S/$1"/text.* | tr -d '\r' |
		grep -aoE '^(EHLO|LHLO|HELO|STARTTLS|AUTH|MAIL|RCPT|DATA|BDAT|RSET|QUIT)\b' | paste -sd' '
}

# In clear text the server has heard no more than who we are and that we want TLS, and
# nothing else in all that went over the wire either.
nothing_in_clear() {
	local words
	words=$(cat "$S/$1"/clear.* | grep -aEv $'^(EHLO router\\.example|STARTTLS|QUIT)\r$') || true
	[ -z "$words" ] || fail "in clear: $words"
	secret_is_not_in "$S/$1"/wire.*
	! grep -aE 'MAIL FROM|RCPT TO|AUTH [A-Z]|zebra|breakfast' "$S/$1"/wire.* || fail "in clear"
}

# The password, as it is and in base64 at whatever offset.
secret_is_not_in() {
	local form pad
	! grep -laF -e "$password" "$@" || fail "the password is there"
	for pad in '' x xx; do
		form=$(printf %s "$pad$password" | base64)
		form=${form:4:-4}
		! grep -laF -e "$form" "$@" || fail "the password is there in base64"
	done
}

# got NAME N FILE: message N ends in exactly these bytes, with CRLF for LF.
got() {
	sed 's/$/\r/' "$3" >"$S/wanted"
	tail -c "$(wc -c <"$S/wanted")" "$S/$1/mail.$2" | cmp - "$S/wanted"
}

show() {
	local f
	for f in out err log listing server.* */events; do
		[ -s "$S/$f" ] && { echo "--- $f"; tail -n 20 "$S/$f"; }
	done
	echo "--- spool"
	ls -lA "$spool"
	return 0
} 2>&1
