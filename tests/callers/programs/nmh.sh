#!/bin/sh
# SPDX-License-Identifier: ISC
# nmh's send: nmh.sh MTS [FIELD]
set -e
mkdir Mail
echo 'Path: Mail' >profile
{ grep -v '^mts:' /etc/nmh/mts.conf; echo "mts: $1"; } >mts
{
	printf '%s\n' 'From: root@router.example' 'To: far@remote.example, joe@router.example' \
		'Cc: copy@remote.example' ${2:+"$2"} 'Subject: a test' --------
	cat
} >draft
MH=$PWD/profile MHMTSCONF=$PWD/mts exec /usr/bin/mh/send -nodraftfolder "$PWD/draft"
