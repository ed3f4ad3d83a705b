#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# Memory does not grow with the message, which arrives intact.
load helper

@test "1 byte, 1 kB and 100 MB: the same peak memory within 64 kB" {
	[ -x /usr/bin/time ] || skip 'needs GNU time'
	[ "$(df -Pk "$S" | awk 'NR == 2 { print $4 }')" -gt 500000 ] || skip 'needs 500 MB of disk'
	MTABOX=$MTABOX TMPDIR=$S expect 0 "$BATS_TEST_DIRNAME/../bench/memory"
	cat out
	same "$(awk '/^[0-9]/ { print $1 }' out | paste -sd' ')" '1 1000 100000000'
	awk '/^difference/ { ok = $6 <= 64 && $10 <= 64 } END { exit !ok }' out
}
