/* SPDX-License-Identifier: ISC */
#include "local.h"
#include "file.h"
#include "log.h"
#include "maildir.h"
#include "pipe.h"
#include "sandbox.h"
#include "trace.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	FORWARD_MAX = 64 << 10, /* bytes of a .forward */
	LOCK_SECONDS = 100,     /* for other programs' mailbox locks */
	COMMAND_SECONDS = 180,  /* for a command to end; the runner waits longer */
};

struct delivery {
	const struct local_job *job;
	struct worker_link *runner;
	struct user_file passwd;
	struct user user;      /* as whom */
	struct mbox mbox;
	struct buf expansion;  /* who takes the recipient's place, or empty: nobody */
};

static struct worker_frame
frame(const struct delivery *d, enum worker_kind kind)
{
	return (struct worker_frame){
		.kind = kind, .job = d->job->job, .number = d->job->number, .fd = -1,
	};
}

/* --- where a message can be put --------------------------------------------------------- */

/* The runner's word that what we told it is on disk. */
static int
wait_for_go(const struct delivery *d)
{
	/* If none comes, this is what it says. */
	struct worker_frame f = {.kind = WORKER_FINISH};

	worker_receive_wait(d->runner, &f);
	return f.kind == WORKER_GO ? 0 : -1;
}

static int
intend(void *ctx, const struct mbox_place *place)
{
	struct delivery *d = ctx;
	struct worker_frame f = frame(d, WORKER_MAILBOX);

	f.place[0] = place->device;
	f.place[1] = place->inode;
	f.place[2] = place->start;
	if (worker_send_wait(d->runner, &f) || wait_for_go(d))
		return -1;
	/* Without a journal (direct mode) nobody would find half a mail: if the runner dies we
	 * go on as far as the verdict, which nobody takes then. */
	sandbox_outlive();
	return 0;
}

static struct outcome
append_to(struct delivery *d, const char *path)
{
	const struct local_job *job = d->job;

	return mbox_deliver(&d->mbox, &(struct mbox_job){
		.path = path, .sender = job->sender, .rcpt = job->full, .date = job->date,
		.content = job->content, .has_previous = job->rcpt->has_mailbox,
		.previous = {job->rcpt->device, job->rcpt->inode, job->rcpt->start},
		.lock_seconds = LOCK_SECONDS, .intend = intend, .ctx = d,
	});
}

static struct outcome
file_into(struct delivery *d, const char *path)
{
	const struct local_job *job = d->job;

	return maildir_deliver(&(struct maildir_job){
		.path = path, .id = job->id, .rcpt_number = job->number, .host = job->host,
		.date = job->date, .sender = job->sender, .rcpt = job->full,
		.content = job->content, .retried = job->retried,
	});
}

static struct outcome
give_to(struct delivery *d, struct str command)
{
	const struct local_job *job = d->job;
	struct buf name = {0};

	addr_print_user(job->address, &name);
	size_t plus = str_find(buf_view(&name), '+');
	struct outcome o = pipe_deliver(&(struct pipe_job){
		.command = command, .user = &d->user, .sender = job->sender, .rcpt = job->full,
		.extension = str_from(buf_view(&name), plus + 1), .content = job->content,
		.seconds = COMMAND_SECONDS,
	});
	buf_free(&name);
	return o;
}

/* "|command", "/dir/", "/file". */
static struct outcome
deliver_to(struct delivery *d, struct buf *target)
{
	struct str where = buf_view(target);

	if (str_starts(where, STR("|")))
		return give_to(d, str_from(where, 1));
	if (str_eq(where, STR("/dev/null")))
		return outcome_make(DELIVERED, 0, 0, "discarded");
	if (where.ptr[where.len - 1] == '/')
		return file_into(d, buf_cstr(target));
	return append_to(d, buf_cstr(target));
}

/* --- who takes the recipient's place ---------------------------------------------------- */

static bool
is_local(void *ctx, struct str domain)
{
	const struct delivery *d = ctx;

	return conf_is_local(d->job->conf, domain);
}

/* With the rights that we have by now. 0, or errno. */
static int
include(void *ctx, struct str path, struct buf *text)
{
	struct buf name = {0};
	struct stat st;
	int err = 0;

	(void)ctx;
	buf_str(&name, path);
	int fd = file_open(buf_cstr(&name), O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st))
		err = errno;
	else if (!S_ISREG(st.st_mode))
		err = EINVAL;
	else if (file_load_fd(fd, LIMIT_ALIAS_INCLUDE, text))
		err = errno;
	if (fd >= 0)
		close(fd);
	buf_free(&name);
	return err;
}

static void
print_expansion(struct delivery *d, const struct alias_found *found)
{
	for (size_t n = 0; n < found->addresses.count; n++) {
		struct str address = addr_set_get(&found->addresses, n);
		if (d->user.name.len && str_ieq(address, buf_view(&d->user.name)))
			buf_puts(&d->expansion, "mailbox\n");
		else
			buf_print(&d->expansion, "address %.*s\n", STR_ARG(address));
	}
	for (size_t n = 0; n < found->left.count; n++)
		buf_print(&d->expansion, "left %.*s\n", STR_ARG(addr_set_get(&found->left, n)));
	for (size_t n = 0; n < found->part_count; n++) {
		buf_print(&d->expansion, "part %u ", found->parts[n].id);
		addr_print_local(found->parts[n].entry->name, &d->expansion);
		buf_putc(&d->expansion, '\n');
	}
}

/* file: what to expand by; source: its name. False: it says nothing of the recipient, or what
 * it says has been done: the user's mailbox is where a message ends that comes back. */
static bool
expand(struct delivery *d, const struct alias_file *file, struct str name, const char *source,
       struct outcome *o)
{
	struct alias_found found = {0};
	struct buf why = {0};
	enum alias_result r = alias_expand_fully(file, name, is_local, include, d, &found, &why);

	bool loop = r == ALIAS_EXPANDED && trace_is_loop(&d->job->content, d->job->full, o);
	if (loop && file->forward)
		r = ALIAS_NONE;
	else if (r == ALIAS_EXPANDED && !loop)
		print_expansion(d, &found);
	else if (r != ALIAS_NONE && r != ALIAS_EXPANDED)
		*o = outcome_make(TEMPFAIL, 2, 4, "%s %.*s", source, STR_ARG(why));
	alias_found_free(&found);
	buf_free(&why);
	return r != ALIAS_NONE;
}

/* --- as default_user: what the aliases file names --------------------------------------- */

/* Where we are not root there are no other rights to have. */
static int
become_nobody(struct delivery *d, struct outcome *o)
{
	if (geteuid())
		user_by_id(&d->passwd, geteuid(), &d->user);
	else
		user_without_rights(&d->passwd, str_of(d->job->conf->default_user), &d->user);
	if (sandbox_become(d->user.uid, d->user.gid) == 0)
		return 0;
	*o = outcome_from_errno(errno, "becoming default_user");
	return -1;
}

static struct outcome
no_alias(const struct delivery *d, struct str name)
{
	return outcome_make(TEMPFAIL, 2, 4, "%s does not have %.*s any more",
			    d->job->conf->aliases, STR_ARG(name));
}

/* Where the file has been edited meanwhile, its entry is expanded anew: those who are in
 * the message already do not get it again. */
static struct outcome
deliver_alias_part(struct delivery *d)
{
	const struct journal_rcpt *r = d->job->rcpt;
	const struct alias_file *file = d->job->aliases;
	const char *path = d->job->conf->aliases;
	struct buf target = {0};
	struct outcome o = {0};

	if (become_nobody(d, &o))
		return o;
	if (alias_part(file, r->address, r->part, &target) == 0) {
		o = deliver_to(d, &target);
	} else {
		user_free(&d->user);
		if (!expand(d, file, r->address, path, &o))
			o = no_alias(d, r->address);
	}
	buf_free(&target);
	return o;
}

static struct outcome
expand_alias(struct delivery *d)
{
	struct outcome o = {0};

	if (become_nobody(d, &o))
		return o;
	user_free(&d->user);
	if (!expand(d, d->job->aliases, d->job->address, d->job->conf->aliases, &o))
		buf_print(&d->expansion, "address %.*s\n", STR_ARG(addr_local(d->job->address)));
	return o;
}

/* --- as the recipient ------------------------------------------------------------------- */

/* It was an alias when the mail was taken: so the envelope says, which others that are to be
 * looked up (who was expanded to, who gets a bounce) do not stand in. */
static bool
was_alias(const struct journal_rcpt *r)
{
	return r->kind == JOURNAL_ALIAS && r->parent == 0 && r->bounce == 0;
}

/* 0; -1 with *o: there is none. */
static int
find_user(struct delivery *d, struct outcome *o)
{
	struct buf name = {0};

	addr_print_user(d->job->address, &name);
	enum user_result who = user_of_mail(&d->passwd, buf_view(&name), &d->user);
	/* A power cut or an editor may have emptied the aliases file: no reason to bounce. */
	if (who == USER_UNKNOWN && was_alias(d->job->rcpt))
		*o = no_alias(d, d->job->address);
	else if (who == USER_UNKNOWN)
		*o = outcome_make(PERMFAIL, 1, 1, "no such user here: %.*s",
				  STR_ARG(d->job->address));
	else if (who == USER_ERROR)
		*o = outcome_make(TEMPFAIL, 3, 0, "cannot read /etc/passwd: %s", strerror(errno));
	buf_free(&name);
	return who == USER_UNKNOWN || who == USER_ERROR ? -1 : 0;
}

/* Nobody but the user and root may have a say in where his mail goes. */
static bool
is_trusted(const struct delivery *d, const struct stat *st, const char *path)
{
	if (S_ISREG(st->st_mode) && !(st->st_mode & (S_IWGRP | S_IWOTH)) &&
	    (st->st_uid == d->user.uid || st->st_uid == 0))
		return true;
	log_warn("%s is not used: it must be a file that only its owner may write to", path);
	return false;
}

/* The .forward, with the user's rights; empty where there is none. 0; -1 with *o. */
static int
read_forward(struct delivery *d, struct buf *path, struct buf *text, struct outcome *o)
{
	struct stat st;
	int rc = 0;

	if (d->user.home.len == 0 || !d->job->conf->forward)
		return 0;
	buf_print(path, "%.*s/.forward", STR_ARG(d->user.home));
	int fd = file_open(buf_cstr(path), O_RDONLY | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	if (fd < 0 || fstat(fd, &st) ||
	    (is_trusted(d, &st, buf_cstr(path)) && file_load_fd(fd, FORWARD_MAX, text))) {
		*o = outcome_from_errno(errno, buf_cstr(path));
		rc = -1;
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static struct outcome
deliver_to_mailbox(struct delivery *d)
{
	struct buf target = {0};
	struct outcome o;

	if (conf_mailbox(d->job->conf, buf_view(&d->user.name), &target))
		o = outcome_make(PERMFAIL, 1, 1, "no such user here: %.*s",
				 STR_ARG(d->job->address));
	else
		o = deliver_to(d, &target);
	buf_free(&target);
	return o;
}

/* What the user's .forward says of the job, if anything; else to the mailbox. */
static struct outcome
deliver_by_forward(struct delivery *d)
{
	const struct journal_rcpt *r = d->job->rcpt;
	struct buf path = {0}, text = {0}, name = {0}, target = {0};
	struct alias_file forward = {0};
	struct str user = buf_view(&d->user.name);
	struct outcome o = {0};

	if (read_forward(d, &path, &text, &o) == 0) {
		alias_parse_forward(&forward, buf_view(&text), user);
		addr_print_local(user, &name);
		bool part = r->kind == JOURNAL_FORWARD_PART;
		if (part && alias_part(&forward, buf_view(&name), r->part, &target) == 0)
			o = deliver_to(d, &target);
		else if (part && forward.count == 0)
			buf_puts(&d->expansion, "mailbox\n"); /* once for all parts */
		else if (!expand(d, &forward, d->job->address, buf_cstr(&path), &o))
			o = deliver_to_mailbox(d);
		alias_free(&forward);
	}
	buf_free(&path);
	buf_free(&text);
	buf_free(&name);
	buf_free(&target);
	return o;
}

/* The one step that a missing mbox needs root for. */
static int
create_mailbox(struct delivery *d)
{
	struct buf path = {0};
	int rc = conf_mailbox(d->job->conf, buf_view(&d->user.name), &path);

	if (rc == 0 && path.ptr[0] == '/' && path.ptr[path.len - 1] != '/')
		rc = mbox_create(buf_cstr(&path), d->user.uid, d->user.gid);
	else
		rc = 0;
	buf_free(&path);
	return rc;
}

static struct outcome
deliver_to_user(struct delivery *d)
{
	struct outcome o;

	if (find_user(d, &o))
		return o;
	if (create_mailbox(d))
		return outcome_from_errno(errno, "creating the mailbox");
	if (sandbox_become(d->user.uid, d->user.gid))
		return outcome_make(TEMPFAIL, 2, 0, "only root can deliver to another user: %.*s",
				    STR_ARG(d->user.name));
	return d->job->rcpt->kind == JOURNAL_MAILBOX ? deliver_to_mailbox(d) :
						       deliver_by_forward(d);
}

static struct outcome
deliver(struct delivery *d)
{
	switch (d->job->rcpt->kind) {
	case JOURNAL_ALIAS:
		if (alias_has(d->job->aliases, d->job->address))
			return expand_alias(d);
		return deliver_to_user(d);
	case JOURNAL_ALIAS_PART:
		return deliver_alias_part(d);
	default:
		return deliver_to_user(d);
	}
}

void
local_run(const struct local_job *job, struct worker_link *runner)
{
	struct delivery d = {.job = job, .runner = runner, .mbox = {.fd = -1}};
	struct worker_frame f = frame(&d, WORKER_OUTCOME);

	f.outcome = deliver(&d);
	f.relay = STR("local");
	if (d.expansion.len) {
		f.kind = WORKER_EXPAND;
		f.payload = buf_view(&d.expansion);
	}
	/* Once somebody has the verdict, it is his to say what the mailbox holds. */
	if (worker_send_wait(runner, &f))
		mbox_take_back(&d.mbox);
	else if (f.outcome.verdict == DELIVERED)
		wait_for_go(&d);
	mbox_release(&d.mbox);
	_exit(EX_OK);
}

int
local_parse_target(struct str *payload, struct local_target *t)
{
	struct str line = str_cut(payload, '\n'), word = str_cut(&line, ' ');
	uint64_t part = 0;

	*t = (struct local_target){.address = line};
	if (str_eq(word, STR("mailbox"))) {
		t->kind = JOURNAL_MAILBOX;
		return line.len ? -1 : 0;
	} else if (str_eq(word, STR("address"))) {
		t->kind = JOURNAL_ADDRESS;
	} else if (str_eq(word, STR("left"))) {
		t->kind = JOURNAL_ALIAS;
	} else if (str_eq(word, STR("part"))) {
		t->kind = JOURNAL_ALIAS_PART;
		if (str_number(str_cut(&line, ' '), UINT32_MAX, &part) || part == 0)
			return -1;
		t->part = (unsigned)part;
		t->address = line;
	} else {
		return -1;
	}
	return envelope_is_address(t->address) ? 0 : -1;
}
