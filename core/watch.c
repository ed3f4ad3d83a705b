/* SPDX-License-Identifier: ISC */
#include "watch.h"
#include "fmt.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int
open_names(const struct spool *s)
{
	const uint32_t events = IN_MOVED_TO | IN_ATTRIB;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* -1 cannot watch either */
	char dir[64];

	/* By the open directory, whatever its path means by now; by path without /proc. */
	fmt_print(dir, sizeof dir, "/proc/self/fd/%d", s->dir);
	if (inotify_add_watch(fd, dir, events) >= 0 ||
	    inotify_add_watch(fd, s->path, events) >= 0)
		return fd;
	close(fd);
	return -1;
}

void
watch_open(struct watch *w, const struct spool *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w->signals < 0)
		sigprocmask(SIG_UNBLOCK, &set, NULL); /* they just end us, as kill -9 might */
	w->names = open_names(s);
	w->touched = spool_runner_time(s);
}

void
watch_look(struct watch *w, const struct spool *s, watch_tell *tell, void *ctx)
{
	int64_t touched = spool_runner_time(s);

	w->names = open_names(s);
	tell(ctx, touched == w->touched ? WATCH_RESCAN : WATCH_WAKE, (struct str){0}, false);
	w->touched = touched;
}

void
watch_close(struct watch *w)
{
	if (w->names >= 0)
		close(w->names);
	if (w->signals >= 0)
		close(w->signals);
}

static void
tell_name(const struct inotify_event *e, watch_tell *tell, void *ctx)
{
	struct str name = str_of(e->name), id = str_from(name, 1);
	bool touched = e->mask & IN_ATTRIB;

	if (touched && str_eq(name, STR("runner")))
		tell(ctx, WATCH_WAKE, (struct str){0}, true);
	else if (name.ptr[0] == 'Q' && spool_is_id(id))
		tell(ctx, WATCH_NAME, id, touched);
}

static void
read_names(int fd, watch_tell *tell, void *ctx)
{
	_Alignas(struct inotify_event) char space[4096];
	ssize_t n = read(fd, space, sizeof space);

	for (char *p = space; n > 0 && p < space + n;) {
		const struct inotify_event *e = (const struct inotify_event *)p;
		if (e->mask & IN_Q_OVERFLOW)
			tell(ctx, WATCH_RESCAN, (struct str){0}, false);
		else if (e->len > 0)
			tell_name(e, tell, ctx);
		p += sizeof *e + e->len;
	}
}

void
watch_read(struct watch *w, watch_tell *tell, void *ctx)
{
	struct signalfd_siginfo info;

	if (w->names >= 0)
		read_names(w->names, tell, ctx);
	while (read(w->signals, &info, sizeof info) == sizeof info)
		tell(ctx, info.ssi_signo == SIGHUP ? WATCH_WAKE : WATCH_STOP, (struct str){0},
		     false);
}
