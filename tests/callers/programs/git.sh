#!/bin/sh
# SPDX-License-Identifier: ISC
# git send-email of a patch by somebody whose name is not ASCII: git.sh [OPTION...]
set -e
git init -q .
git config user.name Jörg
git config user.email root@router.example
cat >file
git add file
git commit -q -m "add: $MARK — ☃"
git format-patch -q --root
exec git send-email --quiet --confirm=never --suppress-cc=all --8bit-encoding=UTF-8 \
	--from='Jörg <root@router.example>' --to=far@remote.example --to=joe@router.example \
	--cc=copy@remote.example --bcc=hidden@remote.example "$@" 0001*
