/* SPDX-License-Identifier: ISC */
/*
 * Who is who on this device: /etc/passwd, read line by line without the C library's own
 * reader (which brings stdio and a cache daemon's client along), and only when somebody is
 * looked up. A device may have no such file: then there is only the user we run as.
 */
#ifndef USER_H
#define USER_H

#include "buf.h"

#include <sys/types.h>

/* {0} is the file not read yet; the first that is looked up has it read. */
struct user_file {
	bool known;
	struct buf text;
	int error;               /* an errno: why there is no text; else 0 */
};

struct user {
	uid_t uid;
	gid_t gid;
	struct buf name, home;
};

enum user_result { USER_FOUND, USER_UNKNOWN, USER_NO_FILE, USER_ERROR };

/* Forgets it: the next one looked up has it read anew. */
void user_unload(struct user_file *f);

/* By name (case matters to the system; the exact name first, then without regard to case) or
 * by number. NO_FILE: no /etc/passwd; *u is then the user we run as, with the name asked for.
 * ERROR, with errno: it is there and cannot be read, or is empty: nothing is known, and so it
 * stays; *u is empty. */
enum user_result user_by_name(struct user_file *f, struct str name, struct user *u);
/* Whose mail that is: by the whole name, or for user+detail by the user's. */
enum user_result user_of_mail(struct user_file *f, struct str name, struct user *u);
enum user_result user_by_id(struct user_file *f, uid_t uid, struct user *u);
/* Whose rights are worth nothing: that user, or where there is none or it is root, uid and
 * gid 65534. */
void user_without_rights(struct user_file *f, struct str name, struct user *u);
void user_free(struct user *u);

#endif
