/* SPDX-License-Identifier: ISC */
#include "spool.h"
#include "clock.h"
#include "codec.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	ID_DIGITS = SPOOL_ID / 2, /* of the time, and of the random part */
	CREATE_TRIES = 100,       /* ids; that two meet is one in 2^40 within a second */
	RUNNER_TRIES = 10,
	FIRST_READ = 4096,        /* of a message file: mostly all of it */
};

static const uint64_t UNSEEN = UINT64_MAX; /* a size that was not asked for */

struct name {
	char z[1 + SPOOL_ID + 1];
};

/* Names */

bool
spool_is_id(struct str id)
{
	bool is = id.len == SPOOL_ID;

	/* Which of the two is as good as random: no jump between them that would be guessed. */
	for (size_t n = 0; is && n < SPOOL_ID; n++) {
		unsigned c = (unsigned char)id.ptr[n];
		is = (c - '0' <= '9' - '0') | (c - 'a' <= 'v' - 'a');
	}
	return is;
}

int64_t
spool_id_time(struct str id)
{
	return (int64_t)codec_unbase32(str_upto(id, ID_DIGITS));
}

/* Another id of the same second. */
static void
change_id(const struct stamp *now, char id[SPOOL_ID + 1])
{
	codec_base32(clock_differ(now), ID_DIGITS, id + ID_DIGITS);
	id[SPOOL_ID] = '\0';
}

static void
make_id(const struct stamp *now, char id[SPOOL_ID + 1])
{
	codec_base32(now->wall > 0 ? (uint64_t)now->wall : 0, ID_DIGITS, id);
	change_id(now, id);
}

static struct name
make_name(char state, const char *id)
{
	struct name name;

	name.z[0] = state;
	memcpy(name.z + 1, id, SPOOL_ID);
	name.z[1 + SPOOL_ID] = '\0';
	return name;
}

/* Files */

/* close that leaves errno as it is. */
static void
close_quietly(int fd)
{
	int err = errno;

	close(fd);
	errno = err;
}

/* In a shared spool others put files as well, all by this program: the directory gives them
 * its group. They are root's to see to; what the group might be allowed is nobody's right. */
static bool
is_owner(const struct spool *s, const struct stat *st)
{
	return st->st_uid == s->uid || (s->shared && s->uid == 0 && st->st_gid == s->group);
}

/* Never waits. EINVAL for a link, and for what cannot be opened like a file. */
static int
open_file(const struct spool *s, const char *name, int flags)
{
	int fd = openat(s->dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == ELOOP || errno == ENXIO || errno == EISDIR))
		errno = EINVAL;
	return fd;
}

/* Whether fd, just opened by that name, is a file that we could have put there: EINVAL for a FIFO,
 * a directory, somebody else's file, a message by two names. *size: its own. */
static int
check_file(const struct spool *s, int fd, const char *name, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	*size = (uint64_t)st.st_size;
	if (st.st_nlink == 0)
		errno = ENOENT;
	else if (!S_ISREG(st.st_mode) || !is_owner(s, &st) ||
		 (st.st_nlink != 1 && spool_is_id(str_from(str_of(name), 1))))
		errno = EINVAL;
	else
		return 0;
	return -1;
}

static int
open_sized(const struct spool *s, const char *name, int flags, uint64_t *size)
{
	int fd = open_file(s, name, flags);

	if (fd < 0 || check_file(s, fd, name, size) == 0)
		return fd;
	close_quietly(fd);
	return -1;
}

static int
open_own(const struct spool *s, const char *name, int flags)
{
	uint64_t size;

	return open_sized(s, name, flags, &size);
}

/* Locks fd, just opened by that name, and looks again whether the name still means it. *size:
 * now that nobody else writes to it. */
static enum spool_result
lock_sized(const struct spool *s, int fd, const char *name, uint64_t *size)
{
	struct stat st, named;

	if (file_lock(fd, 0))
		return errno == EWOULDBLOCK ? SPOOL_BUSY : SPOOL_ERROR;
	if (fstat(fd, &st))
		return SPOOL_ERROR;
	if (fstatat(s->dir, name, &named, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? SPOOL_GONE : SPOOL_ERROR;
	*size = (uint64_t)st.st_size;
	return st.st_dev == named.st_dev && st.st_ino == named.st_ino ? SPOOL_OK : SPOOL_GONE;
}

static enum spool_result
lock_named(const struct spool *s, int fd, const char *name)
{
	uint64_t size;

	return lock_sized(s, fd, name, &size);
}

/* The directory */

/* Who else may put files there, or whose they are, is not ours to guess. */
static int
check_directory(struct spool *s, const struct stat *st, struct buf *why)
{
	s->group = st->st_gid;
	s->listing = (uint64_t)st->st_size;
	s->shared = st->st_uid == 0 && (st->st_mode & S_ISGID) && (st->st_mode & S_IWGRP);
	errno = EPERM;
	if (st->st_uid != s->uid && !(s->shared && st->st_gid == getegid())) {
		buf_print(why, "it belongs to uid %lu: run this as that user, or set spooldir",
			  (unsigned long)st->st_uid);
		return -1;
	}
	if (st->st_mode & S_IWOTH) {
		buf_print(why, "everybody may write to it: chmod o-w %s", s->path);
		return -1;
	}
	return 0;
}

int
spool_open(struct spool *s, const struct conf *c, struct buf *why)
{
	struct stat st;

	*s = (struct spool){
		/* Its name must be as durable as the mail in it. */
		.dir = file_enter(AT_FDCWD, c->spooldir, 0, &st),
		.memory = -1,
		.uid = (uid_t)getauxval(AT_EUID),
		.path = c->spooldir,
		.size_limit = c->spool_size_limit,
		.count_limit = c->spool_count_limit,
		.min_free = c->spool_min_free,
	};
	if (s->dir < 0) {
		int err = errno;
		buf_print(why, "%s: %s", strerror(err), err == EACCES || err == EPERM ?
			  "run this as root, or set spooldir to a directory of your own" :
			  "create it, or set spooldir");
		errno = err;
		return -1;
	}
	if (check_directory(s, &st, why) == 0)
		return 0;
	close_quietly(s->dir);
	s->dir = -1;
	return -1;
}

void
spool_open_memory(struct spool *s)
{
	*s = (struct spool){.dir = -1, .memory = -1, .path = "memory"};
}

bool
spool_may_run(const struct spool *s)
{
	return !s->shared || s->uid == 0;
}

static bool
is_in_memory(const struct spool *s)
{
	return s->dir < 0;
}

void
spool_close(struct spool *s)
{
	if (s->dir >= 0)
		close(s->dir);
	if (s->memory >= 0)
		close(s->memory);
	s->dir = s->memory = -1;
}

int
spool_sync(struct spool *s)
{
	return file_sync_dir(s->dir);
}

/* Whom a walk calls: files in these states. */
struct walker {
	const char *states;
	void (*visit)(void *ctx, char state, struct str id);
	void *ctx;
};

static void
visit_name(void *ctx, struct str name)
{
	const struct walker *w = ctx;
	struct str id = str_from(name, 1);

	if (spool_is_id(id) && strchr(w->states, name.ptr[0]))
		w->visit(w->ctx, name.ptr[0], id);
}

static int
walk(const struct spool *s, const char *states,
     void (*visit)(void *ctx, char state, struct str id), void *ctx)
{
	struct walker w = {states, visit, ctx};

	return file_walk(s->dir, visit_name, &w);
}

int
spool_walk(struct spool *s, void (*visit)(void *ctx, char state, struct str id), void *ctx)
{
	return walk(s, "QHC", visit, ctx);
}

struct usage {
	const struct spool *spool;
	uint64_t count, size;
};

static void
add_usage(void *ctx, char state, struct str id)
{
	struct usage *u = ctx;
	struct name name = make_name(state, id.ptr);
	struct stat st;

	u->count++;
	if (u->spool->size_limit && fstatat(u->spool->dir, name.z, &st, AT_SYMLINK_NOFOLLOW) == 0)
		u->size += (uint64_t)st.st_size;
}

/* Whether the directory is too small to have that many entries, by its own size, where the kind
 * of file system is known to count all of them in it: each of ours takes more than 16 bytes. */
static bool
is_small(const struct spool *s, const struct statfs *fs, uint64_t entries)
{
	static const unsigned known[] = {
		0xef53, 0x01021994, 0x24051905, 0x9123683e, /* ext, tmpfs, UBIFS, Btrfs */
	};
	size_t n = 0;

	while (n < sizeof known / sizeof *known && (unsigned)fs->f_type != known[n])
		n++;
	return n < sizeof known / sizeof *known && s->listing > 0 && s->listing / 16 < entries;
}

static int
check_usage(const struct spool *s, const struct statfs *fs, struct buf *why)
{
	struct usage u = {s, 0, 0};

	if (!s->size_limit && (!s->count_limit || is_small(s, fs, s->count_limit)))
		return 0;
	if (walk(s, "QHC", add_usage, &u)) {
		buf_print(why, "cannot list %s: %s", s->path, strerror(errno));
		return -1;
	}
	if (s->count_limit && u.count >= s->count_limit) {
		buf_print(why, "%llu messages in %s (spool_count_limit is %llu)",
			  (unsigned long long)u.count, s->path,
			  (unsigned long long)s->count_limit);
		return -1;
	}
	if (s->size_limit && u.size >= s->size_limit) {
		buf_print(why, "%llu bytes of messages in %s (spool_size_limit is %llu)",
			  (unsigned long long)u.size, s->path,
			  (unsigned long long)s->size_limit);
		return -1;
	}
	return 0;
}

static int
check_free(const struct spool *s, const struct statfs *fs, struct buf *why)
{
	uint64_t bytes = (uint64_t)fs->f_bavail * (fs->f_frsize ? fs->f_frsize : fs->f_bsize);

	if (!s->min_free)
		return 0;
	if (bytes < s->min_free) {
		buf_print(why, "%llu bytes free for %s (spool_min_free is %llu)",
			  (unsigned long long)bytes, s->path,
			  (unsigned long long)s->min_free);
		return -1;
	}
	/* File systems that make inodes as they go say 0 of 0. */
	if (fs->f_files != 0 && fs->f_ffree == 0) {
		buf_print(why, "no inode of %llu free for %s (spool_min_free asks for one)",
			  (unsigned long long)fs->f_files, s->path);
		return -1;
	}
	return 0;
}

int
spool_room(const struct spool *s, struct buf *why)
{
	struct statfs fs;

	if (is_in_memory(s))
		return 0;
	if (fstatfs(s->dir, &fs)) {
		buf_print(why, "cannot look at the file system of %s: %s", s->path,
			  strerror(errno));
		return -1;
	}
	return check_free(s, &fs, why) || check_usage(s, &fs, why) ? -1 : 0;
}

/* Drafts */

/* Takes away whichever name means the draft, and closes it. errno stays. */
static void
take_back(struct spool *s, struct spool_draft *d)
{
	int err = errno;

	for (const char *state = "TQ"; *state && !is_in_memory(s); state++) {
		struct name name = make_name(*state, d->id);
		if (file_is(d->fd, s->dir, name.z) == 1)
			unlinkat(s->dir, name.z, 0);
	}
	close(d->fd);
	d->fd = -1;
	errno = err;
}

char
spool_find(const struct spool *s, struct str id)
{
	struct stat st;

	errno = ENOENT;
	for (const char *state = "QHC"; spool_is_id(id) && *state; state++) {
		struct name name = make_name(*state, id.ptr);
		if (!fstatat(s->dir, name.z, &st, AT_SYMLINK_NOFOLLOW))
			return *state;
		if (errno != ENOENT)
			break;
	}
	return 0;
}

/* Until it is locked, a sweeper may take it for a stale one: then it has no name any more. */
static enum spool_result
lock_draft(int fd)
{
	struct stat st;

	if (file_lock(fd, 0))
		return errno == EWOULDBLOCK ? SPOOL_GONE : SPOOL_ERROR;
	/* Whatever the umask: its owner will append the journal. */
	if (fstat(fd, &st) || ((st.st_mode & 0777) != 0600 && fchmod(fd, 0600)))
		return SPOOL_ERROR;
	return st.st_nlink ? SPOOL_OK : SPOOL_GONE;
}

/* One try with a new id. SPOOL_BUSY or GONE: try another. */
static enum spool_result
try_create(struct spool *s, const struct stamp *now, struct spool_draft *d)
{
	make_id(now, d->id);
	struct name name = make_name('T', d->id);
	d->fd = file_create(s->dir, name.z, 0600);
	if (d->fd < 0)
		return errno == EEXIST ? SPOOL_BUSY : SPOOL_ERROR;
	enum spool_result result = lock_draft(d->fd);
	if (result != SPOOL_OK)
		take_back(s, d);
	return result;
}

int
spool_create(struct spool *s, const struct stamp *now, struct spool_draft *d)
{
	d->fixed = false;
	if (is_in_memory(s)) {
		make_id(now, d->id);
		d->fd = memfd_create("mail", MFD_CLOEXEC);
		return d->fd < 0 ? -1 : 0;
	}
	for (unsigned i = 0; i < CREATE_TRIES; i++) {
		enum spool_result result = try_create(s, now, d);
		if (result == SPOOL_OK || result == SPOOL_ERROR)
			return result == SPOOL_OK ? 0 : -1;
	}
	errno = EEXIST;
	return -1;
}

/* What could not be read back is not taken. */
static int
check_fixed(struct str fixed)
{
	uint64_t offset, length;

	errno = EFBIG;
	return fixed.len != ENVELOPE_FIXED || envelope_parse_fixed(fixed, &offset, &length) ? -1 : 0;
}

/* The draft becomes a message, by another id where its own is taken: nobody has seen it yet. One
 * that is held or set aside may have it as well, once in 2^40 times: then it stays what it is,
 * for no rename here takes another's place. */
static int
queue_draft(struct spool *s, struct spool_draft *d)
{
	struct name draft = make_name('T', d->id);
	char id[SPOOL_ID + 1];

	memcpy(id, d->id, sizeof id);
	for (unsigned i = 0; i < CREATE_TRIES; i++, change_id(&(struct stamp){0}, id)) {
		struct name queued = make_name('Q', id);
		if (file_rename_new(s->dir, draft.z, s->dir, queued.z) == 0) {
			memcpy(d->id, id, sizeof id);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return -1;
}

int
spool_commit(struct spool *s, struct spool_draft *d, struct str fixed)
{
	int rc = check_fixed(fixed) || (!d->fixed && file_write_at(d->fd, fixed, 0)) ? -1 : 0;

	if (rc == 0 && is_in_memory(s)) {
		s->memory = d->fd;
		d->fd = -1;
		return 0;
	}
	if (rc || file_sync(d->fd) || queue_draft(s, d)) {
		take_back(s, d);
		return -1;
	}
	if (file_sync_dir(s->dir)) {
		take_back(s, d);
		int err = errno;
		file_sync_dir(s->dir);
		errno = err;
		return -1;
	}
	s->listing = 0;
	/* From here on the mail is ours. The lock went no earlier than now, so nobody has
	 * delivered what could have been taken back. */
	close(d->fd);
	d->fd = -1;
	return 0;
}

void
spool_abort(struct spool *s, struct spool_draft *d)
{
	take_back(s, d);
}

static void
sweep_draft(void *ctx, char state, struct str id)
{
	struct spool *s = ctx;
	struct name name = make_name(state, id.ptr);
	int fd = open_own(s, name.z, O_RDONLY);

	if (fd < 0)
		return;
	if (lock_named(s, fd, name.z) == SPOOL_OK)
		unlinkat(s->dir, name.z, 0);
	close(fd);
}

void
spool_sweep(struct spool *s)
{
	walk(s, "T", sweep_draft, s);
}

/* Claims */

enum spool_result
spool_claim(struct spool *s, char state, struct str id, struct spool_claim *c)
{
	*c = (struct spool_claim){.fd = -1, .journal = -1, .state = state};
	if (!spool_is_id(id))
		return SPOOL_GONE;
	memcpy(c->id, id.ptr, SPOOL_ID);
	if (is_in_memory(s)) {
		off_t end = lseek(s->memory, 0, SEEK_END);
		c->fd = s->memory;
		c->size = end > 0 ? (uint64_t)end : 0;
		s->memory = -1;
		return c->fd < 0 ? SPOOL_GONE : SPOOL_OK;
	}
	struct name name = make_name(state, c->id);
	int fd = open_own(s, name.z, O_RDONLY);
	if (fd < 0)
		return errno == ENOENT ? SPOOL_GONE : SPOOL_ERROR;
	enum spool_result result = lock_sized(s, fd, name.z, &c->size);
	if (result == SPOOL_OK)
		c->fd = fd;
	else
		close_quietly(fd);
	return result;
}

void
spool_release(struct spool_claim *c)
{
	if (c->journal >= 0)
		close(c->journal);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = c->journal = -1;
}

static int
peek(struct spool *s, char state, struct str id, struct spool_claim *c, bool checked)
{
	*c = (struct spool_claim){.fd = -1, .size = UNSEEN, .journal = -1, .state = state};
	memcpy(c->id, id.ptr, SPOOL_ID);
	struct name name = make_name(state, c->id);
	c->fd = checked ? open_sized(s, name.z, O_RDONLY, &c->size) :
			  open_file(s, name.z, O_RDONLY);
	return c->fd < 0 ? -1 : 0;
}

int
spool_peek(struct spool *s, char state, struct str id, struct spool_claim *c)
{
	c->fd = c->journal = -1;
	errno = ENOENT;
	return spool_is_id(id) ? peek(s, state, id, c, true) : -1;
}

/* Exactly len bytes from offset on. NULL, or why not with errno; EINVAL unless it is the
 * reading that failed. */
static const char *
read_part(int fd, uint64_t offset, uint64_t len, struct buf *out)
{
	char *room = buf_room(out, (size_t)len);
	ssize_t n = file_read_at(fd, room, (size_t)len, (off_t)offset);

	if (n < 0)
		return strerror(errno);
	out->len += (size_t)n;
	errno = EINVAL;
	return (uint64_t)n == len ? NULL : "the file ends too early";
}

/* The first part, which mostly is all. Where the size was not asked for, less than there is room
 * for tells it. */
static const char *
read_first(struct spool_claim *c, struct buf *text)
{
	struct stat st;

	if (c->size != UNSEEN)
		return read_part(c->fd, 0, c->size < FIRST_READ ? c->size : FIRST_READ, text);
	ssize_t n = pread(c->fd, buf_room(text, FIRST_READ), FIRST_READ, 0);
	if (n < 0 || (n == FIRST_READ && fstat(c->fd, &st)))
		return strerror(errno);
	text->len = (size_t)n;
	c->size = n == FIRST_READ ? (uint64_t)st.st_size : (uint64_t)n;
	return NULL;
}

static const char *
read_message(struct spool_claim *c, struct buf *text, struct buf *log, struct envelope *e)
{
	uint64_t offset, length, size;
	const char *why = read_first(c, text);

	/* Where reading worked and something is wrong, errno is EINVAL. */
	if (why)
		return why;
	size = c->size;
	if (envelope_parse_fixed(buf_view(text), &offset, &length))
		return size < ENVELOPE_FIRST ? "the file ends too early" :
					       "not an envelope of this version";
	c->log = offset + length;
	if (size < c->log)
		return "the message is shorter than its envelope says";
	if (size - c->log > LIMIT_JOURNAL)
		return "the journal is too long";
	/* Of a small message all has been read; else what is missing of its two ends. */
	if (c->log < text->len)
		buf_str(log, buf_tail(text, (size_t)c->log));
	if (offset < text->len)
		text->len = (size_t)offset;
	else
		why = read_part(c->fd, text->len, offset - text->len, text);
	if (!why)
		why = read_part(c->fd, c->log + log->len, size - c->log - log->len, log);
	if (!why && envelope_parse(buf_view(text), e, &why))
		errno = EINVAL;
	return why;
}

int
spool_read(struct spool_claim *c, struct buf *text, struct buf *log, struct envelope *e,
	   struct journal *j, const char **why)
{
	text->len = log->len = 0;
	*why = read_message(c, text, log, e);
	if (*why) {
		*e = (struct envelope){0};
		*j = (struct journal){0};
		return -1;
	}
	/* What the caller appends in memory begins a new line, as it does in the file. */
	if (log->len > 0 && log->ptr[log->len - 1] != '\n')
		buf_putc(log, '\n');
	journal_fold(buf_view(log), e->binds ? (struct str){c->id, SPOOL_ID} : (struct str){0},
		     e, j);
	return 0;
}

int
spool_show(struct spool *s, char state, struct str id, struct spool_claim *c, struct buf *text,
	   struct buf *log, struct envelope *e, struct journal *j, const char **why)
{
	bool checked = state == 'C' || !spool_may_run(s);

	*why = NULL;
	if (peek(s, state, id, c, checked))
		return -1;
	int rc = spool_read(c, text, log, e, j, why);
	if (checked || j->has_facts)
		return rc;
	/* Nobody has tried it, or it is no message. */
	struct name name = make_name(state, c->id);
	if (check_file(s, c->fd, name.z, &c->size) == 0)
		return rc ? spool_read(c, text, log, e, j, why) : 0;
	*why = NULL;
	int err = errno;
	journal_free(j);
	envelope_free(e);
	spool_release(c);
	errno = err;
	return -1;
}

int
spool_open_journal(struct spool *s, struct spool_claim *c)
{
	struct name name = make_name(c->state, c->id);

	if (is_in_memory(s) || c->journal >= 0)
		return 0;
	c->journal = open_own(s, name.z, O_WRONLY | O_APPEND);
	if (c->journal < 0)
		return -1;
	/* Nobody but us may change what the name means. */
	int same = file_is(c->fd, s->dir, name.z);
	if (same == 1)
		same = file_is(c->journal, s->dir, name.z);
	if (same == 1)
		return 0;
	if (same == 0)
		errno = ENOENT;
	close_quietly(c->journal);
	c->journal = -1;
	return -1;
}

int
spool_append(struct spool *s, struct spool_claim *c, struct str lines,
	     enum spool_weight weight)
{
	struct buf whole = {0};
	struct stat st;
	char last = '\n';

	if (is_in_memory(s))
		return 0;
	if (spool_open_journal(s, c))
		return -1;
	errno = ENOENT; /* for st_nlink */
	if (fstat(c->fd, &st) || st.st_nlink == 0)
		return -1;
	/* Notes end at half of what spool_read takes: the other half is for final verdicts, and a
	 * message that has waited for so many must not become one that cannot be read. */
	errno = EFBIG;
	if (weight != SPOOL_FINAL && (uint64_t)st.st_size - c->log > LIMIT_JOURNAL / 2)
		return -1;
	if (st.st_size > 0 && file_read_at(c->fd, &last, 1, st.st_size - 1) != 1)
		return -1;
	/* In one write, so that a crash tears at most one end. */
	if (last != '\n') {
		buf_putc(&whole, '\n');
		buf_str(&whole, lines);
		lines = buf_view(&whole);
	}
	int rc = file_write(c->journal, lines), err = errno;
	buf_free(&whole);
	if (rc) {
		/* Where this fails too, a torn line stays, which the fold skips. */
		rc = ftruncate(c->journal, st.st_size);
		errno = err;
		return -1;
	}
	while (weight != SPOOL_NOTE && fdatasync(c->journal))
		if (errno != EINTR)
			return -1;
	return 0;
}

int
spool_remove(struct spool *s, struct spool_claim *c)
{
	struct name name = make_name(c->state, c->id);

	if (!is_in_memory(s) && unlinkat(s->dir, name.z, 0) && errno != ENOENT)
		return -1;
	spool_release(c);
	return 0;
}

int
spool_move(struct spool *s, struct spool_claim *c, char state)
{
	struct name from = make_name(c->state, c->id), to = make_name(state, c->id);

	if (file_rename_new(s->dir, from.z, s->dir, to.z))
		return -1;
	spool_release(c);
	return 0;
}

bool
spool_is_file(const struct spool *s, const struct spool_claim *c)
{
	struct name name = make_name(c->state, c->id);
	struct stat st;

	return fstatat(s->dir, name.z, &st, AT_SYMLINK_NOFOLLOW) || S_ISREG(st.st_mode);
}

/* The runner, and how it is woken */

enum spool_result
spool_lock_runner(struct spool *s, bool wait, int *fd)
{
	enum spool_result result = SPOOL_GONE;

	for (unsigned i = 0; result == SPOOL_GONE && i < RUNNER_TRIES; i++) {
		*fd = open_own(s, "runner", O_RDONLY | O_CREAT);
		if (*fd < 0)
			return SPOOL_ERROR;
		if (wait)
			flock(*fd, LOCK_EX);
		result = lock_named(s, *fd, "runner");
		if (result != SPOOL_OK) {
			close_quietly(*fd);
			*fd = -1;
		}
	}
	return result;
}

static int
touch(struct spool *s, const char *name, int flags)
{
	int fd = open_own(s, name, flags);

	if (fd < 0)
		return -1;
	/* To now. The C library's is made for other times, of 32 and of 64 bits. */
	int rc = (int)syscall(SYS_utimensat, fd, NULL, NULL, 0);
	close_quietly(fd);
	return rc;
}

int
spool_touch_runner(struct spool *s)
{
	return touch(s, "runner", O_RDONLY | O_CREAT);
}

int64_t
spool_runner_time(const struct spool *s)
{
	struct stat st;

	if (fstatat(s->dir, "runner", &st, AT_SYMLINK_NOFOLLOW))
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

int
spool_touch(struct spool *s, struct str id)
{
	if (!spool_is_id(id)) {
		errno = ENOENT;
		return -1;
	}
	struct name name = make_name('Q', id.ptr);
	return touch(s, name.z, O_RDONLY);
}
