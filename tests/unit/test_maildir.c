/* SPDX-License-Identifier: ISC */
#include "file.h"
#include "fmt.h"
#include "maildir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE "Return-Path: <joe@example.org>\nDelivered-To: root@router\n"
#define NAME "86400.0e5vq3kg2ab9c1deR7.router.example"

static char scratch[32], path[48];

/* --- the calls of a delivery: one of them fails, or is the process's last --- */

enum { DIE = -1 };

static struct fault {
	bool on;
	unsigned calls; /* since on */
	unsigned at;    /* which of them */
	int fate;       /* its errno, or DIE */
} fault;

/* The initials of the calls made. */
static char order[64];

/* Does the call in whose place this is fail? */
static bool
fails(char initial)
{
	if (!fault.on)
		return false;
	if (fault.calls + 1 < sizeof order)
		order[fault.calls] = initial;
	if (++fault.calls != fault.at)
		return false;
	if (fault.fate == DIE)
		_exit(42);
	errno = fault.fate;
	return true;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int
openat(int dir, const char *name, int flags, ...)
{
	va_list ap;

	va_start(ap, flags);
	mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fails('o') ? -1 : REAL(openat)(dir, name, flags, mode);
}

int
mkdirat(int dir, const char *name, mode_t mode)
{
	return fails('m') ? -1 : REAL(mkdirat)(dir, name, mode);
}

int
unlinkat(int dir, const char *name, int flags)
{
	return fails('u') ? -1 : REAL(unlinkat)(dir, name, flags);
}

/* What another program does at the moment of the next fsync. */
static void (*on_fsync)(void);

int
fsync(int fd)
{
	void (*act)(void) = on_fsync;

	on_fsync = NULL;
	if (act)
		act();
	return fails('f') ? -1 : REAL(fsync)(fd);
}

/* Closes in any case, as the system does. */
int
close(int fd)
{
	int error = fails('c') ? errno : 0, rc = REAL(close)(fd);

	errno = error ? error : errno;
	return error ? -1 : rc;
}

/* Dies half-way. */
ssize_t
write(int fd, const void *bytes, size_t len)
{
	if (fault.on && fault.fate == DIE && fault.calls + 1 == fault.at)
		len = (size_t)REAL(write)(fd, bytes, len / 2);
	return fails('w') ? -1 : REAL(write)(fd, bytes, len);
}

/* A kernel that has no such call. */
static long hidden_call;

long
syscall(long number, ...)
{
	va_list ap;
	long a[6];

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == hidden_call) {
		errno = ENOSYS;
		return -1;
	}
	return fails('r') ? -1 : REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- Maildirs --- */

static struct maildir_job
job(struct str content)
{
	return (struct maildir_job){
		.path = path, .id = STR("0e5vq3kg2ab9c1de"), .rcpt_number = 7,
		.host = STR("router.example"), .date = 86400,
		.sender = STR("joe@example.org"), .rcpt = STR("root@router"),
		.content = {.head = content, .fd = -1, .pos = 1 /* as if read before */},
	};
}

static void
expect_verdict(const struct outcome *o, enum verdict verdict, const char *words)
{
	if (o->verdict != verdict || !strstr(o->text, words))
		fail_msg("verdict %d \"%s\", expected %d \"%s\"", o->verdict, o->text,
			 verdict, words);
}

static void
expect_delivered(const struct maildir_job *j)
{
	struct outcome o = maildir_deliver(j);

	expect_verdict(&o, DELIVERED, "delivered to ");
}

/* path/part, or path/part/name. */
static const char *
under(const char *part, const char *name)
{
	static char text[2][320];
	static unsigned turn;
	char *t = text[turn++ % 2];

	fmt_print(t, sizeof text[0], "%s/%s%s%s", path, part, name ? "/" : "", name ? name : "");
	return t;
}

/* How many files path/part has; the name of one of them in *name. */
static unsigned
count(const char *part, char name[static 256])
{
	DIR *dir = opendir(under(part, NULL));
	struct dirent *entry;
	unsigned n = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			n++;
			strcpy(name, entry->d_name);
		}
	closedir(dir);
	return n;
}

/* One whole copy, in part, and nothing elsewhere. */
static void
expect_one(const char *part, struct str content)
{
	static const char *const parts[] = {"tmp", "new", "cur"};
	struct buf got = {0}, want = {0};
	char name[256];
	struct stat st;

	for (size_t i = 0; i < 3; i++)
		if (count(parts[i], name) != (strcmp(parts[i], part) == 0))
			fail_msg("%u files in %s", count(parts[i], name), parts[i]);
	assert_int_equal(count(part, name), 1);
	assert_true(strncmp(name, NAME, sizeof NAME - 1) == 0);
	assert_int_equal(stat(under(part, name), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(file_load(under(part, name), 1 << 24, &got), 0);
	buf_puts(&want, TRACE);
	buf_str(&want, content);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.ptr, want.ptr, want.len);
	buf_free(&got);
	buf_free(&want);
}

static void
put_file(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write(fd, str_of(text)), 0);
	close(fd);
}

static void
make(void)
{
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(mkdir(under("tmp", NULL), 0700), 0);
	assert_int_equal(mkdir(under("new", NULL), 0700), 0);
	assert_int_equal(mkdir(under("cur", NULL), 0700), 0);
}

static void
erase(void)
{
	static const char *const parts[] = {"tmp", "new", "cur"};
	char name[256];

	for (size_t i = 0; i < 3; i++) {
		while (count(parts[i], name) > 0)
			assert_int_equal(unlink(under(parts[i], name)), 0);
		if (rmdir(under(parts[i], NULL)))
			unlink(under(parts[i], NULL));
	}
	if (rmdir(path))
		unlink(path);
}

static int
set_up(void **state)
{
	(void)state;
	fault.on = false;
	strcpy(scratch, "/tmp/test_maildir.XXXXXX");
	if (!mkdtemp(scratch))
		return -1;
	fmt_print(path, sizeof path, "%s/Maildir/", scratch);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fmt_print(path, sizeof path, "%s/Maildir", scratch);
	erase();
	return rmdir(scratch);
}

/* --- tests --- */

static void
test_bytes(void **state)
{
	static const struct str contents[] = {
		{"Subject: x\n\nFrom me\n>From me\nbody\n", 34}, {"\nno end", 7}, {"", 0},
		{"\na\0b\r\n\0", 7},
	};

	(void)state;
	for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
		struct maildir_job j = job(contents[i]);
		j.retried = i % 2;
		expect_delivered(&j);
		expect_one("new", contents[i]);
		erase();
	}
}

/* From memory, a file and memory again. */
static void
test_large(void **state)
{
	struct buf content = {0};
	struct maildir_job j;

	(void)state;
	for (unsigned i = 0; i < 30000; i++)
		buf_print(&content, "line %u\n", i);
	make();
	put_file(under("content", NULL), buf_cstr(&content));
	j = job(str_upto(buf_view(&content), 5000));
	j.content.fd = open(under("content", NULL), O_RDONLY);
	unlink(under("content", NULL));
	j.content.offset = 5000;
	j.content.length = 200000;
	j.content.tail = buf_tail(&content, 205000);
	expect_delivered(&j);
	expect_one("new", buf_view(&content));
	/* A file that is shorter than it was said to be. */
	j.rcpt_number++;
	j.content.length = content.len;
	struct outcome o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, path);
	expect_one("new", buf_view(&content));
	close(j.content.fd);
	buf_free(&content);
}

static void
test_names(void **state)
{
	static const struct { const char *host, *want; } cases[] = {
		{"router.example", NAME},
		{"a/b:c d\n\377,S=1", "86400.0e5vq3kg2ab9c1deR7.a_b_c_d___S_1"},
		{"../..", "86400.0e5vq3kg2ab9c1deR7..._.."},
		{"", "86400.0e5vq3kg2ab9c1deR7."},
	};
	char name[256], host[1000];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct maildir_job j = job(STR("\n"));
		j.host = str_of(cases[i].host);
		expect_delivered(&j);
		assert_int_equal(count("new", name), 1);
		assert_string_equal(name, cases[i].want);
		erase();
	}
	struct maildir_job j = job(STR("\n"));
	memset(host, 'h', sizeof host);
	j.host = (struct str){host, sizeof host};
	j.date = INT64_MIN;
	j.rcpt_number = UINT32_MAX;
	expect_delivered(&j);
	assert_int_equal(count("new", name), 1);
	assert_int_equal(strlen(name), 20 + 1 + 16 + 1 + 10 + 1 + 128);
	erase();
}

static void
test_makes_directories(void **state)
{
	static const char *const parts[] = {"", "tmp", "new", "cur"};
	struct maildir_job j = job(STR("\nx\n"));
	struct stat st;

	(void)state;
	expect_delivered(&j);
	expect_one("new", STR("\nx\n"));
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(lstat(under(parts[i], NULL), &st), 0);
		assert_int_equal(st.st_mode, S_IFDIR | 0700);
	}
	/* Only what is missing, whatever the form of the path. */
	assert_int_equal(chmod(under("new", NULL), 0750), 0);
	assert_int_equal(rmdir(under("cur", NULL)), 0);
	char again[64];
	fmt_print(again, sizeof again, "%s//", path);
	j.path = again;
	expect_delivered(&j);
	expect_one("new", STR("\nx\n"));
	assert_int_equal(lstat(under("new", NULL), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0750);
	/* Not what it is in. */
	fmt_print(again, sizeof again, "%s/missing/Maildir/", scratch);
	struct outcome o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "missing/Maildir/: No such file");
}

static void
test_delivered_before(void **state)
{
	static const struct {
		const char *part, *name;
		bool retried, counts;
	} cases[] = {
		{"new", NAME, false, true}, {"new", NAME, true, true},
		{"cur", NAME, true, true}, {"cur", NAME ":2,", true, true},
		{"cur", NAME ":2,RS", true, true}, {"cur", NAME ";2,S", true, true},
		{"cur", NAME ",S=10:2,S", true, true},
		{"cur", NAME ":2,S", false, false}, /* nobody asked to look there */
		{"cur", NAME ".org:2,S", true, false}, {"cur", "1" NAME ":2,S", true, false},
		{"new", NAME ":2,S", true, false}, {"tmp", NAME, true, false},
	};
	char name[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct maildir_job j = job(STR("\nx\n"));
		j.retried = cases[i].retried;
		make();
		put_file(under(cases[i].part, cases[i].name), "the first copy");
		expect_delivered(&j);
		unsigned files = count("new", name) + count("cur", name);
		bool stale = strcmp(cases[i].part, "tmp") == 0;
		if (files != 1U + !(cases[i].counts || stale))
			fail_msg("case %u: %u files", (unsigned)i, files);
		assert_int_equal(count("tmp", name), 0);
		if (stale)
			expect_one("new", STR("\nx\n"));
		erase();
	}
}

/* Found in cur among a thousand others. */
static void
test_many(void **state)
{
	struct maildir_job j = job(STR("\nx\n"));
	char name[256];

	(void)state;
	make();
	for (unsigned i = 0; i < 1000; i++) {
		char other[64];
		fmt_print(other, sizeof other, "86400.0e5vq3kg2ab9c1deR%u.router.example:2,S", i);
		put_file(under("cur", other), "");
	}
	j.retried = true;
	expect_delivered(&j);
	assert_int_equal(count("new", name), 0);
	j.rcpt_number = 1000;
	expect_delivered(&j);
	assert_int_equal(count("new", name), 1);
}

/* What stands where a directory should. */
static void
test_unfit(void **state)
{
	struct maildir_job j = job(STR("\nx\n"));
	struct outcome o;
	char name[256];

	(void)state;
	char *plain = strdup(path);
	plain[strlen(plain) - 1] = '\0';
	put_file(plain, "x");
	o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "Not a directory");
	unlink(plain);
	free(plain);

	make();
	put_file(under("x", NULL), "x");
	assert_int_equal(rmdir(under("new", NULL)), 0);
	assert_int_equal(rename(under("x", NULL), under("new", NULL)), 0);
	o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "opening new in");
	assert_int_equal(unlink(under("new", NULL)), 0);
	assert_int_equal(symlink("tmp", under("new", NULL)), 0);
	o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "opening new in");
	assert_int_equal(count("tmp", name), 0);
	assert_int_equal(unlink(under("new", NULL)), 0);
	assert_int_equal(symlink("nowhere", under("new", NULL)), 0);
	o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "opening new in");
	assert_int_equal(access(under("nowhere", NULL), F_OK), -1);
	/* A left-over that cannot be taken away. */
	assert_int_equal(unlink(under("new", NULL)), 0);
	assert_int_equal(mkdir(under("tmp", NAME), 0700), 0);
	o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "writing to tmp in");
	assert_int_equal(rmdir(under("tmp", NAME)), 0);
}

/* Another user's Maildir, and a link to one, as nobody and as root. */
static void
test_whose(void **state)
{
	struct maildir_job j = job(STR("\nx\n"));
	char other[64];
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	make();
	fmt_print(other, sizeof other, "%s/link/", scratch);
	assert_int_equal(symlink("Maildir", other), -1); /* with the '/' */
	other[strlen(other) - 1] = '\0';
	assert_int_equal(symlink("Maildir", other), 0);
	struct maildir_job by_link = j;
	other[strlen(other)] = '/';
	by_link.path = other;
	struct outcome o = maildir_deliver(&by_link);
	expect_verdict(&o, TEMPFAIL, "link/: Not a directory");

	assert_int_equal(chown(under("new", NULL), 65534, 65534), 0);
	assert_int_equal(chmod(under("new", NULL), 0777), 0);
	o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "not the owner of all of");
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(chown(under("tmp", NULL), 65534, 65534), 0);
	assert_int_equal(chown(under("cur", NULL), 65534, 65534), 0);
	assert_int_equal(chmod(scratch, 0755), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(2);
		o = maildir_deliver(&by_link);
		_exit(o.verdict != DELIVERED);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_one("new", STR("\nx\n"));
	other[strlen(other) - 1] = '\0';
	assert_int_equal(unlink(other), 0);
}

static void
prepare(unsigned how)
{
	if (how > 0)
		make();
	if (how > 1)
		put_file(under("tmp", NAME), "Return-Path: <joe@exam");
}

/* On disk before it has its name, its name before the verdict. */
static void
test_order(void **state)
{
	static const char *const want[] = {
		"omoofc" "omoofc" "omoofc" "omoofc" "owfc" "rf" "cccc",
		"oooo" "owfc" "rf" "cccc",
		"oooo" "ouowfc" "rf" "cccc",
		"oooo" "f" "cccc", /* it is in new */
		/* Retried: the walk's own descriptor. */
		"oooo" "orrc" "owfc" "rf" "cccc",
		"oooo" "orrc" "f" "cccc", /* it is in cur */
		/* Somebody else has just made new, or died before its name was on disk. */
		"oo" "oofc" "o" "owfc" "rf" "cccc",
	};
	struct stat st;
	struct maildir_job j = job(STR("\nx\n"));

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		if (i != 3 && i != 5)
			prepare(i < 3 ? i : 1);
		if (i == 6)
			assert_int_equal(chmod(under("new", NULL), 01700), 0);
		if (i == 5)
			assert_int_equal(rename(under("new", NAME), under("cur", NAME ":2,")), 0);
		j.retried = i == 4 || i == 5;
		memset(order, 0, sizeof order);
		fault = (struct fault){.on = true};
		expect_delivered(&j);
		fault.on = false;
		assert_string_equal(order, want[i]);
		expect_one(i != 5 ? "new" : "cur", STR("\nx\n"));
		assert_int_equal(lstat(under("new", NULL), &st), 0);
		assert_int_equal(st.st_mode, S_IFDIR | 0700);
		if (i != 2 && i != 4)
			erase();
	}
}

static void
take_the_name(void)
{
	put_file(under("new", NAME), "somebody's");
}

static void
test_never_overwrites(void **state)
{
	struct maildir_job j = job(STR("\nx\n"));
	struct buf got = {0};
	char name[256];

	(void)state;
	make();
	on_fsync = take_the_name;
	struct outcome o = maildir_deliver(&j);
	expect_verdict(&o, TEMPFAIL, "renaming into new in");
	assert_int_equal(count("tmp", name), 0);
	expect_delivered(&j);
	assert_int_equal(file_load(under("new", NAME), 100, &got), 0);
	assert_string_equal(buf_cstr(&got), "somebody's");
	buf_free(&got);
}

/* Every call fails once in every way: the verdict is true, and the next attempt mends it. */
static void
test_every_failure(void **state)
{
	static const int errors[] = {ENOSPC, EDQUOT, EIO, EMFILE, EACCES};
	static const struct str content = {"Subject: x\n\nx\n", 14};
	unsigned failures = 0;
	char name[256];

	(void)state;
	for (unsigned how = 0; how < 3; how++) {
		for (size_t e = 0; e < sizeof errors / sizeof *errors; e++) {
			unsigned at = 0;
			do {
				struct maildir_job j = job(content);
				prepare(how);
				fault = (struct fault){true, 0, ++at, errors[e]};
				struct outcome o = maildir_deliver(&j);
				fault.on = false;
				assert_int_not_equal(o.verdict, PERMFAIL);
				failures += o.verdict == TEMPFAIL;
				if (o.verdict == TEMPFAIL)
					assert_non_null(strstr(o.text, strerror(errors[e])));
				if (o.verdict == DELIVERED || count("new", name) > 0)
					expect_one("new", content);
				else if (how < 2)
					assert_int_equal(count("tmp", name), 0);
				j.retried = true;
				expect_delivered(&j);
				expect_one("new", content);
				erase();
			} while (fault.calls >= at);
			assert_true(at > 14);
		}
	}
	assert_true(failures > 3 * 5 * 10);
}

/* As over NFS, where a full disk is noticed late. */
static void
test_close_fails(void **state)
{
	struct maildir_job j = job(STR("\nx\n"));
	char name[256];

	(void)state;
	make();
	fault = (struct fault){true, 0, sizeof "oooo" "owfc" - 1, ENOSPC};
	struct outcome o = maildir_deliver(&j);
	fault.on = false;
	expect_verdict(&o, TEMPFAIL, "writing to tmp in");
	assert_int_equal(count("tmp", name) + count("new", name), 0);
}

/* Killed at every call, half-way in each write: then delivered again, once. */
static void
test_every_crash(void **state)
{
	static const struct str content = {"Subject: x\n\nx\n", 14};
	unsigned left = 0, done = 0;
	char name[256];
	int status;

	(void)state;
	for (unsigned how = 0; how < 6; how++) {
		unsigned at = 0;
		do {
			struct maildir_job j = job(content);
			prepare(how % 3);
			at++;
			pid_t pid = fork();
			if (pid == 0) {
				fault = (struct fault){true, 0, at, DIE};
				struct outcome o = maildir_deliver(&j);
				_exit(o.verdict != DELIVERED);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			assert_true(WIFEXITED(status));
			const char *part = "new";
			left += count("tmp", name) > 0;
			if (count("new", name) > 0) {
				expect_one("new", content);
				done++;
				/* A reader has seen it. */
				if (how >= 3) {
					part = "cur";
					assert_int_equal(rename(under("new", NAME),
								under("cur", NAME ":2,S")), 0);
				}
			}
			j.retried = true;
			expect_delivered(&j);
			expect_one(part, content);
			erase();
		} while (WEXITSTATUS(status) == 42);
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_true(at > 14);
	}
	assert_true(left >= 6 * 3);
	assert_true(done >= 6 * 2);
}

/* A kernel, or a file system, that cannot rename with care. */
static void
test_plain_rename(void **state)
{
	struct maildir_job j = job(STR("\nx\n"));

	(void)state;
	hidden_call = SYS_renameat2;
	expect_delivered(&j);
	expect_one("new", STR("\nx\n"));
	expect_delivered(&j);
	expect_one("new", STR("\nx\n"));
	hidden_call = 0;
}

static void
test_file_too_large(void **state)
{
	struct buf content = {0};
	struct rlimit old, small;
	char name[256];

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		buf_puts(&content, "0123456789\n");
	struct maildir_job j = job(buf_view(&content));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = (struct rlimit){5000, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	struct outcome o = maildir_deliver(&j);
	setrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_DFL);
	expect_verdict(&o, TEMPFAIL, "writing to tmp in");
	assert_int_equal(o.detail, 2);
	assert_int_equal(count("tmp", name) + count("new", name), 0);
	expect_delivered(&j);
	expect_one("new", buf_view(&content));
	buf_free(&content);
}

static void
test_disk_full(void **state)
{
	struct buf content = {0};
	char name[256];

	(void)state;
	if (mount("none", scratch, "tmpfs", 0, "size=64k,mode=700"))
		skip();
	for (unsigned i = 0; i < 10000; i++)
		buf_puts(&content, "0123456789\n");
	struct maildir_job j = job(buf_view(&content));
	struct outcome o = maildir_deliver(&j);
	unsigned left = count("tmp", name) + count("new", name);
	j.content.head = STR("\nx\n");
	struct outcome after = maildir_deliver(&j);
	umount2(scratch, MNT_DETACH);
	expect_verdict(&o, TEMPFAIL, "No space left");
	assert_int_equal(o.subject, 3);
	assert_int_equal(o.detail, 1);
	assert_int_equal(left, 0);
	expect_verdict(&after, DELIVERED, path);
	buf_free(&content);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bytes),
		TEST(test_large),
		TEST(test_names),
		TEST(test_makes_directories),
		TEST(test_delivered_before),
		TEST(test_many),
		TEST(test_unfit),
		TEST(test_whose),
		TEST(test_order),
		TEST(test_never_overwrites),
		TEST(test_every_failure),
		TEST(test_close_fails),
		TEST(test_every_crash),
		TEST(test_plain_rename),
		TEST(test_file_too_large),
		TEST(test_disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
