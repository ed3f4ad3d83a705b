#!/bin/sh
# SPDX-License-Identifier: ISC
# anacron: a job that is due.
set -e
mkdir spool
cat >tab <<END
MAILTO=far@remote.example
1 0 job echo 'Hello, this is $MARK: Grüße'
END
exec anacron -d -f -n -t "$PWD/tab" -S "$PWD/spool"
