# SPDX-License-Identifier: ISC
# Verbs for tests in which time passes, on top of helper.bash: clock.py shows the program clocks
# of our own.

hour=3600 day=86400 year=$((365 * 86400))
today=$(($(date +%s) + 30 * 86400))

# at WALL UPTIME [BOOT]: the clocks from now on, both in seconds. Renamed into place: a program
# that runs reads them at any moment, and never finds half of them.
at() {
	local up
	read -r up _ </proc/uptime
	echo "$(($1 - $(date +%s))) $(($2 - ${up%.*})) ${3:-1}" >"$S/clock.new"
	mv "$S/clock.new" "$S/clock"
}
clocked() { /usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/clock.py" "$S/clock" "$MTABOX" "$@"; }

# submit ARG...: a small message, by those clocks. try_at WALL UPTIME [BOOT]: one attempt.
submit() {
	local got=0
	at "$today" 100
	clocked sendmail --version >/dev/null || got=$?
	[ $got != 77 ] || skip 'clocks cannot be faked here'
	[ -z "$born" ] || at $born
	letter | expect 0 clocked sendmail -C "$conf" -odq "$@"
	silent
}
born=
try_at() {
	at "$@"
	expect 0 timeout 60 /usr/bin/python3 -ISB "$BATS_TEST_DIRNAME/clock.py" "$S/clock" "$MTABOX" \
		deliver -C "$conf" -q -O defer=yes
}

# No server can be reached; senders are here.
no_server() { write_conf 'smarthost smtp://127.0.0.1:1' "$@"; }
