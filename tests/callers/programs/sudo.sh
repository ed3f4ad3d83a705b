#!/bin/sh
# SPDX-License-Identifier: ISC
# sudo, told to report every command. (Debian's runs sendmail as the user who called sudo.)
set -e
umask 227
cat >sudoers <<END
Defaults mail_all_cmnds
Defaults mailto="far@remote.example"
root ALL=(ALL) ALL
END
mv -f sudoers /etc/sudoers
sudo echo "$MARK" >/dev/null
