/* SPDX-License-Identifier: ISC */
/* Each call of the system that a queue runner makes fails once. When another one has come by after
 * it, each recipient has one copy: nothing is lost, nothing doubled. And at each of its calls: a
 * mailbox that has been written to is in the journal, and is locked until the verdict is there,
 * too; in the end the removal is on disk. Then single calls, and what it does about them. */
#include "calls.h"
#include "complain.h"
#include "silence.h"
#include "clock.h"
#include "file.h"
#include "nap.h"
#include "queue.h"
#include "sandbox.h"
#include "user.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>

enum { PATIENCE_MS = 300 }; /* for a worker; then the clock goes on by what was to be waited */

static char top[] = "/tmp/test_queue_calls.XXXXXX";
static char spooldir[sizeof top + 8];
static const char *const users[] = {"joe", "bob"};
enum { USERS = sizeof users / sizeof *users };

static struct site site;
static struct spool spool;
static char id[SPOOL_ID + 1];

/* --- the world -------------------------------------------------------------------------- */

int64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000 + calls.skipped;
}

void
clock_read(struct stamp *s)
{
	*s = (struct stamp){1795341234 + clock_ms() / 1000, clock_ms(), 7, true};
}

uint64_t
clock_differ(const struct stamp *now)
{
	static uint64_t number;

	(void)now;
	return ++number;
}

void
clock_random(void *bytes, size_t len)
{
	uint64_t number = clock_differ(&(struct stamp){0});

	memset(bytes, 0, len);
	memcpy(bytes, &number, len < sizeof number ? len : sizeof number);
}

int
clock_secret(void *bytes, size_t len)
{
	clock_random(bytes, len);
	return 0;
}

void
clock_keep_random(void)
{
}

static unsigned naps;

void
nap(int ms)
{
	naps++;
	REAL(poll)(NULL, 0, ms);
}

void
nap_longer(int *ms)
{
	nap(*ms);
}

int
nap_poll(struct pollfd *fds, nfds_t count, int ms)
{
	return poll(fds, count, ms);
}

static bool verbose;

void log_verbose(bool on) { verbose = on; }
int log_session(const char *path) { (void)path; return 0; }
bool log_is_verbose(void) { return verbose; }
int log_fd(void) { return -1; }
int log_session_fd(void) { return -1; }

bool
site_reload(struct site *s)
{
	(void)s;
	return false;
}

/* Everybody is us. */
int
sandbox_become(uid_t uid, gid_t gid)
{
	(void)uid;
	(void)gid;
	return 0;
}

bool
sandbox_enter(void)
{
	return true;
}

void
sandbox_outlive(void)
{
}

void
sandbox_follow(pid_t parent)
{
	(void)parent;
}

void
sandbox_close(const int *keep, size_t count)
{
	for (int fd = 3; fd < 256; fd++) {
		bool kept = false;
		for (size_t n = 0; n < count; n++)
			kept = kept || keep[n] == fd;
		if (!kept)
			REAL(close)(fd);
	}
}

void
user_unload(struct user_file *f)
{
	(void)f;
}

/* Whoever looks for him is in the kernel's hands from then on, and killed in vain. */
static const char *bottomless;
static pid_t hangs;

int
kill(pid_t pid, int number)
{
	hangs = pid;
	return bottomless ? 0 : REAL(kill)(pid, number);
}

enum user_result
user_of_mail(struct user_file *f, struct str name, struct user *u)
{
	(void)f;
	while (bottomless && str_eq(name, str_of(bottomless))) {
		alarm(60); /* no longer than a test may last */
		pause();
	}
	*u = (struct user){.uid = geteuid(), .gid = getegid()};
	buf_str(&u->name, name);
	return USER_FOUND;
}

enum user_result
user_by_id(struct user_file *f, uid_t uid, struct user *u)
{
	(void)uid;
	return user_of_mail(f, STR("nobody"), u);
}

void
user_without_rights(struct user_file *f, struct str name, struct user *u)
{
	user_of_mail(f, name, u);
}

void
user_free(struct user *u)
{
	buf_free(&u->name);
	buf_free(&u->home);
}

/* Workers are not disturbed. */
pid_t
_Fork(void)
{
	pid_t pid = call_fails("_Fork") ? -1 : REAL(_Fork)();

	if (pid == 0)
		calls.counting = false;
	return pid;
}

static void
set(const char *key, const char *value)
{
	char text[96];

	snprintf(text, sizeof text, "%s %s", key, value);
	conf_set(&site.conf, str_of(text), "-O", complain, NULL);
}

/* --- what is the case ------------------------------------------------------------------- */

static void
path_of(char *path, size_t cap, const char *user)
{
	snprintf(path, cap, "%s/%s", top, user);
}

static unsigned
copies(const char *user)
{
	char path[64];
	struct buf text = {0};
	unsigned n = 0;

	path_of(path, sizeof path, user);
	if (file_load(path, 1 << 20, &text) == 0)
		for (const char *at = buf_cstr(&text); (at = strstr(at, "\nhello\n\n")); at++)
			n++;
	buf_free(&text);
	return n;
}

static unsigned
count_in(const char *text, const char *word)
{
	unsigned n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

static bool
is_locked(const char *user)
{
	char path[64];

	path_of(path, sizeof path, user);
	int fd = open(path, O_RDONLY);
	bool is = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
	close(fd);
	return is;
}

/* The removal of a name that is not yet on disk. */
static bool unsynced;

static void
look(const char *call)
{
	struct buf text = {0};
	char path[64];
	unsigned written = 0, locked = 0;

	if (strcmp(call, "unlinkat") == 0)
		unsynced = true;
	else if (strcmp(call, "fsync") == 0 && calls.count + 1 != calls.fail_at)
		unsynced = false;
	for (unsigned n = 0; n < USERS; n++) {
		bool is = is_locked(users[n]); /* first: it can only become so, and then be written to */
		path_of(path, sizeof path, users[n]);
		if (copies(users[n]) > 0) {
			written++;
			locked += is;
		}
	}
	snprintf(path, sizeof path, "%s/Q%s", spooldir, id);
	if (file_load(path, 1 << 20, &text) == 0) {
		unsigned places = count_in(buf_cstr(&text), "\nmailbox ");
		unsigned sent = count_in(buf_cstr(&text), "\nsent ");
		if (written > places)
			fail_msg("%s: a mailbox is not in the journal", calls.failed);
		/* A worker that is not understood is ended, and its locks with it. */
		if (written > locked + sent && calls.failed[0] != 'r')
			fail_msg("%s: a mailbox is let go of before its verdict is written",
				 calls.failed);
	}
	buf_free(&text);
}

static void
empty(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s/joe* %s/bob* %s/*", top, top, spooldir);
	assert_int_equal(system(command), 0);
}

static void
enqueue(void)
{
	struct envelope_rcpt rcpts[USERS];
	struct envelope e = {.length = 6, .sender = STR("ann@far.example"), .rcpts = rcpts,
		.rcpt_count = USERS};
	struct buf head = {0}, fixed = {0};
	struct spool_draft d;

	memset(rcpts, 0, sizeof rcpts);
	clock_read(&e.arrived);
	assert_int_equal(spool_create(&spool, &e.arrived, &d), 0);
	envelope_print_head(&e, &head);
	for (unsigned n = 0; n < USERS; n++) {
		rcpts[n].address = str_of(users[n]);
		envelope_print_rcpt(&rcpts[n], &head);
	}
	envelope_print_end(&e, &head);
	e.offset = head.len;
	buf_puts(&head, "\nhello\n");
	e.length = head.len - e.offset;
	assert_int_equal(file_write(d.fd, buf_view(&head)), 0);
	envelope_print_fixed(&e, &fixed);
	assert_int_equal(spool_commit(&spool, &d, buf_view(&fixed)), 0);
	memcpy(id, d.id, sizeof id);
	buf_free(&head);
	buf_free(&fixed);
}

/* With defer: one attempt. */
static int
run(struct queue_options o, bool disturbed)
{
	int runner;

	o.site = &site;
	o.now = true;
	assert_int_equal(spool_lock_runner(&spool, false, &runner), SPOOL_OK);
	if (disturbed)
		count_calls();
	int rc = queue_run(&spool, runner, &o);
	calls.counting = false;
	return rc;
}

static bool
is_queued(void)
{
	char path[64];

	snprintf(path, sizeof path, "%s/Q%s", spooldir, id);
	return access(path, F_OK) == 0;
}

static void
play(unsigned fail_at)
{
	empty();
	enqueue();
	calls.fail_at = fail_at;
	unsynced = false;
	run((struct queue_options){0}, true);
	if (unsynced)
		fail_msg("%s fails, and the removal is not on disk", calls.failed);
	calls.fail_at = 0;
	for (unsigned n = 0; n < 3 && is_queued(); n++)
		run((struct queue_options){0}, false);
	if (is_queued())
		fail_msg("%s fails, and the message stays for ever", calls.failed);
	for (unsigned n = 0; n < USERS; n++)
		if (copies(users[n]) != 1)
			fail_msg("%s fails, and %s has %u copies", calls.failed, users[n],
				 copies(users[n]));
}

static void
test_queue(void **state)
{
	(void)state;
	for (unsigned n = 1;; n++) {
		play(n);
		if (!calls.failed[0])
			break;
		assert_true(n < 500);
	}
}

/* --- single calls ----------------------------------------------------------------------- */

static struct {
	const char *call;
	unsigned times; /* that it fails from now on */
} refused;

static void
refuse(const char *call)
{
	if (refused.times == 0 || strcmp(call, refused.call) != 0)
		return;
	refused.times--;
	calls.fail_at = calls.count + 1;
}

/* A run on one message; CALL fails so often. */
static int
run_without(const char *call, unsigned times, struct queue_options o)
{
	empty();
	enqueue();
	refused.call = call;
	refused.times = times;
	calls.before = refuse;
	int rc = run(o, true);
	assert_int_equal(refused.times, 0);
	calls.fail_at = 0;
	calls.before = look;
	return rc;
}

static void
is_delivered(void)
{
	assert_false(is_queued());
	for (unsigned n = 0; n < USERS; n++)
		assert_int_equal(copies(users[n]), 1);
}

/* The first look at it is for drafts; that in order of arrival is the second. */
static void
test_directory_cannot_be_read(void **state)
{
	(void)state;
	assert_int_equal(run_without("getdents64", 2, (struct queue_options){0}), 0);
	is_delivered();
	/* Who waits for the end of such a run hears that it was none. */
	assert_int_equal(run_without("getdents64", 3, (struct queue_options){0}), -1);
	assert_true(is_queued());
	/* In the background it is tried again until it works. */
	assert_int_equal(run_without("getdents64", 5, (struct queue_options){.hush = true}), 0);
	is_delivered();
}

/* It would find nothing else to do than to ask again. */
static void
test_poll_fails(void **state)
{
	(void)state;
	naps = 0;
	assert_int_equal(run_without("poll", 4, (struct queue_options){0}), 0);
	assert_int_equal(naps, 4);
	is_delivered();
}

/* The run has an end, and a later one delivers the rest. */
static unsigned
hang_and_go_on(void)
{
	unsigned bobs;

	bottomless = "joe";
	assert_int_equal(run_without("", 0, (struct queue_options){0}), 0);
	bottomless = NULL;
	assert_true(is_queued());
	assert_int_equal(copies("joe"), 0);
	bobs = copies("bob");
	kill(hangs, SIGKILL);
	assert_int_equal(waitpid(hangs, NULL, 0), hangs);
	run((struct queue_options){0}, false);
	is_delivered();
	return bobs;
}

/* Others have their mail meanwhile, where there are workers left. */
static void
test_worker_hangs(void **state)
{
	(void)state;
	assert_int_equal(hang_and_go_on(), 1);
	set("workers", "1");
	assert_int_equal(hang_and_go_on(), 0);
	set("workers", "4");
}

/* A run until the retry, with a pipe as standard error, as for -v. True: its reader comes to the
 * end of it. */
static bool
lets_go(bool hush)
{
	int ends[2], kept = dup(STDERR_FILENO);
	struct pollfd end;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	verbose = true;
	int rc = run_without("_Fork", USERS, (struct queue_options){.hush = hush});
	end = (struct pollfd){.fd = ends[0], .events = POLLIN};
	poll(&end, 1, 0);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(ends[0]);
	assert_int_equal(rc, 0);
	is_delivered();
	return end.revents & POLLHUP;
}

/* -v: whoever waits for the end sees all attempts; who does not, the first ones. */
static void
test_verbose_until(void **state)
{
	(void)state;
	set("defer", "no");
	assert_true(lets_go(true));
	assert_false(verbose);
	assert_false(lets_go(false));
	assert_true(verbose);
	verbose = false;
	set("defer", "yes");
}

static int
set_up(void **state)
{
	struct buf why = {0};
	char mailbox[sizeof top + 8];

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(spooldir, sizeof spooldir, "%s/spool", top);
	snprintf(mailbox, sizeof mailbox, "%s/%%u", top);
	conf_init(&site.conf);
	set("spooldir", spooldir);
	set("mailbox", mailbox);
	set("defer", "yes");
	conf_finish(&site.conf, "router.example", complain, NULL);
	assert_int_equal(spool_open(&spool, &site.conf, &why), 0);
	buf_free(&why);
	calls.before = look;
	calls.patience = PATIENCE_MS;
	calls.error = EIO;
	return 0;
}

static int
tear_down(void **state)
{
	char command[64];

	(void)state;
	spool_close(&spool);
	conf_free(&site.conf);
	snprintf(command, sizeof command, "rm -rf %s", top);
	return system(command);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_directory_cannot_be_read),
		cmocka_unit_test(test_poll_fails),
		cmocka_unit_test(test_worker_hangs),
		cmocka_unit_test(test_verbose_until),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
