#!/bin/sh
# SPDX-License-Identifier: ISC
# fail2ban, which is told of an address to ban.
set -e
cp -R /etc/fail2ban conf
rm -rf conf/jail.d conf/jail.conf
: >empty
cat >conf/jail.local <<END
[$MARK]
enabled = true
filter = sshd
backend = polling
logpath = $PWD/empty
action = sendmail[name=$MARK, dest=far@remote.example, sender=ban@router.example,
	sendername=Ban, actionstart=, actionstop=]
END
printf '%s\n' '[Definition]' 'dbfile = None' >conf/fail2ban.local

client() {
	fail2ban-client -c conf -s "$PWD/socket" -p "$PWD/pid" --logtarget "$PWD/log" "$@"
}
client start
client set "$MARK" banip 192.0.2.1
client stop
