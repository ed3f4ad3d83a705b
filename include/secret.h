/* SPDX-License-Identifier: ISC */
/*
 * Where a relay's passwords come from: auth_file, which others must not be able to read, and
 * password_command. Read with the rights a worker has before it gives them up, into memory
 * that does not move, which is the caller's to wipe.
 */
#ifndef SECRET_H
#define SECRET_H

#include "conf.h"
#include "outcome.h"

/* auth_file's text, with room behind it for what password_command says; a missing file is
 * empty. 0; or -1 with *why, TEMPFAIL: it cannot be used. */
int secret_load(const struct conf *c, struct buf *text, struct outcome *why);

/* Has a shell run password_command, with server's user and host as $1 and $2, and adds the
 * first line that it says to *text as an entry. 0; or -1 with *why, TEMPFAIL: it failed, said
 * nothing, more than LIMIT_PASSWORD, or took longer than connect_timeout. */
int secret_ask(const struct conf *c, const struct url *server, struct buf *text,
	       struct outcome *why);

#endif
