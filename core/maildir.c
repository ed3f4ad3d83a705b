/* SPDX-License-Identifier: ISC */
#include "maildir.h"
#include "file.h"
#include "fmt.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HOST_MAX = 128, /* of the host in a name; id and number alone make it unique */
	NAME_SIZE = 192, /* a file's name may have 255 bytes, readers add some */
};

enum { TOP, TMP, NEW, CUR, DIRECTORIES };

struct maildir {
	int dir[DIRECTORIES];
	char name[NAME_SIZE];
	const char *doing; /* the step at hand, for the words of a failure */
};

/* May stand in a host, and so in our names: nothing that readers of Maildirs give a meaning,
 * neither the ':' before the flags that they add nor what they use where there is none. */
static bool
is_host_char(char c)
{
	char lower = str_lower(c);

	return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

/* "<seconds>.<unique>.<host>". */
static void
make_name(const struct maildir_job *job, char name[static NAME_SIZE])
{
	struct str host = str_upto(job->host, HOST_MAX);
	size_t len = fmt_print(name, NAME_SIZE, "%lld.%.*sR%u.%.*s", (long long)job->date,
			       STR_ARG(job->id), job->rcpt_number, STR_ARG(host));

	for (char *p = name + len - host.len; *p; p++)
		if (!is_host_char(*p))
			*p = '_';
}

/* Opens a directory, which must be as durable as the mail in it; makes it where it is missing. */
static int
enter(struct maildir *m, int at, const char *name, int flags)
{
	struct stat st;
	int fd = file_enter(at, name, flags, &st);

	if (fd >= 0 && st.st_uid != geteuid()) {
		m->doing = "not the owner of all of";
		close(fd);
		errno = EPERM;
		return -1;
	}
	return fd;
}

static int
enter_all(struct maildir *m, const char *path)
{
	static const struct { const char *name, *doing; } part[] = {
		[TMP] = {"tmp", "opening tmp in"},
		[NEW] = {"new", "opening new in"},
		[CUR] = {"cur", "opening cur in"},
	};

	m->doing = "opening";
	m->dir[TOP] = enter(m, AT_FDCWD, path, geteuid() == 0 ? O_NOFOLLOW : 0);
	if (m->dir[TOP] < 0)
		return -1;
	for (int i = TMP; i < DIRECTORIES; i++) {
		m->doing = part[i].doing;
		m->dir[i] = enter(m, m->dir[TOP], part[i].name, O_NOFOLLOW);
		if (m->dir[i] < 0)
			return -1;
	}
	return 0;
}

struct search {
	struct str name;
	bool found;
};

static void
look_at(void *ctx, struct str name)
{
	struct search *s = ctx;

	/* What follows is a reader's: ":2,S". */
	if (str_starts(name, s->name) &&
	    (name.len == s->name.len || !is_host_char(name.ptr[s->name.len])))
		s->found = true;
}

/* Did an earlier attempt get it into new? 1: it did, durably. 0, or -1 with errno. */
static int
find(const struct maildir *m, bool retried)
{
	struct search s = {.name = str_of(m->name)};
	struct stat st;

	if (fstatat(m->dir[NEW], m->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return file_sync_dir(m->dir[NEW]) ? -1 : 1;
	if (errno != ENOENT)
		return -1;
	if (!retried)
		return 0;
	if (file_walk(m->dir[CUR], look_at, &s) || (s.found && file_sync_dir(m->dir[CUR])))
		return -1;
	return s.found;
}

static int
copy(int fd, struct source s)
{
	char chunk[4096];
	ssize_t n;

	while ((n = source_read(&s, chunk, sizeof chunk)) > 0)
		if (file_write(fd, (struct str){chunk, (size_t)n}))
			return -1;
	return (int)n;
}

/* The message as tmp/name, on disk. 0, or -1 with errno. */
static int
write_draft(const struct maildir *m, const struct source *s)
{
	int fd = file_create(m->dir[TMP], m->name, 0600);

	/* A crash left it: whoever else delivers this message is gone. */
	if (fd < 0 && errno == EEXIST && unlinkat(m->dir[TMP], m->name, 0) == 0)
		fd = file_create(m->dir[TMP], m->name, 0600);
	if (fd < 0)
		return -1;
	int rc = copy(fd, *s) || file_sync(fd) ? -1 : 0, err = errno;
	if (close(fd) == 0)
		errno = err;
	else
		rc = -1;
	return rc;
}

static int
deliver(struct maildir *m, const struct maildir_job *job)
{
	struct buf space = {0};
	struct source s = trace_add(&job->content, job->sender, job->rcpt, &space);

	m->doing = "writing to tmp in";
	int rc = write_draft(m, &s);
	buf_free(&space);
	if (rc == 0) {
		/* From here on the mail is the recipient's. */
		m->doing = "renaming into new in";
		rc = file_rename_new(m->dir[TMP], m->name, m->dir[NEW], m->name);
	}
	if (rc) {
		int err = errno;
		unlinkat(m->dir[TMP], m->name, 0);
		errno = err;
		return -1;
	}
	/* If this fails, the next attempt finds it there. */
	m->doing = "syncing new in";
	return file_sync_dir(m->dir[NEW]);
}

struct outcome
maildir_deliver(const struct maildir_job *job)
{
	struct maildir m = {.dir = {-1, -1, -1, -1}};
	struct str dir = str_of(job->path);
	struct buf path = {0};
	struct outcome o;

	make_name(job, m.name);
	/* With a '/' behind it a link would be followed. */
	while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
		dir.len--;
	buf_str(&path, dir);
	int rc = enter_all(&m, buf_cstr(&path));
	buf_free(&path);
	if (rc == 0) {
		m.doing = "looking through";
		rc = find(&m, job->retried);
	}
	if (rc == 0)
		rc = deliver(&m, job);
	o = rc < 0 ? outcome_from_file(errno, m.doing, job->path) :
		     outcome_make(DELIVERED, 0, 0, "delivered to %s", job->path);
	for (int i = 0; i < DIRECTORIES; i++)
		if (m.dir[i] >= 0)
			close(m.dir[i]);
	return o;
}
