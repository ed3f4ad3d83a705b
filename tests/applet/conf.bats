#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What is wrong with the set-up is said with file, line and remedy; nothing is half written.
load helper

# refuses STATUS COMMAND...: with a message on standard error, and without a trace on disk.
refuses() {
	local before
	before=$(listing)
	letter | expect "$@"
	is_empty out
	[ -s err ] || fail "refused without a word"
	same "$(listing)" "$before"
}

# all_refuse STATUS WORDS: whoever takes or sends mail.
all_refuse() {
	refuses "$1" sendmail "$me"
	says "$2"
	refuses "$1" sendmail -q
	says "$2"
	refuses "$1" deliver -q
	says "$2"
}

# --- the file -------------------------------------------------------------------------------

@test "an unknown key: a warning with file and line, and the mail goes" {
	write_conf '' '# a comment' 'frobnicate yes'
	letter | expect 0 sendmail -odi "$me"
	same "$(cat err)" "sendmail: $conf line 8: frobnicate: unknown key; sendmail -bP lists them all"
	delivered 1
}

@test "a bad value: a warning, and that line has no effect" {
	while IFS='|' read -r line why; do
		write_conf "$line"
		letter | expect 0 sendmail -odq "$me"
		says "$conf line 6: $why"
		spool_is Q
		rm "$(message)"
	done <<-'END'
	workers many|workers: must be a number, from 1 to 32
	workers 33|workers: must be a number, from 1 to 32
	retry_min|retry_min: needs a value
	queue_lifetime 1w|queue_lifetime: must be a time such as
	spool_size_limit -1|spool_size_limit: must be a size such as
	postmaster a b|postmaster: more than one word
	mailname "no end|mailname: the closing quote is missing
	mailbox /x/%d|mailbox: must be /a/file, /a/Maildir/ or |a command
	END
}

@test "a bad line that concerns security: 78, and nothing is sent or written" {
	while IFS='|' read -r line why; do
		write_conf "$line"
		all_refuse 78 "$conf line 6: $why"
		says 'no mail is accepted until this is corrected'
	done <<-'END'
	tls_verify maybe|tls_verify: must be yes or no
	tls_ca_file relative|tls_ca_file: must be a path
	tls_fingerprint 12:34|tls_fingerprint: must be a SHA-256
	auth_mechanisms SCRAM-SHA-256, PLIAN|auth_mechanisms: must be among SCRAM-SHA-256-PLUS SCRAM
	TLS_VERFY yes|TLS_VERFY: unknown key
	smarthost two words|smarthost: behind the server stands from=PATTERN
	auth_fle /x|auth_fle: unknown key; did you mean auth_file?
	proxy http://127.0.0.1:8080|proxy: must be socks5://
	SECURETRANSFER|securetransfer: needs a smarthost
	smarthost a.example from=|smarthost: behind the server stands from=PATTERN
	INSECURE perhaps|INSECURE: must be yes or no
	END
}

@test "mailq works with such a configuration: what waits can be seen" {
	send -odq "$me"
	write_conf 'tls_verify maybe'
	expect 0 mailq
	prints "$me"
	says "$conf line 6"
}

@test "the same by -O" {
	refuses 78 sendmail -O tls_verify=maybe "$me"
	says '-O: tls_verify: must be yes or no'
}

@test "-bP shows the configuration that is refused, and exits with 78" {
	write_conf 'tls_verify maybe'
	expect 78 sendmail -bP
	prints 'tls_verify yes'
	says "$conf line 6"
}

@test "a configuration that was named must be there and be a file" {
	conf=$S/none
	all_refuse 78 "cannot read the configuration $S/none: No such file"
	conf=$S/mail
	all_refuse 78 "cannot read the configuration $S/mail: Is a directory"
	MTABOX_CONF=$S/none refuses 78 "$MTABOX" sendmail "$me"
	says "$S/none"
}

@test "a configuration that we may not read: 78" {
	cp "$MTABOX" mtabox
	chmod 000 conf
	letter | expect 78 as_nobody ./mtabox sendmail -C "$conf" root
	says "cannot read the configuration $conf: Permission denied"
}

@test "keys without regard to case, dma's names, quotes, comments" {
	cat >conf <<-END
	SPOOLDIR $S/spool
	  Mailbox  =  "$S/mail/%u"   # users' mail
	MAILNAME other.example # ours
	Log_File $S/log
	aliases "" # none
	NULLCLIENT no
	END
	send -odi "$me"
	has "mail/$me" "Return-Path: <$me@other.example>"
}

# dma's two files with the settings that Debian's package comes with, comments and all.
dma_files() {
	cat >dma.conf <<-END
	# The smarthost, or nothing.
	# NOTE: debconf writes this.
	SMARTHOST 127.0.0.1

	# 25 by default.
	PORT $1
	ALIASES $S/aliases
	SPOOLDIR $S/spool
	AUTHPATH $S/auth.conf

	#SECURETRANSFER
	#STARTTLS
	#VERIFYCERT
	#OPPORTUNISTIC_TLS
	#CERTFILE
	#SECURE
	#DEFER
	#FULLBOUNCE
	MAILNAME $S/mailname
	# MASQUERADE john@
	#NULLCLIENT
	END
	printf '%s\n' '# SMTP authentication entries' '# user|my.smart.host:password' >auth.conf
	chmod 640 auth.conf
	printf 'dma.example\nnot this\n' >mailname
	conf=$S/dma.conf
}

@test "dma's own files, as Debian has them" {
	load relay
	servers=()
	serve server
	dma_files "$port"
	letter | expect 0 sendmail -odi -O "log_file=$S/log" one@x.example
	silent
	sent one@x.example
	kept server 1
	has "$S/server/envelope.1" "$me@dma.example"
	expect 0 sendmail -bP
	prints "smarthost smtp://127.0.0.1:$port  # $S/dma.conf:3 - "
	prints "auth_file $S/auth.conf  # $S/dma.conf:9 - "
	prints "mailname dma.example  # mailname file - "
	prints 'defer no  # default - '
	no_faults
}

@test "dma's own files: CRLF, no final newline, an account" {
	load relay
	servers=()
	(make_certificates "$S/certs")
	serve server tls=starttls cert="$S/certs/good" mechanisms=PLAIN
	dma_files "$port"
	printf '# comment\r\njoe|127.0.0.1:old\r\njoe|127.0.0.1:%s' "$password" >auth.conf
	sed -i 's/$/\r/; s/^#\(SECURETRANSFER\|STARTTLS\|VERIFYCERT\)/\1/' dma.conf
	truncate -s -2 dma.conf
	letter | expect 0 sendmail -odi -O "log_file=$S/log" -O "tls_ca_file=$S/certs/ca.pem" \
		one@x.example
	silent
	sent one@x.example
	kept server 1
	has "$S/server/events" 'auth PLAIN'
	secret_is_not_in "$S/server"/wire.* "$S/log" err
}

@test "-bP never shows a secret, and read back it means the same" {
	write_conf 'smarthost smtps://joe@mail.example # mine' \
		'smarthost smtps://ann@mail.example from=*@shop.example' 'local_domains "a b" # c'
	(umask 077 && echo 'joe|mail.example:Waldmeister' >auth)
	echo "auth_file $S/auth" >>conf
	expect 0 sendmail -bP
	has_not out Waldmeister
	sed 's/  # .*//' out >first
	cp out again
	conf=$S/again
	expect 0 sendmail -bP
	sed 's/  # .*//' out >second
	cmp first second
}

@test "a typo in a key that concerns security: 78, with the key that was meant" {
	write_conf 'SMARTHSOT mail.example'
	all_refuse 78 "$conf line 6: SMARTHSOT: unknown key; did you mean smarthost?"
	write_conf 'spool_dir /x'
	all_refuse 78 "did you mean spooldir?"
}

@test "mailname from a file" {
	echo ' file.example ' >mailname
	write_conf "mailname $S/mailname"
	send -odq "$me"
	same "$(field sender)" "$me@file.example"
}

@test "a log_file that cannot be written: a warning, and the mail goes" {
	write_conf "log_file $S/none/log"
	letter | expect 0 sendmail -odi "$me"
	says "cannot open log_file $S/none/log"
	delivered 1
}

@test "an aliases file that cannot be read: 75, and nothing is queued" {
	mkdir aliases
	letter | expect 75 sendmail "$me"
	says "cannot read the aliases file $S/aliases: Is a directory"
	spool_is ''
}

# --- the spool ------------------------------------------------------------------------------

@test "a spool directory that is missing is made, for us alone" {
	send -odq "$me"
	same "$(stat -c '%F %a %u' spool)" "directory 700 $(id -u)"
}

@test "a spool directory whose parent is missing: 73, with its name and the remedy" {
	write_conf "spooldir $S/none/spool"
	all_refuse 73 "cannot use the queue $S/none/spool: No such file or directory"
	says 'set spooldir'
	says "$conf"
	refuses 73 mailq
	says "$S/none/spool"
}

@test "a spool directory that is a file: 73" {
	echo precious >file
	write_conf "spooldir $S/file"
	all_refuse 73 "cannot use the queue $S/file: Not a directory"
	says 'set spooldir'
	says "$conf"
	refuses 73 mailq
	says "$S/file"
	same "$(cat file)" precious
}

@test "a spool directory that everybody may write to: 73, with the remedy" {
	mkdir spool
	chmod 1777 spool
	all_refuse 73 "cannot use the queue $S/spool: everybody may write to it"
	says "chmod o-w $S/spool"
	refuses 73 mailq
	says "$S/spool"
}

@test "a spool directory of somebody else: 73, with the remedy" {
	needs_root 'a directory of somebody else'
	mkdir -m 755 spool
	chown daemon spool
	all_refuse 73 "cannot use the queue $S/spool: "
	grep -qE 'chown|set spooldir' err || fail 'no remedy'
}

@test "a spool directory that we may not use: 73, with the remedy" {
	cp "$MTABOX" mtabox
	touch log
	chmod 666 log
	mkdir spool
	chmod 000 spool
	letter | expect 73 as_nobody ./mtabox sendmail -C "$conf" root
	says "cannot use the queue $S/spool: Permission denied"
	says 'set spooldir'
	says "$conf"
	expect 73 as_nobody ./mtabox mailq -C "$conf"
	says "$S/spool"
	chmod 700 spool
	spool_is ''
}

# --- limits ---------------------------------------------------------------------------------

# limited LINE WORDS [ARG...]: with this limit a message waits outside, and leaves no trace.
limited() {
	local line=$1 words=$2
	write_conf "$line"
	shift 2
	refuses 75 sendmail -odq "$me" "$@"
	says "$words"
}

@test "limits: 75 with the numbers, and nothing is half written" {
	send -odq "$me"
	limited 'spool_count_limit 1' '1 messages'
	limited 'spool_count_limit 1' 'spool_count_limit is 1'
	limited 'spool_size_limit 10' 'spool_size_limit is 10'
	limited 'spool_min_free 999999G' 'spool_min_free is'
	limited 'message_size_limit 10' 'message_size_limit is 10 bytes'
	limited 'recipient_limit 2' '3 recipients: recipient_limit is 2' a b
}

@test "at the limits a message is taken" {
	write_conf 'spool_count_limit 2' 'message_size_limit 21' 'recipient_limit 1'
	send -odq "$me"
	send -odq "$me"
	spool_is QQ
}

@test "a large message that is over the limit leaves no draft" {
	mkdir -m 700 spool
	write_conf 'message_size_limit 1M'
	before=$(listing)
	head -c 2000000 /dev/zero | expect 75 sendmail -odq "$me"
	same "$(listing)" "$before"
}
