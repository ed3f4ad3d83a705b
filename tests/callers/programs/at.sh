#!/bin/sh
# SPDX-License-Identifier: ISC
# at and its daemon, which mails the user whose job it is.
set -e
cd /var/spool/cron
mkdir -p atjobs atspool
: >atjobs/.SEQ
chown -R daemon:daemon atjobs atspool
chmod 1770 atjobs atspool
chmod 600 atjobs/.SEQ
atd -l 99
echo "echo 'Hello, this is $MARK: Grüße'" | at -m now
