/* SPDX-License-Identifier: ISC */
/* Each call of the system that a delivery to an mbox or a Maildir makes fails once: then it is not
 * delivered, the mailbox is as it was, and the next attempt leaves one whole copy. */
#include "calls.h"
#include "file.h"
#include "maildir.h"
#include "mbox.h"

#include <dirent.h>
#include <utime.h>

static char top[] = "/tmp/test_mailbox_calls.XXXXXX";
static char box[sizeof top + 8], dotlock[sizeof box + 8];
static const struct str old = STR("From ann Thu Jan  1 00:00:00 1970\n\nold mail\n\n");
static struct buf letter; /* with lines to quote */

static int
set_up(void **state)
{
	(void)state;
	strcpy(top + sizeof top - 7, "XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(box, sizeof box, "%s/box", top);
	snprintf(dotlock, sizeof dotlock, "%s.lock", box);
	return 0;
}

static void
write_letter(unsigned lines)
{
	letter.len = 0;
	buf_puts(&letter, "Subject: x\n\n");
	while (lines-- > 0)
		buf_puts(&letter, "From here on\n");
}

static void
empty(void)
{
	char command[96];

	snprintf(command, sizeof command, "rm -rf %s/*", top);
	assert_int_equal(system(command), 0);
}

static int
tear_down(void **state)
{
	(void)state;
	empty();
	buf_free(&letter);
	return rmdir(top);
}

static void
fill(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, text), 0);
	close(fd);
}

/* Whose reason is not the call that failed: what it was to tell is not known. */
static const char *vague = "";

static int
stored(const struct outcome *o)
{
	char word[sizeof calls.failed + 2];

	calls.counting = false;
	if (o->verdict == DELIVERED)
		return 0;
	snprintf(word, sizeof word, " %s ", calls.failed);
	if (calls.failed[0] && !strstr(vague, word) && !strstr(o->text, strerror(calls.error)))
		fail_msg("%s fails, and it says: %s", calls.failed, o->text);
	errno = calls.error;
	return -1;
}

static unsigned
count_of(const char *call)
{
	unsigned n = 0;

	for (const char *p = calls.names; (p = strstr(p, call)); p++)
		n += p[-1] == ' ' && p[strlen(call)] == ' ';
	return n;
}

/* What has changed since the last sync; at first all that an earlier attempt may have written. */
static bool dirty, undone; /* the latter: of what an earlier attempt left */

static void
watch_syncs(const char *call)
{
	if (calls.count > 1000)
		fail_msg("%s, and then %s without end", calls.failed, call);
	undone = strcmp(call, "fsync") &&
		(undone || strcmp(call, "pwrite") == 0 || strcmp(call, "ftruncate") == 0);
	if (strcmp(call, "fsync") == 0)
		dirty = false;
	else if (undone || strcmp(call, "write") == 0)
		dirty = true;
}

static void
begin_counting(void)
{
	calls.before = watch_syncs;
	dirty = true;
	undone = false;
	count_calls();
}

/* --- mbox --- */

static struct mbox_place place;
static bool intended;

static int
intend(void *ctx, const struct mbox_place *at)
{
	(void)ctx;
	/* Of an earlier place nothing may come back once this one is known instead. */
	assert_false(undone);
	place = *at;
	intended = true;
	return 0;
}

static const struct mbox_job *
mbox_job(void)
{
	static struct mbox_job job;

	job = (struct mbox_job){
		.path = box, .sender = STR("joe@example.org"), .rcpt = STR("root@router"),
		.content = {.head = buf_view(&letter), .fd = -1}, .intend = intend,
		.has_previous = intended, .previous = place,
	};
	return &job;
}

static int
deliver(void)
{
	struct mbox m;

	begin_counting();
	struct outcome o = mbox_deliver(&m, mbox_job());
	int rc = stored(&o), err = errno;
	if (rc == 0)
		assert_false(dirty);
	mbox_release(&m);
	errno = err;
	return rc;
}

static struct buf whole; /* the mailbox with what it had and one copy */

static void
expect_whole(const char *after)
{
	struct buf got = {0};
	const char *at;
	size_t from, skip = 0;

	assert_int_equal(file_load(box, 1 << 24, &got), 0);
	/* What was blanked is line feeds. */
	at = buf_cstr(&got);
	from = old.len;
	while (got.len - skip > whole.len && at[from + skip] == '\n')
		skip++;
	if (got.len - skip != whole.len || memcmp(at, whole.ptr, from) ||
	    memcmp(at + from + skip, whole.ptr + from, whole.len - from))
		fail_msg("%s: not one copy behind the old mail", after);
	buf_free(&got);
}

/* Then once more, undisturbed. */
static int
deliver_twice(void)
{
	int rc = deliver(), err = errno;
	char failed[sizeof calls.failed];

	strcpy(failed, calls.failed);
	if (rc != 0) {
		unlink(dotlock); /* a failing unlink may have left it */
		calls.fail_at = 0;
		if (deliver())
			fail_msg("%s has failed once, and the next attempt fails", failed);
	}
	strcpy(calls.failed, failed);
	expect_whole(failed);
	errno = err;
	return rc;
}

static int
run_append(void)
{
	empty();
	fill(box, old);
	intended = false;
	return deliver_twice();
}

/* What is cut off again after an error is so on disk, too. */
static void
expect_cut_off(void)
{
	const char *cut = strstr(calls.names, " ftruncate ");

	if (cut && strncmp(calls.failed, "ftruncate", 9))
		assert_non_null(strstr(cut, " fsync "));
}

static int
run_cut_off(void)
{
	empty();
	fill(box, old);
	intended = false;
	int rc = deliver(), err = errno;
	expect_cut_off();
	errno = err;
	return rc;
}

static int
run_new(void)
{
	empty();
	intended = false;
	int rc = deliver(), err = errno;
	/* Its name is on disk as well. */
	if (rc == 0 && !calls.failed[0])
		assert_int_equal(count_of("fsync"), 2);
	/* Whatever has failed, nothing of it is there. */
	struct stat st;
	if (rc != 0 && stat(box, &st) == 0 && strcmp(calls.failed, "ftruncate1"))
		assert_int_equal(st.st_size, strncmp(calls.failed, "fsync", 5) ? 0 : st.st_size);
	errno = err;
	return rc;
}

/* An earlier attempt that got so far; what stands behind. */
static size_t got_far;
static struct str behind;

static int
run_recover(void)
{
	empty();
	fill(box, old);
	intended = false;
	calls.error = 0;
	unsigned at = calls.fail_at;
	int error = EIO;
	calls.fail_at = 0;
	assert_int_equal(deliver(), 0);
	assert_true(intended);
	assert_int_equal(truncate(box, (off_t)(old.len + got_far)), 0);
	int fd = open(box, O_WRONLY | O_APPEND);
	assert_int_equal(file_write(fd, behind), 0);
	close(fd);
	calls.fail_at = at;
	calls.error = error;
	if (behind.len == 0)
		return deliver_twice();
	int rc = deliver(), err = errno;
	calls.counting = false;
	errno = err;
	return rc;
}

static int
run_create(void)
{
	empty();
	count_calls();
	int rc = mbox_create(box, getuid(), getgid());
	calls.counting = false;
	return rc;
}

/* The same where a link is on the way: what cannot be seen of that is not root's. */
static int
run_create_by_link(void)
{
	char path[sizeof box + 8], dir[sizeof box + 8], link[sizeof box + 8];

	empty();
	snprintf(dir, sizeof dir, "%s/dir", top);
	snprintf(link, sizeof link, "%s/link", top);
	snprintf(path, sizeof path, "%s/link/box", top);
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(symlink("dir", link), 0);
	count_calls();
	int rc = mbox_create(path, getuid(), getgid());
	calls.counting = false;
	bool seen = calls.failed[0] != 'l' && calls.failed[0] != 'r' && calls.failed[0] != 's';
	if (geteuid() == 0 && rc == 0)
		assert_int_equal(access(path, F_OK), seen ? 0 : -1);
	return rc;
}

static void
learn_whole(void)
{
	calls.fail_at = 0;
	fill(box, old);
	intended = false;
	assert_int_equal(deliver(), 0);
	whole.len = 0;
	assert_int_equal(file_load(box, 1 << 24, &whole), 0);
}

static void
test_mbox(void **state)
{
	(void)state;
	write_letter(900); /* several writes */
	learn_whole();
	each_call_fails("to an mbox", run_append, EIO, " write1 close1 ");
	each_call_fails("to an mbox", run_append, ENOSPC, " write1 close1 ");
	each_call_interrupted("to an mbox", run_append);
	each_call_fails("to an mbox", run_cut_off, EIO, " write1 close1 ");
	each_call_fails("to a new mbox", run_new, EIO, " write1 close1 openat3 close2 ");
	buf_free(&whole);
}

static void
test_mbox_again(void **state)
{
	(void)state;
	write_letter(30);
	learn_whole();
	behind = (struct str){0};
	/* All of it is there: nothing is written. */
	got_far = whole.len - old.len;
	each_call_fails("found in an mbox", run_recover, EIO, " write1 close1 ");
	/* Some of it. */
	got_far = 300;
	each_call_fails("a fragment", run_recover, EIO, " write1 close1 ");
	/* Some of it, with other mail behind. */
	behind = STR("\nFrom ann Thu Jan  1 00:00:00 1970\n\nother\n\n");
	each_call_fails("a fragment before other mail", run_recover, EIO, " write1 close1 ");
	buf_free(&whole);
}

static void
test_mbox_create(void **state)
{
	struct stat st;

	(void)state;
	each_call_fails("making an mbox", run_create, EIO, " close1 lstat1 lstat2 lstat3 ");
	assert_int_equal(stat(box, &st), 0);
	assert_int_equal(st.st_size, 0);
	each_call_fails("making an mbox", run_create_by_link, EIO, " close lstat readlink stat ");
}

/* An empty file of root's is given away only where it has no other name: where all may make
 * links, somebody could have that of another file put here. */
static void
test_mbox_given(void **state)
{
	char other[sizeof box + 8];
	struct stat st;

	(void)state;
	if (geteuid())
		skip();
	for (unsigned linked = 0; linked < 2; linked++) {
		empty();
		fill(box, (struct str){0});
		snprintf(other, sizeof other, "%s/other", top);
		if (linked)
			assert_int_equal(link(box, other), 0);
		assert_int_equal(mbox_create(box, 7001, 7002), 0);
		assert_int_equal(stat(box, &st), 0);
		assert_int_equal(st.st_uid, linked ? 0 : 7001);
		assert_int_equal(st.st_gid, linked ? 0 : 7002);
	}
}

/* Somebody makes the mailbox just before us: it is his, and gets the mail in its turn. */
static void
make_box(const char *call)
{
	if (strcmp(call, "openat") == 0 && access(box, F_OK))
		fill(box, old);
}

static void
test_mbox_raced(void **state)
{
	struct mbox_job job = *mbox_job();
	struct mbox m;

	(void)state;
	write_letter(1);
	learn_whole();
	empty();
	job.content.head = buf_view(&letter);
	job.has_previous = false;
	job.lock_seconds = 20;
	calls.before = make_box;
	count_calls();
	struct outcome o = mbox_deliver(&m, &job);
	calls.counting = false;
	assert_int_equal(o.verdict, DELIVERED);
	mbox_release(&m);
	expect_whole("a race");
	buf_free(&whole);
}

/* A .lock of one who is gone, and of one who may not be. */
static int
run_dotlock(void)
{
	struct utimbuf long_ago = {1000000000, 1000000000};

	empty();
	fill(box, old);
	fill(dotlock, STR("1234\n"));
	utime(box, &long_ago);
	utime(dotlock, &long_ago);
	intended = false;
	return deliver();
}

static void
test_dotlock(void **state)
{
	(void)state;
	write_letter(1);
	learn_whole();
	vague = " lstat1 fstat1 fstat2 fchmod1 ";
	each_call_fails("an old .lock", run_dotlock, EIO,
			" open2 pread1 pread2 close1 write1 close2 ");
	/* Whatever cannot be seen of it, it stays. */
	for (calls.fail_at = 1; calls.fail_at < 100; calls.fail_at++) {
		run_dotlock();
		if (strncmp(calls.failed, "lstat", 5) == 0 || strncmp(calls.failed, "fchmod", 6) == 0)
			assert_int_equal(access(dotlock, F_OK), 0);
	}
	vague = "";
	buf_free(&whole);
}

/* --- Maildir --- */

static bool retried;

static unsigned
count_files(const char *sub)
{
	char path[sizeof box + 8];
	unsigned n = 0;
	const struct dirent *e;

	snprintf(path, sizeof path, "%s/%s", box, sub);
	DIR *d = opendir(path);
	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static int
put(void)
{
	struct maildir_job job = {
		.path = box, .id = STR("0123456789abcdef"), .host = STR("router.example"),
		.date = 1000000000, .sender = STR("joe@example.org"), .rcpt = STR("root@router"),
		.content = {.head = buf_view(&letter), .fd = -1}, .retried = retried,
	};

	begin_counting();
	struct outcome o = maildir_deliver(&job);
	return stored(&o);
}

static int
put_twice(void)
{
	int rc = put(), err = errno;
	char failed[sizeof calls.failed];

	strcpy(failed, calls.failed);
	if (rc != 0) {
		retried = true;
		calls.fail_at = 0;
		if (put())
			fail_msg("%s has failed once, and the next attempt fails", failed);
	}
	strcpy(calls.failed, failed);
	assert_int_equal(count_files("new") + count_files("cur"), 1);
	assert_int_equal(count_files("tmp"), 0);
	errno = err;
	return rc;
}

static int
run_new_maildir(void)
{
	empty();
	retried = false;
	return put_twice();
}

/* Put there before, and then moved or left like this. */
static const char *moved_to;

static void
rename_letter(const char *to)
{
	char command[512];

	snprintf(command, sizeof command, "cd %s && for f in new/*; do mv $f %s; done", box, to);
	assert_int_equal(system(command), 0);
}

static int
run_maildir_again(void)
{
	unsigned at = calls.fail_at;

	empty();
	retried = false;
	calls.fail_at = 0;
	assert_int_equal(put(), 0);
	if (moved_to)
		rename_letter(moved_to);
	retried = true;
	calls.fail_at = at;
	return put_twice();
}

static int
run_next(void)
{
	unsigned at = calls.fail_at;

	empty();
	retried = false;
	calls.fail_at = 0;
	assert_int_equal(put(), 0);
	rename_letter("other");
	calls.fail_at = at;
	return put_twice();
}

static void
test_maildir(void **state)
{
	(void)state;
	write_letter(900);
	/* A directory around it that cannot be opened to be synced passes. The message's close may
	 * say that it is not on the server's disk, and is heard; those of directories are not. */
	each_call_fails("to a new Maildir", run_new_maildir, EIO,
			" openat fchmod close1 close2 close3 close4 close6 close7 close8 close9 ");
	each_call_fails("to a Maildir", run_next, EIO, " openat close2 close3 close4 close5 ");
	each_call_fails("to a Maildir", run_next, ENOSPC, " openat close2 close3 close4 close5 ");
	each_call_interrupted("to a Maildir", run_next);
	moved_to = NULL;
	each_call_fails("found in new", run_maildir_again, EIO, " openat close ");
	moved_to = "cur/$(basename $f):2,S";
	each_call_fails("found in cur", run_maildir_again, EIO, " openat close ");
	moved_to = "tmp/";
	each_call_fails("left in tmp", run_maildir_again, EIO,
			" openat close1 close3 close4 close5 close6 ");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_mbox), T(test_mbox_again), T(test_mbox_create), T(test_mbox_given),
		T(test_mbox_raced), T(test_dotlock),
		T(test_maildir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
