/* SPDX-License-Identifier: ISC */
#include "user.h"
#include "file.h"

#include <errno.h>
#include <unistd.h>

enum {
	PASSWD_MAX = 4 << 20,
	NOBODY = 65534,
};

/* "name:password:uid:gid:gecos:home:shell". Copies; 0, or -1 for a line of another form. */
static int
parse_line(struct str line, struct user *u)
{
	uint64_t uid, gid;
	struct str name = str_cut(&line, ':');

	str_cut(&line, ':');
	if (str_number(str_cut(&line, ':'), UINT32_MAX, &uid) ||
	    str_number(str_cut(&line, ':'), UINT32_MAX, &gid))
		return -1;
	str_cut(&line, ':');
	u->name.len = u->home.len = 0;
	buf_str(&u->name, name);
	buf_str(&u->home, str_cut(&line, ':'));
	u->uid = (uid_t)uid;
	u->gid = (gid_t)gid;
	return 0;
}

static bool
find(struct str text, bool (*is_it)(struct str line, const void *what), const void *what,
     struct user *u)
{
	while (text.len > 0) {
		struct str line = str_cut(&text, '\n');
		if (is_it(line, what) && parse_line(line, u) == 0)
			return true;
	}
	return false;
}

static bool
has_name(struct str line, const void *what)
{
	return str_eq(str_cut(&line, ':'), *(const struct str *)what);
}

static bool
has_name_in_any_case(struct str line, const void *what)
{
	return str_ieq(str_cut(&line, ':'), *(const struct str *)what);
}

static bool
has_uid(struct str line, const void *what)
{
	uint64_t uid = 0;

	str_cut(&line, ':');
	str_cut(&line, ':');
	/* One that is no number, parse_line refuses. */
	str_number(str_cut(&line, ':'), UINT32_MAX, &uid);
	return uid == *(const uid_t *)what;
}

/* The file's text, once it has been read: without any where f->error says why. */
static struct str
text_of(struct user_file *f)
{
	if (f->known)
		return buf_view(&f->text);
	f->known = true;
	if (file_load("/etc/passwd", PASSWD_MAX, &f->text)) {
		f->error = errno;
		buf_free(&f->text);
	} else if (f->text.len == 0) {
		/* What a power cut or a full disk left: nothing is known then. */
		f->error = ENODATA;
	}
	return buf_view(&f->text);
}

void
user_unload(struct user_file *f)
{
	buf_free(&f->text);
	*f = (struct user_file){0};
}

/* Without the file: there is nobody else only where there is no such file. */
static enum user_result
ourselves(const struct user_file *f, struct str name, struct user *u)
{
	errno = f->error;
	if (f->error != ENOENT)
		return USER_ERROR;
	u->uid = geteuid();
	u->gid = getegid();
	buf_str(&u->name, name);
	return USER_NO_FILE;
}

enum user_result
user_by_name(struct user_file *f, struct str name, struct user *u)
{
	struct str text = text_of(f);

	*u = (struct user){0};
	if (f->error)
		return ourselves(f, name, u);
	return find(text, has_name, &name, u) || find(text, has_name_in_any_case, &name, u) ?
	       USER_FOUND : USER_UNKNOWN;
}

enum user_result
user_of_mail(struct user_file *f, struct str name, struct user *u)
{
	enum user_result r = user_by_name(f, name, u);
	size_t plus = str_find(name, '+');

	if (plus == 0 || plus == name.len)
		return r;
	if (r == USER_NO_FILE)
		u->name.len = plus;
	if (r != USER_UNKNOWN)
		return r;
	user_free(u);
	return user_by_name(f, str_upto(name, plus), u);
}

enum user_result
user_by_id(struct user_file *f, uid_t uid, struct user *u)
{
	struct str text = text_of(f);

	*u = (struct user){0};
	if (f->error)
		return ourselves(f, (struct str){0}, u);
	return find(text, has_uid, &uid, u) ? USER_FOUND : USER_UNKNOWN;
}

void
user_without_rights(struct user_file *f, struct str name, struct user *u)
{
	if (user_by_name(f, name, u) == USER_FOUND && u->uid != 0)
		return;
	user_free(u);
	u->uid = u->gid = NOBODY;
	buf_str(&u->name, name);
}

void
user_free(struct user *u)
{
	buf_free(&u->name);
	buf_free(&u->home);
}
