#!/bin/sh
# SPDX-License-Identifier: ISC
# logwatch, with one service to report on.
set -e
cd /etc/logwatch
mkdir -p scripts/services conf/services
echo "print \"Hello, this is $MARK\\n\";" >scripts/services/hello
printf '%s\n' 'Title = hello' 'LogFile = NONE' >conf/services/hello.conf
exec logwatch --output mail --mailto 'far@remote.example joe@router.example' --service hello
