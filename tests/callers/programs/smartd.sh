#!/bin/sh
# SPDX-License-Identifier: ISC
# What smartd runs when a disk fails, which calls mail(1).
export SMARTD_ADDRESS=far@remote.example SMARTD_MAILER=mail SMARTD_FAILTYPE=EmailTest \
	SMARTD_MESSAGE="Hello, this is $MARK" SMARTD_FULLMESSAGE="This is $MARK" \
	SMARTD_DEVICE=/dev/sda SMARTD_DEVICESTRING=/dev/sda SMARTD_DEVICETYPE=ata \
	SMARTD_DEVICEINFO=none SMARTD_TFIRST=now SMARTD_TFIRSTEPOCH=0 SMARTD_PREVCNT=0 \
	SMARTD_NEXTDAYS=
exec /usr/share/smartmontools/smartd_warning.sh
