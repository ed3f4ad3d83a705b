# SPDX-License-Identifier: ISC
# The verbs of the applet tests. Each test has a scratch directory $S of its own with a
# configuration, $conf, that points only into it; whatever still runs there at the end is ended.
# MTABOX names the program under test. Tests do not sleep: they wait for conditions.

MTABOX=$(realpath "${MTABOX:-$BATS_TEST_DIRNAME/../../build/mtabox}")
me=$(id -un)
unset MTABOX_CONF
umask 022

setup() {
	test_shell=$BASHPID
	S=$(mktemp -d "${TMPDIR:-/tmp}/mtabox.XXXXXX")
	# Deliveries run as the recipient, who must be able to come here.
	chmod 755 "$S"
	mkdir "$S/mail"
	chmod 1777 "$S/mail"
	spool=$S/spool conf=$S/conf
	write_conf
	cd "$S" || return
}

teardown() {
	[ -n "$BATS_TEST_COMPLETED" ] || show
	cd /
	end_processes
	rm -rf "$S"
}

# --- set-up ---------------------------------------------------------------------------------

# write_conf [LINE...]: the configuration, with these lines behind the usual ones.
write_conf() {
	printf '%s\n' "spooldir $S/spool" "mailbox $S/mail/%u" "aliases $S/aliases" \
		"log_file $S/log" 'mailname router.example' "$@" >"$S/conf"
}

write_aliases() { printf '%s\n' "$@" >"$S/aliases"; }

needs_root() { [ "$(id -u)" = 0 ] || skip "needs root: $1"; }
# The same command as a user who is not root.
as_nobody() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }

# --- doing ----------------------------------------------------------------------------------

sendmail() { "$MTABOX" sendmail -C "$conf" "$@"; }
mailq() { "$MTABOX" mailq -C "$conf" "$@"; }
newaliases() { "$MTABOX" newaliases -C "$conf" "$@"; }
deliver() { "$MTABOX" deliver -C "$conf" "$@"; }

# letter [TEXT]: a small message.
letter() { printf 'Subject: test\n\n%s\n' "${1:-hello}"; }

# send ARG...: a small message, accepted without a word.
send() { letter | expect 0 sendmail "$@" && silent; }

# accepted ARG...: the message on standard input is queued, whether or not there are such users:
# with -oem delivery finds out.
accepted() { expect 0 sendmail -odq -oem "$@" && silent; }

# One attempt for everything that waits, which is over when this returns. (Without defer the
# runner would stay until the queue is empty.)
flush() { expect 0 timeout 60 "$MTABOX" deliver -q -C "$conf" -O defer=yes; }

# expect STATUS COMMAND...: what it says is in the files out and err. STATUS is a pattern.
expect() {
	local want=$1 got=0
	shift
	"$@" >"$S/out" 2>"$S/err" || got=$?
	[[ $got == $want ]] || fail "exit status $got, not $want: $*"
}

# --- what is the case -----------------------------------------------------------------------

fail() {
	printf '%s\n' "$@"
	return 1
}

# What helps to understand a failure; bats prints it then only.
show() {
	local f
	for f in out err log; do
		[ -s "$S/$f" ] && { echo "--- $f"; tail -n 20 "$S/$f"; }
	done
	echo "--- spool"
	ls -lA "$spool"
	return 0
} 2>&1

# wait_for CONDITION [SECONDS]
wait_for() {
	local end=$((SECONDS + ${2:-20}))
	until eval "$1"; do
		[ $SECONDS -lt $end ] || { fail "waited in vain for: $1"; return; }
		sleep .01
	done
}

same() { [ "$1" = "$2" ] || fail "is:   $1" "not:  $2"; }
is_empty() { [ ! -s "$1" ] || fail "$1 is not empty:" "$(head -n 20 "$1")"; }
has() { grep -qF -e "$2" "$1" || fail "'$2' is not in $1:" "$(head -n 20 "$1")"; }
has_not() { ! grep -qF -e "$2" "$1" || fail "'$2' is in $1:" "$(head -n 20 "$1")"; }

# Of the command that expect ran.
prints() { has "$S/out" "$1"; }
says() { has "$S/err" "$1"; }
silent() { is_empty "$S/out" && is_empty "$S/err"; }
logged() { has "$S/log" "$1"; }

# What the spool holds, by state letters: spool_is QQH, spool_is ''.
spool_states() { find "$spool" -mindepth 1 ! -name runner -printf '%f\n' 2>/dev/null | cut -c1 | sort | tr -d '\n'; }
spool_is() { same "$(spool_states)" "$1"; }
queue_is_empty() { [ -z "$(spool_states)" ]; }

# Everything below the scratch directory, to compare before and after.
listing() { find "$S" ! -name log ! -name out ! -name err -printf '%P %y %m %s\n' | sort; }

# The one message of that state.
message() { echo "$spool/${1:-Q}"*; }

# field NAME: its values in the envelope of the one queued message, one on each line.
field() { sed -n "/^\$/q; s/^$1 \\{0,1\\}//p" "$(message)"; }
rcpts() { field rcpt | sort | paste -sd' '; }

# --- mailboxes ------------------------------------------------------------------------------

mbox() { /usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/mbox.py" "$@"; }

# mail_count [USER]: messages in the mailbox.
mail_count() { if [ -e "$S/mail/${1:-$me}" ]; then mbox count "$S/mail/${1:-$me}"; else echo 0; fi; }
delivered() { same "$(mail_count "${2:-$me}")" "$1"; }

# content [USER [N]]: message N as it was sent, without the lines that delivery added.
content() { mbox content "$S/mail/${1:-$me}" "${2:-1}"; }

# --- processes ------------------------------------------------------------------------------

# Those that have a file at or below $1 open.
processes() {
	(cd / && find /proc/[0-9]*/fd \( -lname "$1" -o -lname "$1/*" \) 2>/dev/null) |
		cut -d/ -f3 | sort -u | grep -vx -e "$test_shell" -e "$BASHPID"
}
runner() { processes "$spool/runner"; }
is_over() { [ -z "$(processes "$spool")" ]; }

end_processes() {
	local pids
	while pids=$(processes "$S"); do
		kill -9 $pids 2>/dev/null || true
		sleep .01
	done
}
