/* SPDX-License-Identifier: ISC */
#include "crew.h"
#include "fmt.h"
#include "log.h"
#include "sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { KILL_MS = 200 }; /* for one that was killed to go: as long as removals wait for their sync */

void
crew_init(struct crew *c, size_t limit)
{
	/* Ignored, as a daemon may hand it down, no child would have a status. */
	signal(SIGCHLD, SIG_DFL);
	*c = (struct crew){.slots = 2 * limit, .limit = limit};
	c->slot = buf_array(NULL, c->slots, sizeof *c->slot);
	for (size_t n = 0; n < c->slots; n++)
		c->slot[n].pid = 0;
}

static void
end_all(struct crew *c)
{
	for (size_t n = 0; n < c->slots; n++)
		if (c->slot[n].pid)
			crew_end(c, &c->slot[n]);
}

void
crew_free(struct crew *c)
{
	end_all(c);
	buf_release(c->slot);
	*c = (struct crew){0};
}

void
crew_renew(struct crew *c, size_t limit)
{
	end_all(c);
	/* A table of another size has no place for those who are lost. */
	if (c->relays + c->locals > 0) {
		c->limit = limit < c->limit ? limit : c->limit;
		return;
	}
	crew_free(c);
	crew_init(c, limit);
}

/* The worker whose mail would be mail of this key; r: of this very route. */
static struct crew_worker *
find(const struct crew *c, uint32_t key, const struct route *r, bool alone)
{
	for (size_t n = 0; n < c->slots; n++) {
		struct crew_worker *w = &c->slot[n];
		if (!w->pid || w->failed || (w->alone != alone && !w->local))
			continue;
		if (w->route.key == key && (!r || route_same(&w->route, r)))
			return w;
	}
	return NULL;
}

static bool
takes_more(const struct crew_worker *w)
{
	return !w->alone && !w->local && w->jobs < CREW_JOBS;
}

/* By those that are lost: another one in the same mailbox would be the next. */
static bool
is_blocked(const struct crew *c, uint32_t key)
{
	bool local = key >= ROUTE_LOCAL_KEY;
	size_t lost = 0;

	for (size_t n = 0; n < c->slots; n++) {
		const struct crew_worker *w = &c->slot[n];
		if (!w->pid || w->link.fd >= 0 || w->local != local)
			continue;
		if (local && w->route.key == key)
			return true;
		lost++;
	}
	return lost >= c->limit;
}

bool
crew_has_room(const struct crew *c, uint32_t key, bool alone)
{
	const struct crew_worker *w = find(c, key, NULL, alone);

	if (w)
		return takes_more(w);
	return is_blocked(c, key) || (key < ROUTE_LOCAL_KEY ? c->relays : c->locals) < c->limit;
}

/* A slot with a running child, or NULL. In the child: returns with *child as its end, and
 * pid 0 in *pid. keep: a descriptor that the child needs, or -1. */
static struct crew_worker *
start(struct crew *c, uint32_t key, int keep, struct worker_link *child, pid_t *pid)
{
	bool local = key >= ROUTE_LOCAL_KEY;
	struct crew_worker *w = c->slot;
	struct worker_link parent;
	pid_t runner = getpid();

	errno = is_blocked(c, key) ? EBUSY : 0;
	if (errno || (local ? c->locals : c->relays) >= c->limit)
		return NULL;
	while (w->pid)
		w++;
	if (worker_pair(&parent, child))
		return NULL;
	*pid = _Fork(); /* fork, without what it does for threads */
	if (*pid == 0) {
		/* The claims of other messages are flocks that this process now shares:
		 * first of all it lets go of them. */
		int keeps[] = {child->fd, keep, log_fd(), log_session_fd()};
		sandbox_close(keeps, sizeof keeps / sizeof *keeps);
		sandbox_follow(runner);
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		umask(077);
		/* Ctrl-C and init's end of a service go to the whole group. Whether work in hand
		 * is finished is the runner's to say; without it we are killed. */
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		return NULL;
	}
	int err = errno;
	worker_close(child);
	if (*pid < 0) {
		worker_close(&parent);
		errno = err;
		return NULL;
	}
	*w = (struct crew_worker){
		.pid = *pid, .number = (unsigned char)(w - c->slot), .link = parent, .local = local,
	};
	(*(local ? &c->locals : &c->relays))++;
	return w;
}

static struct destination
destination(const struct conf *c, const struct route *r)
{
	struct destination to = {.server_count = 0};

	for (size_t i = 0; i < c->smarthost_count; i++)
		if (r->servers >> i & 1)
			to.server[to.server_count++] = c->smarthost[i];
	fmt_print(to.domain, sizeof to.domain, "%.*s", STR_ARG(r->domain));
	return to;
}

/* r outlives the message that it was found for. */
static void
set_route(struct crew_worker *w, const struct route *r)
{
	w->route = *r;
	fmt_print(w->domain, sizeof w->domain, "%.*s", STR_ARG(r->domain));
	w->route.domain = str_of(w->domain);
	w->route.address = (struct str){0};
}

struct crew_worker *
crew_relay(struct crew *c, const struct conf *conf, const struct route *r,
	   const struct outage_list *hosts, bool alone)
{
	struct crew_worker *w = find(c, r->key, r, alone);
	struct worker_link child;
	pid_t pid = -1;

	errno = 0;
	if (w)
		return takes_more(w) ? w : NULL;
	w = start(c, r->key, -1, &child, &pid);
	if (pid == 0) {
		struct destination to = destination(conf, r);
		relay_run(conf, &to, hosts, &child);
	}
	if (w) {
		w->alone = alone;
		set_route(w, r);
	}
	return w;
}

struct crew_worker *
crew_local(struct crew *c, const struct route *r, const struct local_job *job)
{
	struct worker_link child;
	pid_t pid = -1;
	struct crew_worker *w = start(c, r->key, job->content.fd, &child, &pid);

	if (pid == 0)
		local_run(job, &child);
	if (w) {
		w->job[w->jobs++] = job->job;
		set_route(w, r);
	}
	return w;
}

bool
crew_has_job(const struct crew_worker *w, uint32_t job)
{
	for (unsigned n = 0; n < w->jobs; n++)
		if (w->job[n] == job)
			return true;
	return false;
}

void
crew_drop_job(struct crew_worker *w, uint32_t job)
{
	for (unsigned n = 0; n < w->jobs; n++) {
		if (w->job[n] != job)
			continue;
		for (w->jobs--; n < w->jobs; n++)
			w->job[n] = w->job[n + 1];
	}
}

bool
crew_is_idle(const struct crew *c)
{
	size_t n = 0;

	while (n < c->slots && (!c->slot[n].pid || c->slot[n].link.fd < 0))
		n++;
	return n == c->slots;
}

bool
crew_end(struct crew *c, struct crew_worker *w)
{
	struct pollfd end = {.fd = w->link.fd};
	int status = -1; /* of none that ended in order */

	/* Its end of the link is closed or must not be heard any more: it is gone or may go.
	 * One that has already ended keeps its own status. */
	kill(w->pid, SIGKILL);
	/* It closes its end as it goes, and then there is little to wait for. */
	bool goes = poll(&end, 1, end.fd < 0 ? 0 : KILL_MS) > 0;
	pid_t pid = waitpid(w->pid, &status, goes ? 0 : WNOHANG);
	worker_close(&w->link);
	if (pid == 0) {
		w->failed = true;
		w->keeps_lock = false;
		w->jobs = 0;
		return false;
	}
	(*(w->local ? &c->locals : &c->relays))--;
	w->pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == EX_OK;
}
