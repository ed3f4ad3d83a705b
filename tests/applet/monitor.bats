#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Debian's monitoring plugin for mail queues reads mailq's list (scripts/setup-callers has it).

load helper

plugins=$BATS_TEST_DIRNAME/../../build/callers/root/usr/lib/nagios/plugins

# check STATUS ARG...: the plugin, with our mailq in the system's place.
check() {
	local status=$1
	shift
	[ -x "$plugins/check_mailq" ] || skip 'no check_mailq here: scripts/setup-callers fetches it'
	printf '#!/bin/sh\nexec "%s" mailq -C "%s" "$@"\n' "$MTABOX" "$conf" >mailq
	chmod 755 mailq
	cp "$plugins/check_mailq" .
	sed "s,^\(\$PATH_TO_MAILQ *=\).*,\1 '$S/mailq';," "$plugins/utils.pm" >utils.pm
	has utils.pm "$S/mailq"
	expect "$status" perl ./check_mailq -w 2 -c 4 "$@"
}

# In either way of reading the list. (Those of Exim and nullmailer see no message.)
@test "an empty queue, some, too many: OK, warning, critical" {
	local mode n
	for mode in postfix sendmail; do
		check 0 -M $mode
		prints 'is empty'
	done
	for n in 1 2 3 4; do
		send -odq "$me"
		for mode in postfix sendmail; do
			check $((n / 2)) -M $mode
			prints "unsent=$n;2;4;0"
		done
	done
}

@test "a configuration named by -d, as for Postfix" {
	send -odq "$me"
	write_conf "spooldir $S/other"
	cp conf other.conf
	write_conf
	check 0 -M postfix -d "$S/other.conf"
	prints 'is empty'
	check 0 -M postfix
	prints 'unsent=1;'
}

@test "a mailq that fails is critical, not an empty queue" {
	write_conf "spooldir $S/none/spool"
	for mode in postfix sendmail; do
		check 2 -M $mode
		prints 'Error code 73'
	done
}
