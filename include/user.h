/* SPDX-License-Identifier: ISC */
/*
 * Who is who on this device: /etc/passwd, read line by line without the C library's own
 * reader (which brings stdio and a cache daemon's client along). A device may have no such
 * file: then there is only the user we run as.
 */
#ifndef USER_H
#define USER_H

#include "buf.h"

#include <sys/types.h>

/* The file as it was when it was read. */
struct user_file {
	struct buf text;
	int error;               /* an errno: why there is no text; else 0 */
};

struct user {
	uid_t uid;
	gid_t gid;
	struct buf name, home;
};

enum user_result { USER_FOUND, USER_UNKNOWN, USER_NO_FILE, USER_ERROR };

/* A failure is remembered, and told by those that look somebody up. */
void user_load(struct user_file *f);
void user_unload(struct user_file *f);

/* By name (case matters to the system; the exact name first, then without regard to case) or
 * by number. NO_FILE: no /etc/passwd; *u is then the user we run as, with the name asked for.
 * ERROR, with errno: it is there and cannot be read, or is empty: nothing is known; *u is
 * empty. */
enum user_result user_by_name(const struct user_file *f, struct str name,
			      struct user *u);
/* Whose mail that is: by the whole name, or for user+detail by the user's. */
enum user_result user_of_mail(const struct user_file *f, struct str name,
			      struct user *u);
enum user_result user_by_id(const struct user_file *f, uid_t uid, struct user *u);
/* Whose rights are worth nothing: that user, or where there is none or it is root, uid and
 * gid 65534. */
void user_without_rights(const struct user_file *f, struct str name, struct user *u);
void user_free(struct user *u);

#endif
