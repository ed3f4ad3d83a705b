/* SPDX-License-Identifier: ISC */
#include "mbox.h"
#include "clock.h"
#include "date.h"
#include "file.h"
#include "nap.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	STALE_SECONDS = 5 * 60, /* of a dotlock, and of a mailbox nobody wrote to */
	LINKS = 8,              /* to follow on the way to a new mailbox */
	LOOK_BACK = 512,        /* where foreign mail may begin before a fragment's end */
};

/* In a dotlock of ours. Its maker holds the mailbox's flock for as long as it lives:
 * whoever has that lock and finds this mark knows that the maker is dead. The mode says the
 * same, for a mark not yet written, or lost in a power cut: nobody else's lock can be
 * executed. */
static const struct str mark = {"mtabox\n", 7};
enum { MARK_MODE = 0500 }; /* whatever the umask */
static const struct str from = {"From ", 5};

static bool is_roots(const char *path, unsigned links);

/* The same for where the link at path leads. */
static bool
leads_to_roots(const char *path, unsigned links)
{
	struct buf target = {0};
	char text[512];
	ssize_t n = readlink(path, text, sizeof text);

	if (links == 0 || n <= 0 || n == sizeof text)
		return false;
	if (text[0] != '/')
		buf_add(&target, path, (size_t)(strrchr(path, '/') - path) + 1);
	buf_add(&target, text, (size_t)n);
	buf_puts(&target, "/");
	bool is = is_roots(buf_cstr(&target), links - 1);
	buf_free(&target);
	return is;
}

/* Is all on the way to the file path root's, links included, so that nobody else can have
 * it lead elsewhere? Who may write to the last directory does not matter. */
static bool
is_roots(const char *path, unsigned links)
{
	struct buf part = {0};
	struct stat st;
	bool is = path[0] == '/', firm = true;

	for (size_t i = 0; is && path[i]; i++) {
		if (path[i] != '/')
			continue;
		part.len = 0;
		buf_add(&part, path, i ? i : 1);
		is = firm && lstat(buf_cstr(&part), &st) == 0 && st.st_uid == 0 &&
		     (!S_ISLNK(st.st_mode) || (leads_to_roots(buf_cstr(&part), links) &&
					       stat(buf_cstr(&part), &st) == 0));
		/* May others put something else in the next name's place? */
		firm = !(st.st_mode & 022) || (st.st_mode & S_ISVTX);
	}
	buf_free(&part);
	return is;
}

int
mbox_create(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	if (geteuid() == 0 && !is_roots(path, LINKS))
		return 0; /* mbox_deliver will, with the recipient's rights */
	int fd = file_create(AT_FDCWD, path, 0600);

	if (fd < 0 && errno != EEXIST)
		return -1;
	if (fd < 0)
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 0; /* mbox_deliver will say what is wrong with it */
	/* New, or left so by a crash right here: an empty file of root's. */
	int rc = fstat(fd, &st);
	if (rc == 0 && geteuid() == 0 && st.st_uid == 0 && S_ISREG(st.st_mode) &&
	    st.st_nlink == 1 && st.st_size == 0)
		rc = fchown(fd, uid, gid);
	int err = errno;
	close(fd);
	errno = err;
	return rc;
}

/*
 * What is appended. Writing and the comparison after a crash both take it from here, so
 * that they cannot differ. A sink returns 0 to go on; anything else ends the production.
 */
typedef int sink(void *ctx, struct str bytes);

struct pen {
	sink *take;
	void *ctx;
	bool line_start; /* only '>' and held bytes have come since the last line feed */
	size_t held;     /* bytes of "From " held back: it may have to be quoted */
	char last;       /* byte put */
};

static int
put(struct pen *p, struct str bytes)
{
	if (bytes.len > 0)
		p->last = bytes.ptr[bytes.len - 1];
	return p->take(p->ctx, bytes);
}

static int
put_held(struct pen *p)
{
	struct str held = str_upto(from, p->held);

	p->line_start = false;
	p->held = 0;
	return put(p, held);
}

/* mboxrd: a line that matches ">*From " gets one more '>'. */
static int
put_quoted(struct pen *p, struct str in)
{
	int rc = 0;

	while (rc == 0 && in.len > 0) {
		size_t n = 1;
		if (!p->line_start) {
			n = str_find(in, '\n');
			p->line_start = n < in.len;
			n += n < in.len;
			rc = put(p, str_upto(in, n));
		} else if (in.ptr[0] == from.ptr[p->held]) {
			if (++p->held == from.len) {
				p->line_start = false;
				p->held = 0;
				rc = put(p, STR(">From "));
			}
		} else if (in.ptr[0] == '>' && p->held == 0) {
			rc = put(p, str_upto(in, 1));
		} else {
			n = 0; /* an ordinary line after all */
			rc = put_held(p);
		}
		in = str_from(in, n);
	}
	return rc;
}

static void
print_head(const struct mbox_job *job, unsigned feeds, struct buf *out)
{
	struct str sender = job->sender.len > 0 ? job->sender : STR("MAILER-DAEMON");

	buf_str(out, str_upto(STR("\n\n"), feeds));
	buf_print(out, "From %.*s ", STR_ARG(sender));
	date_print_mbox(job->date, out);
	buf_putc(out, '\n');
	trace_print(job->sender, job->rcpt, out);
}

/* feeds: that many line feeds come first, for a mailbox that does not end in an empty line.
 * 0; what take returned; or -1 with errno: the content cannot be read. */
static int
produce(const struct mbox_job *job, unsigned feeds, sink *take, void *ctx)
{
	struct pen p = {.take = take, .ctx = ctx, .line_start = true};
	struct source content = job->content;
	struct buf head = {0};
	char chunk[4096];
	ssize_t n = 0;

	print_head(job, feeds, &head);
	int rc = put(&p, buf_view(&head));
	buf_free(&head);
	content.pos = 0;
	while (rc == 0 && (n = source_read(&content, chunk, sizeof chunk)) > 0)
		rc = put_quoted(&p, (struct str){chunk, (size_t)n});
	if (n < 0)
		return -1;
	if (rc == 0)
		rc = put_held(&p);
	if (rc == 0)
		rc = put(&p, p.last == '\n' ? STR("\n") : STR("\n\n"));
	return rc;
}

static bool
has_mark(const char *dotlock)
{
	char text[8];
	int fd = open(dotlock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	/* -1, where it cannot be opened or read, is no length of the mark. */
	ssize_t n = file_read_at(fd, text, sizeof text, 0);

	if (fd >= 0)
		close(fd);
	return str_eq((struct str){text, (size_t)n}, mark);
}

/* Was the dotlock left by a program that is gone? Ours, or old beside a mailbox that has
 * not been written to. mailbox: its descriptor, flocked. */
static bool
is_stale(int mailbox, const char *dotlock)
{
	struct stat lock, box;

	if (lstat(dotlock, &lock) || fstat(mailbox, &box))
		return false;
	if (lock.st_mode == (S_IFREG | MARK_MODE) || has_mark(dotlock))
		return true;
	time_t written = box.st_mtime;
	/* A change of the mode to what it is sets ctime: the file system's own time. */
	if (fchmod(mailbox, box.st_mode & 07777) || fstat(mailbox, &box))
		return false;
	return box.st_ctime - lock.st_mtime > STALE_SECONDS &&
	       box.st_ctime - written > STALE_SECONDS;
}

/* 0 where the directory does not allow one, too: the other locks must do then. -1 with
 * errno; EEXIST: somebody else has it. */
static int
take_dotlock(struct mbox *m, const char *path)
{
	struct buf name = {0};

	buf_print(&name, "%s.lock", path);
	const char *dotlock = buf_cstr(&name);
	int fd = file_create(AT_FDCWD, dotlock, MARK_MODE);
	if (fd < 0 && errno == EEXIST) {
		if (!is_stale(m->fd, dotlock))
			errno = EEXIST;
		else if (unlink(dotlock) == 0)
			fd = file_create(AT_FDCWD, dotlock, MARK_MODE);
	}
	if (fd >= 0) {
		file_write(fd, mark); /* for file systems without modes */
		close(fd);
		m->dotlock = name.ptr;
		return 0;
	}
	int err = errno;
	bool refused = err == EACCES || err == EPERM || err == EROFS ||
		err == ENAMETOOLONG;
	buf_free(&name);
	errno = err;
	return refused ? 0 : -1;
}

/* The three ends of try_lock other than success; they say why in *o. */
static int
busy(struct outcome *o, const char *path, const char *words)
{
	*o = outcome_make(TEMPFAIL, 2, 0, "%s %s", path, words);
	return 1;
}

static int
unfit(struct outcome *o, const char *path, const char *words)
{
	*o = outcome_make(TEMPFAIL, 3, 5, "%s %s", path, words);
	return -1;
}

static int
broken(struct outcome *o, const char *doing, const char *path)
{
	*o = outcome_from_file(errno, doing, path);
	return -1;
}

/* 0: open, locked, and fit to be written to. 1: not now. -1: not at all. *o says why. */
static int
try_lock(struct mbox *m, const char *path, struct outcome *o)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct stat st;

	m->fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (m->fd < 0 && errno == ENOENT)
		m->fd = file_create(AT_FDCWD, path, 0600);
	if (m->fd < 0 && errno == EEXIST)
		return busy(o, path, "is being made by another program");
	if (m->fd < 0)
		return errno == ELOOP ? unfit(o, path, "is a symbolic link") :
			broken(o, "opening", path);
	if (file_lock(m->fd, 0) || fcntl(m->fd, F_SETLK, &all))
		return errno == EAGAIN || errno == EACCES ?
			busy(o, path, "is locked by another program") :
			broken(o, "locking", path);
	if (take_dotlock(m, path))
		return errno == EEXIST ? busy(o, path, "has a .lock of another program") :
			broken(o, "making a .lock for", path);
	/* Whoever had the locks before may have put another file in its place. */
	int same = file_is(m->fd, AT_FDCWD, path);
	if (same < 0 || fstat(m->fd, &st))
		return broken(o, "looking at", path);
	if (!same)
		return busy(o, path, "was replaced by another program");
	if (!S_ISREG(st.st_mode))
		return unfit(o, path, "is not a regular file");
	if (st.st_nlink != 1)
		return unfit(o, path, "has a second name (a hard link)");
	if (st.st_uid != geteuid())
		return unfit(o, path, "belongs to somebody else");
	return 0;
}

/* Between attempts everything is let go: two programs that take the same locks in
 * different orders must not wait for each other. */
static int
lock(struct mbox *m, const struct mbox_job *job, struct outcome *o)
{
	int64_t deadline = clock_ms() + (int64_t)job->lock_seconds * 1000;
	int pause_ms = 10;
	int rc;

	while ((rc = try_lock(m, job->path, o)) != 0) {
		mbox_release(m);
		if (rc < 0 || clock_ms() + pause_ms > deadline)
			return -1;
		nap_longer(&pause_ms);
	}
	return 0;
}

/* How many line feeds does the mailbox, cut at end, need to end in an empty line? Without one
 * readers may take the next From_ line for text. -1 with errno. */
static int
missing_feeds(int fd, uint64_t end)
{
	char last[2] = "\n\n";
	size_t n = end < sizeof last ? (size_t)end : sizeof last;

	if (file_read_at(fd, last + sizeof last - n, n, (off_t)(end - n)) < 0)
		return -1;
	return last[1] != '\n' ? 2 : last[0] != '\n';
}

/* The same of what an earlier attempt put at start: what stands before it may have been
 * blanked since. */
static int
began_with_feeds(int fd, uint64_t start)
{
	char first[4] = "";
	int feeds = 0;

	if (file_read_at(fd, first, sizeof first - 1, (off_t)start) < 0)
		return -1;
	while (first[feeds] == '\n')
		feeds++;
	return first[feeds] == from.ptr[0] ? feeds : missing_feeds(fd, start);
}

/* What stands in the mailbox behind the place of an earlier attempt. */
struct tail {
	int fd;
	uint64_t start, len;
	uint64_t same; /* bytes that are ours, or NUL: a power cut may leave a file's size
	                  without its data; or LF: a kill may interrupt blank() */
	bool ours;     /* not all of them are such LF */
	bool holes;    /* some of them are such */
};

static int
compare(void *ctx, struct str ours)
{
	struct tail *t = ctx;
	char there[1024];

	while (ours.len > 0) {
		size_t cap = ours.len < sizeof there ? ours.len : sizeof there;
		ssize_t n = file_read_at(t->fd, there, cap, (off_t)(t->start + t->same));
		if (n <= 0)
			return n < 0 ? -1 : 1;
		for (ssize_t i = 0; i < n; i++, t->same++) {
			bool equal = there[i] == ours.ptr[i];
			if (!equal && there[i] != '\0' && there[i] != '\n')
				return 1;
			t->ours |= equal || there[i] == '\0';
			t->holes |= !equal;
		}
		ours = str_from(ours, (size_t)n);
	}
	return 0;
}

/* Where in the tail, from its byte same on, the first byte stands that is no line feed: an
 * earlier blanking may have left any number of them. -1 with errno. */
static int64_t
behind_feeds(const struct tail *t)
{
	char chunk[512];
	uint64_t at = t->same;
	ssize_t n;

	while ((n = file_read_at(t->fd, chunk, sizeof chunk, (off_t)(t->start + at))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			if (chunk[i] != '\n')
				return (int64_t)at;
	return n < 0 ? -1 : (int64_t)at;
}

/*
 * How many of the tail's bytes are our fragment, given that it ends in something else:
 * all up to the From_ line of foreign mail. That begins where the tail stops being ours,
 * or behind line feeds, or in the same line before, where its first bytes happen to
 * be what ours would have been. 0: no such line, so the tail is not ours at all. -1 with
 * errno.
 */
static int64_t
fragment_length(const struct tail *t)
{
	char space[2 * LOOK_BACK];
	uint64_t base = t->same > LOOK_BACK ? t->same - LOOK_BACK : 0;
	ssize_t n = file_read_at(t->fd, space, sizeof space, (off_t)(t->start + base));
	int64_t behind = behind_feeds(t);
	size_t end = (size_t)(t->same - base), at;
	char first[5] = "";

	if (n < 0 || behind < 0 ||
	    file_read_at(t->fd, first, sizeof first, (off_t)t->start + behind) < 0)
		return -1;
	if (str_eq((struct str){first, sizeof first}, from))
		return behind;
	struct str near = {space, (size_t)n};
	for (at = end; at > 0 && at <= near.len && near.ptr[at - 1] != '\n'; at--)
		if (str_starts(str_from(near, at - 1), from))
			return (int64_t)(base + at - 1);
	return 0;
}

static int
blank(int fd, uint64_t start, uint64_t len)
{
	char feeds[512];

	memset(feeds, '\n', sizeof feeds);
	/* Backwards: if it ends half-way, what is left is still known as ours. */
	while (len > 0) {
		size_t n = len < sizeof feeds ? (size_t)len : sizeof feeds;
		len -= n;
		if (file_write_at(fd, (struct str){feeds, n}, (off_t)(start + len)))
			return -1;
	}
	return 0;
}

/* Of a mail that begins at start, and of a mailbox that can be as new as its first mail. */
static int
sync_mail(int fd, const struct mbox_job *job, uint64_t start)
{
	return file_sync(fd) || (start == 0 && file_sync_parent(job->path)) ? -1 : 0;
}

/* Looks for what an earlier attempt wrote. 1: all of it, durably. 0: whatever there was
 * of it has gone. -1 with errno. */
static int
recover(int fd, const struct mbox_job *job)
{
	const struct mbox_place *was = &job->previous;
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	/* Not the device: after a boot the same one may have another number, on UBIFS and Btrfs by
	 * the order of mounts. What stands there decides. */
	if (st.st_ino != was->inode || (uint64_t)st.st_size <= was->start)
		return 0;
	uint64_t len = (uint64_t)st.st_size - was->start;
	struct tail t = {.fd = fd, .start = was->start, .len = len};
	int feeds = began_with_feeds(fd, t.start);
	int rc = feeds < 0 ? -1 : produce(job, (unsigned)feeds, compare, &t);
	if (rc < 0)
		return -1;
	if (rc == 0 && !t.holes)
		return sync_mail(fd, job, t.start) ? -1 : 1;
	if (t.same == t.len && t.ours) {
		rc = ftruncate(fd, (off_t)t.start);
	} else {
		int64_t ours = rc == 0 ? (int64_t)t.same : fragment_length(&t);
		rc = ours < 0 ? -1 : blank(fd, t.start, (uint64_t)ours);
	}
	/* Before a new place takes the old one's place on disk. */
	return rc ? -1 : file_sync(fd);
}

static int
add(void *ctx, struct str bytes)
{
	struct writer *w = ctx;

	writer_add(w, bytes);
	errno = w->error;
	return w->error ? -1 : 0;
}

static int
append(int fd, const struct mbox_job *job, uint64_t start)
{
	char space[8192];
	struct writer w;
	int feeds = missing_feeds(fd, start);

	writer_init(&w, fd, space, sizeof space);
	if (feeds < 0 || lseek(fd, (off_t)start, SEEK_SET) < 0 ||
	    produce(job, (unsigned)feeds, add, &w) || writer_flush(&w))
		return -1;
	return sync_mail(fd, job, start);
}

struct outcome
mbox_deliver(struct mbox *m, const struct mbox_job *job)
{
	struct outcome o;
	struct stat st;

	*m = (struct mbox){.fd = -1};
	if (lock(m, job, &o))
		return o;
	int whole = job->has_previous ? recover(m->fd, job) : 0;
	if (whole < 0 || fstat(m->fd, &st))
		return outcome_from_file(errno, "looking through", job->path);
	if (!whole) {
		uint64_t start = (uint64_t)st.st_size;
		struct mbox_place place = {st.st_dev, st.st_ino, start};
		if (job->intend(job->ctx, &place))
			return outcome_make(TEMPFAIL, 3, 0, "could not be recorded beforehand");
		m->start = (off_t)start;
		m->appended = true;
		if (append(m->fd, job, start)) {
			o = outcome_from_file(errno, "writing to", job->path);
			mbox_take_back(m);
			return o;
		}
	}
	return outcome_make(DELIVERED, 0, 0, "delivered to %s", job->path);
}

void
mbox_take_back(struct mbox *m)
{
	/* If this fails, the next attempt finds what is there. */
	if (m->appended && ftruncate(m->fd, m->start) == 0)
		file_sync(m->fd);
	m->appended = false;
}

void
mbox_release(struct mbox *m)
{
	/* First: as long as the dotlock is there, its flock is held. */
	if (m->dotlock)
		unlink(m->dotlock);
	buf_release(m->dotlock);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct mbox){.fd = -1};
}
