#!/usr/bin/env bats
# SPDX-License-Identifier: ISC
# What callers leave behind: no environment, no user, no host name, no directory, no devices,
# their own masks, signals and limits. The mail goes out all the same, or was not accepted.
load helper

# arrives COMMAND...: a message that the command hands to sendmail, who says nothing and is
# done with it when it returns.
arrives() {
	expect 0 "$@" <"$S/letter" && silent && delivered 1
	same "$(content)" "$(cat "$S/letter")"
}

bare() { "$@" "$MTABOX" sendmail -C "$conf" -odi "$me"; }

@test "no environment" {
	letter >letter
	arrives bare env -i
}

@test "no such user: the sender is the number" {
	needs_root 'to be somebody else'
	letter >letter
	mkdir -m 700 own
	chown 12345 own
	write_conf "spooldir $S/own/spool" 'smarthost none.example' "log_file $S/own/log"
	chmod 644 letter
	expect 0 env -i setpriv --reuid=12345 --regid=12345 --clear-groups \
		"$MTABOX" sendmail -C "$conf" -odq a@x.example <letter
	silent
	spool=$S/own/spool
	same "$(field sender)" uid12345@router.example
}

@test "no host name" {
	needs_root 'to change the host name'
	letter >letter
	sed -i '/^mailname/d' conf
	arrives unshare --uts sh -c 'hostname "" 2>/dev/null || printf "\0" >/proc/sys/kernel/hostname
		[ -z "$(cat /proc/sys/kernel/hostname)" ] || exit 99
		exec "$@"' - "$MTABOX" sendmail -C "$conf" -odi "$me"
	has "mail/$me" 'Received: by localhost (mtabox)'
}

@test "no current directory" {
	letter >letter
	mkdir gone
	arrives sh -c 'cd gone && rmdir ../gone && exec "$@"' - "$MTABOX" sendmail -C "$conf" -odi "$me"
}

@test "no devices, no users, nothing but the program" {
	needs_root 'for chroot'
	letter >letter
	mkdir -p root/mail
	chmod 1777 root/mail
	cp "$MTABOX" root/sendmail
	printf '%s\n' 'spooldir /spool' 'mailbox /mail/%u' 'mailname router.example' >root/conf
	expect 0 chroot root /sendmail -C /conf -odi root <letter
	silent
	same "$(mbox content root/mail/root 1)" "$(cat letter)"
	has root/mail/root 'Return-Path: <root@router.example>'
}

@test "a mask that takes nothing: the queue and the mailbox are closed all the same" {
	letter >letter
	umask 0
	arrives bare env
	same "$(stat -c %a "$spool")" 700
	same "$(stat -c %a "mail/$me")" 600
}

@test "a mask that takes everything" {
	letter >letter
	umask 777
	arrives bare env
}

@test "signals ignored and blocked" {
	letter >letter
	arrives bare env --ignore-signal --block-signal
}

@test "standard output and error that nobody reads, or that are full" {
	letter >letter
	mkfifo pipe
	exec 5<>pipe 6>pipe 5<&-
	expect 0 bash -c 'exec "$@" >&6 2>&6' - "$MTABOX" sendmail -C "$conf" -v --unknown "$me" <letter
	exec 6>&-
	delivered 1
	expect 0 bash -c 'exec "$@" >/dev/full 2>&1' - "$MTABOX" sendmail -C "$conf" -v "$me" <letter
	delivered 2
}

@test "few descriptors: accepted and delivered, or refused; never taken and lost" {
	letter >letter
	write_conf 'defer yes'
	local n taken=0 status
	for n in 3 4 5 6 7 8 9 10 12 16; do
		status=0
		bash -c 'ulimit -n "$0"; exec "$@"' "$n" "$MTABOX" sendmail -C "$conf" "$me" \
			<letter >out 2>err || status=$?
		case $status in
		0) taken=$((taken + 1)) ;;
		7[0-9]) [ -s err ] || fail "$n: refused without a reason" ;;
		*) fail "$n: exit status $status" ;;
		esac
	done
	same "$status" 0
	flush
	delivered "$taken"
}

@test "few descriptors for the runner: what is taken is delivered later at the latest" {
	letter >letter
	local n
	for n in 6 8 10 12 16; do
		expect '*' bash -c 'ulimit -n "$0"; exec "$@"' "$n" \
			timeout 20 "$MTABOX" sendmail -C "$conf" -odq "$me" <letter
		expect '*' bash -c 'ulimit -n "$0"; exec "$@"' "$n" \
			timeout 20 "$MTABOX" deliver -C "$conf" -q -O defer=yes
	done
	flush
	delivered "$(grep -c ': uid=' log)"
}

@test "files may not grow: refused, nothing in the queue" {
	head -c 100000 /dev/zero | tr '\0' x >letter
	expect '7[0-9]' bash -c 'ulimit -f 8; exec "$@"' - "$MTABOX" sendmail -C "$conf" -odq "$me" <letter
	says 'cannot keep the message'
	spool_is ''
}

@test "the first caller's limits and priority are not the runner's" {
	letter | expect 0 bash -c 'ulimit -Sn 20 && ulimit -Sf 100 && exec nice -n 10 "$@"' _ \
		"$MTABOX" sendmail -C "$conf" -O smarthost=smtp://127.0.0.1:1 far@x.example
	wait_for '[ -n "$(runner)" ]'
	local limits
	limits=/proc/$(runner)/limits
	same "$(awk '/^Max open files/ { print $4 == $5 }' "$limits")" 1
	same "$(awk '/^Max file size/ { print $4 == $5 }' "$limits")" 1
	[ "$(id -u)" != 0 ] || same "$(awk '{ print $19 }' "/proc/$(runner)/stat")" 0
}

# A system whose first process can be looked at: in a process namespace, for as long as a test
# lasts at most. system COMMAND...: in it.
boot_system() {
	needs_root 'namespaces, capabilities and limits'
	unshare -m -p -f --mount-proc --kill-child sleep 60 3>&- &
	booter=$!
	wait_for 'init=$(pgrep -P $booter -x sleep)' || skip 'no namespaces here'
	system unshare -n -m true || skip 'no namespaces here'
}
system() { nsenter -t "$init" -m -p "$@"; }

@test "what confines the first caller does not confine the next one's mail" {
	boot_system
	local cage first
	for cage in 'unshare -n' 'unshare -m' 'setpriv --bounding-set -setuid'; do
		write_conf 'retry_min 1h' 'smarthost smtp://127.0.0.1:1'
		letter | expect 0 system $cage "$MTABOX" sendmail -C "$conf" far@x.example
		wait_for 'grep -q "status=deferred" log && [ -z "$(runner)" ]'
		first=$(processes "$spool")
		[ -n "$first" ] || fail "$cage: nobody waits with the mail"
		letter | expect 0 system "$MTABOX" sendmail -C "$conf" far@y.example
		wait_for '[ "$(grep -c "status=deferred" log)" = 2 ] && [ -n "$(runner)" ] &&
			! [ -e "/proc/$first/exe" ]'
		[ "$(runner)" != "$first" ]
		end_processes
		rm -r spool log
	done
	kill $booter
}

@test "a confined caller's mail is tried again, by whoever is there" {
	boot_system
	write_conf 'retry_min 1s' 'retry_max 1s'
	mkdir "mail/$me"
	letter | expect 0 system unshare -n "$MTABOX" sendmail -C "$conf" "$me"
	wait_for '[ "$(grep -c "status=deferred" log)" -ge 3 ]'
	rmdir "mail/$me"
	wait_for queue_is_empty
	delivered 1
	wait_for is_over
	kill $booter
}

@test "root's hard limits end with the caller" {
	bash -c 'ulimit -n 20 && prlimit --pid $$ --nofile=30' 2>/dev/null || skip 'may not lift limits'
	write_conf 'retry_min 1h' 'smarthost smtp://127.0.0.1:1'
	letter | expect 0 bash -c 'ulimit -n 20 && ulimit -f 100 && exec "$@"' _ \
		"$MTABOX" sendmail -C "$conf" far@x.example
	wait_for '[ -n "$(runner)" ]'
	same "$(awk '/^Max open files/ { print $4, $5 }' "/proc/$(runner)/limits")" '1024 1024'
	same "$(awk '/^Max file size/ { print $4, $5 }' "/proc/$(runner)/limits")" 'unlimited unlimited'
}
