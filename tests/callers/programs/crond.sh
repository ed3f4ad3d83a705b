#!/bin/sh
# SPDX-License-Identifier: ISC
# BusyBox's crond: a job that speaks, once.
set -e
mkdir tabs
cat >tabs/root <<END
MAILTO=far@remote.example
* * * * * echo 'Hello, this is $MARK: Grüße'; rm $PWD/tabs/root
END
exec busybox crond -f -c "$PWD/tabs"
