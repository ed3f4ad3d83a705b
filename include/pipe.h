/* SPDX-License-Identifier: ISC */
/*
 * Gives a message to a command's standard input, as the recipient's own process: clean
 * environment, own session, a time limit, its exit status as the verdict. The command is
 * never told the end of a message that it has not been given whole: where this process cannot
 * go on (time limit, its own death), the command's whole group is killed first.
 */
#ifndef PIPE_H
#define PIPE_H

#include "io.h"
#include "outcome.h"
#include "user.h"

struct pipe_job {
	struct str command;          /* as written behind '|', unquoted */
	const struct user *user;     /* whom we run as already */
	struct str sender, rcpt;     /* canonical, as in mbox_job */
	struct str extension;        /* detail of user+detail, or "" */
	struct source content;       /* the message as rendered */
	unsigned seconds;            /* the command may take */
};

/* Runs the command: in the recipient's home (else /), umask 077, environment PATH, SHELL,
 * HOME, USER, LOGNAME, SENDER, RECIPIENT, LOCAL, DOMAIN and EXTENSION and nothing else; in
 * the last five, what means something to a shell becomes '_', as does a '-' at the start. A
 * program by its path, followed by plain words, is run as such, all else by /bin/sh -c. On
 * its stdin: Return-Path, Delivered-To, content; that it does not read all is no error. The
 * beginning of what it writes to stdout and stderr joins the outcome's words. Children that
 * it leaves behind are left alone, and not waited for.
 * Descriptors 0 to 2 must be open, SIGPIPE ignored and SIGCHLD not. */
struct outcome pipe_deliver(const struct pipe_job *job);

#endif
