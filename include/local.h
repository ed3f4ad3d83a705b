/* SPDX-License-Identifier: ISC */
/*
 * The local worker: one process, one recipient. Gives up root's rights for the recipient's
 * (or default_user's, for what the aliases file names), and then either delivers, to a
 * mailbox, file or command, or finds that aliases or a .forward have others take the
 * recipient's place, and says who. A mailbox is written to only when the runner has on disk
 * where, and stays locked until the verdict is on disk, too.
 */
#ifndef LOCAL_H
#define LOCAL_H

#include "alias.h"
#include "conf.h"
#include "io.h"
#include "journal.h"
#include "mbox.h"
#include "worker.h"

struct local_job {
	const struct conf *conf;
	const struct alias_file *aliases;
	uint32_t job, number;        /* as in worker_frame */
	const struct journal_rcpt *rcpt;
	struct str address;          /* canonical: whose local part is the user */
	struct str full;             /* the same with a domain, for Delivered-To */
	struct str sender, id, host; /* canonical; of the message; ours when it was first tried */
	int64_t date;                /* of the message */
	struct source content;       /* as rendered */
	bool retried;                /* an earlier attempt may have got as far as a mailbox */
};

/* The worker's whole life; does not return. */
_Noreturn void local_run(const struct local_job *job, struct worker_link *runner);

/* The lines of a WORKER_EXPAND's payload: "address joe@example.org", "left root" (a name for
 * the aliases file), "part 2212294583 robot" (alias_part), "mailbox" (the recipient's own).
 * Takes the first one off *payload; all but kind may be without use. 0, or -1: malformed. */
struct local_target {
	enum journal_kind kind;
	unsigned part;
	struct str address; /* canonical, or empty */
};
int local_parse_target(struct str *payload, struct local_target *target);

#endif
