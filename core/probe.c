/* SPDX-License-Identifier: ISC */
#include "probe.h"
#include "file.h"
#include "fmt.h"
#include "log.h"
#include "reach.h"
#include "sandbox.h"

#include <errno.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

struct visit {
	struct reach reach;
	struct talk talk;
	bool ready; /* a server was */
};

void
probe_add(struct probe *p, const struct route *r)
{
	if (r->kind == ROUTE_MX)
		addr_set_add(&p->domains, r->domain);
	p->servers |= r->servers;
}

/* The server would take a message now. There is none. */
static bool
next(void *ctx, struct smtp *s)
{
	struct visit *v = ctx;

	(void)s;
	v->ready = true;
	return false;
}

static void
print_ready(const struct talk *t, struct buf *out)
{
	const struct smtp_config *c = &t->config;

	buf_puts(out, "ready for mail ");
	if (c->user.len)
		buf_print(out, "as %.*s ", STR_ARG(c->user));
	else
		buf_puts(out, "without a login ");
	buf_puts(out, t->smtp.tls_verified ? "(TLS, verified)\n" :
		      t->smtp.tls_up ? "(TLS, NOT verified)\n" :
		      c->private_channel ? "(unix socket)\n" : "(in clear)\n");
}

static void
print_verdict(const struct visit *v, const struct outcome *why, struct buf *out)
{
	const struct destination *to = v->reach.to;
	struct str peer = buf_view(&v->reach.peer);

	/* What is said of a domain need not be of the last exchanger. */
	if (to->domain[0] && !v->ready)
		buf_print(out, "mail servers of %s", to->domain);
	else if (peer.len)
		buf_str(out, peer);
	else
		url_print(to->server, out);
	buf_puts(out, ": ");
	if (v->ready) {
		print_ready(&v->talk, out);
		return;
	}
	buf_print(out, "not usable: %s (", why->text);
	outcome_print_reply(why, out);
	buf_puts(out, ")\n");
}

/* The life of a process that gives up its rights. */
_Noreturn static void
visit(const struct conf *c, const struct destination *to)
{
	struct visit v = {.talk = {.more = -1, .next = next}};
	struct outcome why = {.text = ""};
	struct buf out = {0};

	v.talk.ctx = &v;
	reach_prepare(&v.reach, c, to, &v.talk);
	reach_run(&v.reach, &why);
	print_verdict(&v, &why, &out);
	int status = v.ready ? EX_OK : outcome_final_sysexit(&why);
	reach_free(&v.reach);
	_exit(file_write(STDOUT_FILENO, buf_view(&out)) ? EX_IOERR : status);
}

static int
send_visitor(const struct conf *c, const struct destination *to)
{
	pid_t parent = getpid();
	pid_t pid = _Fork(); /* fork, without what it does for threads */
	int status = -1;

	if (pid == 0) {
		int keeps[] = {log_fd(), log_session_fd()};
		sandbox_close(keeps, sizeof keeps / sizeof *keeps);
		sandbox_follow(parent);
		visit(c, to);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && WIFEXITED(status))
		return WEXITSTATUS(status);
	log_error("the process that tries a server has died, or did not start");
	return EX_OSERR;
}

int
probe_run(const struct probe *p, const struct conf *c)
{
	int status = EX_OK;

	for (size_t n = 0; n < c->smarthost_count + p->domains.count; n++) {
		struct destination to = {.server_count = 0};
		if (n >= c->smarthost_count)
			fmt_print(to.domain, sizeof to.domain, "%.*s",
				  STR_ARG(addr_set_get(&p->domains, n - c->smarthost_count)));
		else if (p->servers >> n & 1)
			to.server[to.server_count++] = c->smarthost[n];
		else
			continue;
		int one = send_visitor(c, &to);
		status = status ? status : one;
	}
	return status;
}
