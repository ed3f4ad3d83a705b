/* SPDX-License-Identifier: ISC */
#include "runner.h"
#include "file.h"
#include "log.h"
#include "sandbox.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { FILES = 1024 }; /* open at the same time, at least */

/* What limits the first caller, a cron job perhaps, is not meant for the mail of all: root's go
 * altogether. */
static void
lift_limits(void)
{
	static const int limits[] = {
		RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA,
	};

	for (size_t n = 0; n < sizeof limits / sizeof *limits; n++) {
		struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
		rlim_t most = limits[n] == RLIMIT_NOFILE ? FILES : RLIM_INFINITY;
		prlimit(0, limits[n], NULL, &r);
		r.rlim_cur = r.rlim_max;
		prlimit(0, limits[n], &r, NULL);
		if (r.rlim_max < most)
			prlimit(0, limits[n], &(struct rlimit){most, most}, NULL);
	}
	setpriority(PRIO_PROCESS, 0, 0);
}

/* Whether we and the first process have different ones; false where that is not known. */
static bool
is_elsewhere(const char *own, const char *inits)
{
	struct stat a = {0}, b;

	/* Whoever may see the first process's sees his own. */
	stat(own, &a);
	return stat(inits, &b) == 0 && a.st_ino != b.st_ino;
}

/* Whether the caller may be confined to less than root is elsewhere: another network or other
 * mounts than the system's, or no right to become a recipient. */
static bool
is_confined(void)
{
	/* linux/capability.h: CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID */
	static const unsigned char needed[] = {0, 1, 3, 6, 7};

	for (size_t n = 0; n < sizeof needed; n++)
		if (prctl(PR_CAPBSET_READ, needed[n], 0, 0, 0) == 0)
			return true;
	return is_elsewhere("/proc/self/ns/net", "/proc/1/ns/net") ||
	       is_elsewhere("/proc/self/ns/mnt", "/proc/1/ns/mnt");
}

/* In the background nobody waits for our descriptors, terminal or directory. */
static void
detach(void)
{
	int null = file_open_null(O_RDWR); /* -1: dup2 leaves what is there */

	lift_limits();
	setsid();
	if (chdir("/"))
		log_warn("cannot change to /:");
	umask(077);
	for (int n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);
	for (int fd = 0; fd <= 2; fd++)
		if (fd != STDERR_FILENO || !log_is_verbose())
			dup2(null, fd);
	if (null > 2)
		close(null);
	log_detach();
}

int
runner_start(struct spool *s, const struct queue_options *o)
{
	struct queue_options background = *o;
	enum spool_result r;
	int runner;
	pid_t pid;

	if (!spool_may_run(s))
		return 1;
	r = spool_lock_runner(s, false, &runner);
	if (r == SPOOL_BUSY && o->now) {
		if (spool_touch_runner(s))
			return -1;
		/* It may have been on its way out, and deaf. */
		r = spool_lock_runner(s, false, &runner);
	}
	if (r != SPOOL_OK)
		return r == SPOOL_BUSY ? 1 : -1;
	background.hush = true;
	background.yields = !o->stay && s->uid == 0 && is_confined();
	pid = _Fork(); /* fork, without what it does for threads */
	if (pid == 0) {
		/* The caller's lock files and pipes above all. */
		int keeps[] = {s->dir, runner, log_fd(), log_session_fd()};
		sandbox_close(keeps, sizeof keeps / sizeof *keeps);
		detach();
		queue_run(s, runner, &background);
		_exit(EX_OK);
	}
	close(runner);
	return pid < 0 ? -1 : 0;
}
