/* SPDX-License-Identifier: ISC */
#include "journal.h"
#include "codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* Of a message without an id. */
static const struct journal unbound = {0};

static const struct envelope_rcpt rcpts[] = {
	{.address = {"root", 4}},
	{.address = {"b@mail.example", 14}},
	{.address = {"c@mail.example", 14}},
	{.address = {"d@mail.example", 14}},
	{.address = {"e@mail.example", 14}},
};
static const struct envelope envelope = {
	.arrived = {1795341234, 100000, 7, true},
	.sender = {"alice@router.example", 20},
	.rcpts = rcpts,
	.rcpt_count = 5,
};

/* A moment of the boot in which the message arrived. */
static struct stamp
at(int64_t seconds)
{
	return (struct stamp){1795341234 + seconds, 100000 + seconds * 1000, 7, true};
}

/* A line of any content with a right checksum. */
static void
add_line(struct buf *log, const char *content)
{
	buf_print(log, "%s %08x\n", content, (unsigned)codec_crc32(0, str_of(content)));
}

/* "event STAMP rest" with a stamp that can be. */
static void
add_event(struct buf *log, const char *event, const char *rest)
{
	struct buf content = {0};

	buf_print(&content, "%s 1795341300 166000 0000000000000007 1 %s", event, rest);
	add_line(log, buf_cstr(&content));
	buf_free(&content);
}

static void
add_outcome(struct buf *log, int64_t when, const char *set, enum verdict v, const char *text)
{
	struct stamp now = at(when);
	struct outcome o = outcome_make(v, 4, 1, "%s", text);

	o.code = v == TEMPFAIL ? 451 : v == DELIVERED ? 250 : 550;
	journal_print_outcome(&unbound, &now, str_of(set), &o, log);
}

static void
add_bounce(struct buf *log, int64_t when, const char *set, const char *address)
{
	struct stamp now = at(when);

	journal_print_bounce(&unbound, &now, str_of(set), str_of(address), log);
}

static void
add_expand(struct buf *log, int64_t when, size_t rcpt, enum journal_kind kind, unsigned part,
	   const char *address)
{
	struct stamp now = at(when);

	journal_print_expand(&unbound, &now, rcpt, kind, part, str_of(address), log);
}

static void
add_passed(struct buf *log, const char *set)
{
	struct stamp now = at(1);
	struct outcome o = outcome_make(DELIVERED, 0, 0, "ok");

	o.passed = true;
	journal_print_outcome(&unbound, &now, str_of(set), &o, log);
}

static struct journal
fold(const struct buf *log)
{
	struct journal j;

	journal_fold(buf_view(log), (struct str){0}, &envelope, &j);
	return j;
}

/* One letter for each recipient: - pending, s sent, f failed, b failed and reported. */
static const char *
fates(const struct journal *j)
{
	static char text[64];
	size_t i;

	for (i = 0; i < j->count && i < sizeof text - 1; i++)
		text[i] = j->rcpts[i].fate == JOURNAL_SENT ? 's' :
			  j->rcpts[i].fate == JOURNAL_PENDING ? '-' :
			  j->rcpts[i].reported ? 'b' : 'f';
	text[i] = '\0';
	return text;
}

static void
expect_fates(const struct buf *log, const char *want, size_t skipped)
{
	struct journal j = fold(log);

	assert_string_equal(fates(&j), want);
	assert_int_equal(j.skipped, skipped);
	journal_free(&j);
}

static void
test_empty(void **state)
{
	struct buf log = {0};
	struct journal j = fold(&log);

	(void)state;
	assert_string_equal(fates(&j), "-----");
	assert_int_equal(journal_pending(&j), 5);
	assert_int_equal(journal_owed(&j), 0);
	assert_int_equal(j.age, 0);
	assert_false(j.has_facts);
	assert_int_equal(j.rcpts[4].last_at.wall, 1795341234);
	struct outcome o = journal_outcome(&j.rcpts[0]);
	assert_int_equal(o.verdict, TEMPFAIL);
	assert_string_equal(o.text, "");
	journal_free(&j);
}

static void
test_form(void **state)
{
	struct buf log = {0};
	struct stamp now = at(1);

	(void)state;
	journal_print_facts(&unbound, &now, 1795341235, STR("k2u9@router"), STR("router"), &log);
	journal_print_mailbox(&unbound, &now, 4, 2049, 131083, 40960, &log);
	add_outcome(&log, 2, "0,2-4", TEMPFAIL, "connection refused");
	add_outcome(&log, 2, "*", DELIVERED, "");
	add_bounce(&log, 3, "2-3", "alice@router.example");
	add_expand(&log, 4, 0, JOURNAL_ADDRESS, 0, "joe@x.example");
	add_expand(&log, 4, 10, JOURNAL_FORWARD_PART, 2, "\"a b\"");
	add_passed(&log, "1");
	struct str rest = buf_view(&log);
	static const char *const want[] = {
		"facts 1795341235 101000 0000000000000007 1 * 1795341235 k2u9@router router ",
		"mailbox 1795341235 101000 0000000000000007 1 4 2049 131083 40960 ",
		"deferred 1795341236 102000 0000000000000007 1 0,2-4 4.4.1 451 connection refused ",
		"sent 1795341236 102000 0000000000000007 1 * 2.4.1 250 ",
		"bounce 1795341237 103000 0000000000000007 1 2-3 alice@router.example ",
		"expand 1795341238 104000 0000000000000007 1 0 address joe@x.example ",
		"expand 1795341238 104000 0000000000000007 1 10 forward-part 2 \"a b\" ",
		"passed 1795341235 101000 0000000000000007 1 1 2.0.0 0 ok ",
	};
	for (size_t i = 0; i < 8; i++) {
		struct str line = str_cut(&rest, '\n');
		assert_true(str_eq(str_upto(line, line.len - 8), str_of(want[i])));
	}
	assert_int_equal(rest.len, 0);
	buf_free(&log);
}

static void
test_life(void **state)
{
	struct buf log = {0};
	struct stamp now = at(10);

	(void)state;
	journal_print_facts(&unbound, &now, 1795341244, STR("first@router"), STR("router"), &log);
	journal_print_facts(&unbound, &now, 1, STR("second@router"), STR("other"), &log);
	add_outcome(&log, 11, "*", TEMPFAIL, "greylisted");
	add_outcome(&log, 70, "1", DELIVERED, "ok queued as 12345");
	add_outcome(&log, 71, "2-3", PERMFAIL, "no such user");
	add_outcome(&log, 72, "*", TEMPFAIL, "later");
	struct journal j = fold(&log);
	assert_string_equal(fates(&j), "-sff-");
	assert_int_equal(journal_pending(&j), 2);
	assert_int_equal(journal_owed(&j), 2);
	assert_true(j.has_facts && j.date == 1795341244);
	assert_true(str_eq(j.message_id, STR("first@router")) && str_eq(j.host, STR("router")));
	assert_int_equal(j.rcpts[0].attempts, 2);
	assert_int_equal(j.rcpts[1].attempts, 1);
	assert_int_equal(j.rcpts[0].last_at.boot, 172000);
	assert_int_equal(j.rcpts[2].last_at.boot, 171000);
	assert_true(str_eq(j.rcpts[0].last, STR("4.4.1 451 later")));
	struct outcome o = journal_outcome(&j.rcpts[2]);
	assert_int_equal(o.verdict, PERMFAIL);
	assert_int_equal(o.code, 550);
	assert_string_equal(o.text, "no such user");
	assert_int_equal(j.age, 72);
	assert_int_equal(j.newest.boot, 172000);
	assert_int_equal(j.skipped, 0);
	journal_free(&j);

	add_bounce(&log, 73, "2-3", "alice@router.example");
	j = fold(&log);
	assert_string_equal(fates(&j), "-sbb--");
	assert_int_equal(journal_owed(&j), 0);
	assert_int_equal(j.rcpts[5].bounce, 1);
	assert_int_equal(j.rcpts[5].attempts, 0);
	assert_int_equal(j.rcpts[5].last_at.boot, 173000);
	assert_true(str_eq(j.rcpts[5].address, STR("alice@router.example")));
	assert_true(str_eq(j.covers[0], STR("2-3")));
	assert_int_equal(j.rcpts[5].kind, JOURNAL_ALIAS);
	assert_int_equal(j.rcpts[4].kind, JOURNAL_ADDRESS);
	journal_free(&j);

	/* The bounce fails and is bounced elsewhere; the rest arrives. */
	add_outcome(&log, 80, "5", PERMFAIL, "no such user");
	add_bounce(&log, 81, "5", "postmaster");
	add_outcome(&log, 82, "*", DELIVERED, "ok");
	expect_fates(&log, "ssbbsbs", 0);
	buf_free(&log);
}

static void
test_final_is_final(void **state)
{
	struct buf log = {0};

	(void)state;
	add_outcome(&log, 1, "0", DELIVERED, "ok");
	add_outcome(&log, 2, "1", PERMFAIL, "no");
	add_outcome(&log, 3, "0-1", PERMFAIL, "no");
	add_outcome(&log, 4, "0-1", DELIVERED, "ok");
	add_outcome(&log, 5, "0-2", TEMPFAIL, "later");
	struct journal j = fold(&log);
	assert_string_equal(fates(&j), "sf---");
	assert_int_equal(j.rcpts[0].attempts, 0);
	assert_int_equal(j.rcpts[2].attempts, 1);
	assert_int_equal(j.rcpts[1].last_at.boot, 102000);
	journal_free(&j);
	buf_free(&log);
}

static void
test_mailbox(void **state)
{
	struct buf log = {0};
	struct stamp now = at(1);

	(void)state;
	journal_print_mailbox(&unbound, &now, 0, 1, 2, 3, &log);
	journal_print_mailbox(&unbound, &now, 0, 4, UINT64_MAX, 6, &log);
	add_outcome(&log, 2, "1", DELIVERED, "ok");
	journal_print_mailbox(&unbound, &now, 1, 7, 8, 9, &log);
	add_event(&log, "mailbox", "0-1 1 2 3");
	add_event(&log, "mailbox", "* 1 2 3");
	add_event(&log, "mailbox", "5 1 2 3");
	add_event(&log, "mailbox", "2 1 2");
	add_event(&log, "mailbox", "2 1 2 3 4");
	struct journal j = fold(&log);
	assert_true(j.rcpts[0].has_mailbox);
	assert_true(j.rcpts[0].device == 4 && j.rcpts[0].inode == UINT64_MAX);
	assert_int_equal(j.rcpts[0].start, 6);
	assert_false(j.rcpts[1].has_mailbox);
	assert_false(j.rcpts[2].has_mailbox);
	assert_int_equal(j.skipped, 5);
	journal_free(&j);
	buf_free(&log);
}

/* "4>address joe, 4>alias-part 1 robot": those behind the envelope's, each with its parent. */
static const char *
children(const struct journal *j)
{
	static const char *const words[] = {"address", "alias", "mailbox", "alias-part", "forward-part"};
	static struct buf out;

	out.len = 0;
	for (size_t i = 5; i < j->count; i++) {
		const struct journal_rcpt *r = &j->rcpts[i];
		if (out.len)
			buf_puts(&out, ", ");
		if (r->parent)
			buf_print(&out, "%u>", (unsigned)r->parent - 1);
		buf_puts(&out, words[r->kind]);
		if (r->part)
			buf_print(&out, " %u", r->part);
		buf_print(&out, " %.*s", STR_ARG(r->address));
		if (r->bounce)
			buf_print(&out, " b%u", (unsigned)r->bounce);
	}
	return buf_cstr(&out);
}

/* Lines "expand" (without the stamp), or "sent RCPTS", "failed RCPTS", "bounce RCPTS TO"; the
 * recipients they make; everybody's fate. */
static const struct {
	const char *lines[8], *children, *fates;
} expansions[] = {
	{{"0 address joe@x", "0 alias ann", "0 mailbox root", "0 alias-part 1 robot",
	  "0 forward-part 4294967295 joe", "sent 0"},
	 "0>address joe@x, 0>alias ann, 0>mailbox root, 0>alias-part 1 robot, "
	 "0>forward-part 4294967295 joe", "s---------"},
	/* "*" is all that are pending at that point. */
	{{"sent 0", "1 address joe", "sent *", "2 address x@y"}, "1>address joe", "ssssss"},
	/* The same again, with and without its end; in other words. */
	{{"0 address joe", "0 address ann", "0 address joe", "0 address ann", "sent 0"},
	 "0>address joe, 0>address ann", "s------"},
	{{"0 address joe", "sent 0", "0 address joe", "0 address ann", "sent 0"},
	 "0>address joe", "s-----"},
	{{"0 address joe@x.example", "0 address joe@X.example", "0 address JOE@x.example",
	  "0 address ann", "0 address ANN"},
	 "0>address joe@x.example, 0>address JOE@x.example, 0>address ann", "--------"},
	/* Kinds and parts are different things to do. */
	{{"0 address joe", "0 alias joe", "0 mailbox joe", "0 alias-part 1 joe", "0 alias-part 2 joe",
	  "0 forward-part 1 joe", "0 alias-part 2 joe", "0 mailbox joe"},
	 "0>address joe, 0>alias joe, 0>mailbox joe, 0>alias-part 1 joe, 0>alias-part 2 joe, "
	 "0>forward-part 1 joe", "-----------"},
	/* Two ways to one, the envelope's among them: one copy. Pending, sent or failed. */
	{{"0 address joe", "sent 0", "1 address joe", "1 address c@mail.example", "sent 1"},
	 "0>address joe", "ss----"},
	{{"0 address joe", "sent 0,5", "1 address joe", "sent 1"}, "0>address joe", "ss---s"},
	{{"0 address joe", "sent 0", "failed 5", "1 address joe", "sent 1"}, "0>address joe", "ss---f"},
	/* But not where that one stands for others. */
	{{"0 alias joe", "sent 0", "5 address x@y", "sent 5", "1 alias joe", "1 alias joe"},
	 "0>alias joe, 5>address x@y, 1>alias joe", "s----s--"},
	/* root and b lead to each other: somebody is left whom the circle is noticed at. */
	{{"0 alias b@mail.example", "5 address b@mail.example", "sent 0,5",
	  "1 alias root", "6 address root", "sent 1,6"},
	 "0>alias b@mail.example, 1>alias root, 6>address root", "ss---ss-"},
	/* Bounces: what they lead to is a bounce, and is not the same as the message to that one. */
	{{"failed 0-1", "bounce 0 root", "bounce 1 eve", "5 address c@mail.example", "5 address eve",
	  "sent 5", "6 address eve", "failed 8"},
	 "alias root b1, alias eve b2, 5>address c@mail.example b1, 5>address eve b1, 6>address eve b2",
	 "bb---s--f-"},
	{{"failed 0", "bounce 0 root", "5 address root", "sent 5", "failed 6", "bounce 6 root", "bounce 0 root"},
	 "alias root b1, 5>address root b1, alias root b2", "b----sb-"},
};

static void
add_words(struct buf *log, const char *const *lines, size_t count)
{
	struct buf copy = {0};

	for (size_t n = 0; n < count && lines[n]; n++) {
		struct str line = str_of(lines[n]);
		struct str word = str_upto(line, str_find(line, ' '));
		copy.len = 0;
		buf_str(&copy, str_from(line, word.len + 1));
		if (str_eq(word, STR("sent")))
			add_outcome(log, 1, buf_cstr(&copy), DELIVERED, "ok");
		else if (str_eq(word, STR("passed")))
			add_passed(log, buf_cstr(&copy));
		else if (str_eq(word, STR("failed")))
			add_outcome(log, 1, buf_cstr(&copy), PERMFAIL, "no");
		else
			add_event(log, str_eq(word, STR("bounce")) ? "bounce" : "expand",
				  str_eq(word, STR("bounce")) ? buf_cstr(&copy) : line.ptr);
	}
	buf_free(&copy);
}

static void
test_expansions(void **state)
{
	struct buf log = {0};

	(void)state;
	for (size_t i = 0; i < sizeof expansions / sizeof *expansions; i++) {
		log.len = 0;
		add_words(&log, expansions[i].lines, 8);
		struct journal j = fold(&log);
		assert_int_equal(j.skipped, 0);
		assert_string_equal(children(&j), expansions[i].children);
		assert_string_equal(fates(&j), expansions[i].fates);
		journal_free(&j);
	}
	buf_free(&log);
}

/* What is asked of the envelope's recipients (N S F D, or nothing), lines as above, and who is
 * to be told: 'o' for each recipient that somebody must still hear of, of all that there are;
 * with <> before it the message has no sender. */
static const struct {
	const char *asked[5], *lines[8], *owed;
} wishes[] = {
	{{"", "N", "F", "S", "SF"}, {"failed *"}, "o-o-o"},
	{{"", "N", "F", "S", "SF"}, {"sent *"}, "---oo"},
	{{"D", "D", "SD", "FD", "SFD"}, {"failed 0-2", "sent 3-4"}, "----o"},
	{{"", "N", "F", "S", "SF"}, {"failed *"}, "<>o-o-o"},
	{{"", "N", "F", "S", "SF"}, {"sent *"}, "<>-----"},
	/* A server that tells of it; one line for some, another for others. */
	{{"S", "S", "S", "S", "S"}, {"passed 0-2", "sent 3-4"}, "---oo"},
	/* A report covers them: of success, then of failure. Nobody needs hear that it failed. */
	{{"S", "S", "F", "F", ""}, {"sent 0", "failed 2", "bounce 0 root", "bounce 2 root"}, "-------"},
	{{"S", "S", "F", "F", ""}, {"sent 0", "bounce 0 root", "failed 5"}, "------"},
	{{"S", "S", "F", "F", ""}, {"failed 2", "bounce 2 root", "failed 5"}, "-----o"},
	/* Whom a bounce did not reach, he is told of no success; but of another failure. */
	{{"S", "S", "F", "F", ""}, {"sent 0", "bounce 0 root", "failed 5", "sent 1", "failed 3"},
	 "---o--"},
	/* Expanded to one: what is asked goes on. To several: that is what is told. */
	{{"SF"}, {"0 address joe", "sent 0"}, "------"},
	{{"SF"}, {"0 address joe", "sent 0", "sent 5"}, "-----o"},
	{{"SF"}, {"0 address joe", "sent 0", "failed 5"}, "-----o"},
	{{"SF"}, {"0 address joe", "0 address ann", "sent 0", "sent 5", "failed 6"}, "o-----o"},
	{{"S"}, {"0 address joe", "0 address ann", "0 address eve", "sent 0", "failed 5-7"},
	 "o-------"},
	{{"S"}, {"0 address joe", "0 address joe", "sent 0", "sent 5"}, "-----o"},
	{{"N"}, {"0 address joe", "sent 0", "failed 5"}, "------"},
	{{"S"}, {"0 alias joe", "sent 0", "5 address ann", "5 address eve", "sent 5", "sent 6-7"},
	 "-----o--"},
	/* Two ways to one: he is asked for all that was asked of either. */
	{{"N", ""}, {"0 address joe", "sent 0", "1 address joe", "sent 1", "failed 5"}, "-----o"},
	{{"N", "S"}, {"1 address root", "sent 1", "sent 0"}, "o----"},
	{{"N", "S"}, {"1 address b@mail.example", "sent 1"}, "------"},
	{{"N", "S", ""}, {"0 address c@mail.example", "1 address c@mail.example", "sent 0-2"},
	 "--o--"},
	{{"N", "S", ""}, {"2 address root@x", "failed 5", "1 address root@x", "sent 1-2"}, "-----o"},
};

static unsigned
asks(const char *letters)
{
	unsigned bits = 0;

	for (; letters && *letters; letters++)
		bits |= 1u << (strchr("NSFD", *letters) - "NSFD");
	return bits;
}

static void
test_wishes(void **state)
{
	struct envelope_rcpt list[5];
	struct envelope e = envelope;
	struct buf log = {0};
	char owed[16];

	(void)state;
	e.rcpts = list;
	for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
		const char *want = wishes[i].owed;
		size_t count = 0;
		struct journal j;
		for (size_t n = 0; n < 5; n++) {
			list[n] = rcpts[n];
			list[n].notify.asks = asks(wishes[i].asked[n]);
		}
		e.sender = *want == '<' ? (struct str){0} : envelope.sender;
		want += *want == '<' ? 2 : 0;
		log.len = 0;
		add_words(&log, wishes[i].lines, 8);
		journal_fold(buf_view(&log), (struct str){0}, &e, &j);
		assert_int_equal(j.skipped, 0);
		for (size_t n = 0; n < j.count; n++) {
			owed[n] = journal_owes(&j, &j.rcpts[n]) ? 'o' : '-';
			count += owed[n] == 'o';
		}
		owed[j.count] = '\0';
		if (strcmp(owed, want))
			fail_msg("%zu: %s, not %s", i, owed, want);
		assert_int_equal(journal_owed(&j), count);
		journal_free(&j);
	}
	buf_free(&log);
}

/* Cut anywhere and made again, an expansion is what it would have been: nobody is there twice
 * and nobody is missing. */
static void
test_torn_expansion(void **state)
{
	static const char want[] = "0>address joe@x, 0>alias-part 1 robot, 0>alias-part 2 robot, "
				   "0>mailbox root";
	struct buf batch = {0}, log = {0};

	(void)state;
	add_expand(&batch, 1, 0, JOURNAL_ADDRESS, 0, "joe@x");
	add_expand(&batch, 1, 0, JOURNAL_ALIAS_PART, 1, "robot");
	add_expand(&batch, 1, 0, JOURNAL_ALIAS_PART, 2, "robot");
	add_expand(&batch, 1, 0, JOURNAL_MAILBOX, 0, "root");
	add_outcome(&batch, 1, "0", DELIVERED, "expanded to 4");
	for (size_t n = 0; n <= batch.len; n++) {
		log.len = 0;
		buf_str(&log, str_upto(buf_view(&batch), n));
		struct journal j = fold(&log);
		/* Done only when everybody is there. */
		assert_true(j.rcpts[0].fate == JOURNAL_PENDING || j.count == 9);
		assert_true(j.rcpts[0].fate == JOURNAL_SENT || n + 1 < batch.len);
		journal_free(&j);
		/* Meanwhile the first of them may have had theirs. */
		if (n > 0 && log.ptr[n - 1] != '\n')
			buf_putc(&log, '\n');
		buf_str(&log, buf_view(&batch));
		j = fold(&log);
		assert_string_equal(children(&j), want);
		assert_string_equal(fates(&j), "s--------");
		assert_true(j.skipped <= 1);
		journal_free(&j);
	}
	buf_free(&batch);
	buf_free(&log);
}

static void
test_ancestors(void **state)
{
	struct buf log = {0};

	(void)state;
	add_expand(&log, 1, 1, JOURNAL_ALIAS, 0, "ann");
	add_expand(&log, 1, 5, JOURNAL_ADDRESS, 0, "ann");
	add_expand(&log, 1, 6, JOURNAL_ADDRESS, 0, "eve@x");
	add_expand(&log, 1, 0, JOURNAL_ADDRESS, 0, "other");
	struct journal j = fold(&log);
	assert_true(journal_has_ancestor(&j, 7, JOURNAL_ADDRESS, STR("eve@x")));
	assert_true(journal_has_ancestor(&j, 7, JOURNAL_ADDRESS, STR("ANN")));
	assert_true(journal_has_ancestor(&j, 7, JOURNAL_ALIAS, STR("ann")));
	assert_true(journal_has_ancestor(&j, 7, JOURNAL_ADDRESS, STR("b@mail.example")));
	assert_false(journal_has_ancestor(&j, 7, JOURNAL_MAILBOX, STR("ann")));
	assert_false(journal_has_ancestor(&j, 7, JOURNAL_ALIAS, STR("eve@x")));
	assert_false(journal_has_ancestor(&j, 7, JOURNAL_ADDRESS, STR("other")));
	assert_false(journal_has_ancestor(&j, 7, JOURNAL_ADDRESS, STR("root")));
	assert_false(journal_has_ancestor(&j, 6, JOURNAL_ADDRESS, STR("eve@x")));
	assert_true(journal_has_ancestor(&j, 0, JOURNAL_ADDRESS, STR("root")));
	assert_true(j.rcpts[1].expanded && j.rcpts[6].expanded && !j.rcpts[7].expanded);
	journal_free(&j);
	buf_free(&log);
}

/* Lines folded as they come make the same journal as all at once. */
static void
test_more(void **state)
{
	struct buf log = {0};

	(void)state;
	add_outcome(&log, 1, "1-2", PERMFAIL, "no");
	add_bounce(&log, 2, "1-2", "root");
	add_expand(&log, 3, 5, JOURNAL_ADDRESS, 0, "joe");
	add_expand(&log, 3, 0, JOURNAL_ADDRESS, 0, "joe");
	add_outcome(&log, 3, "0,5", DELIVERED, "expanded");
	add_outcome(&log, 4, "*", TEMPFAIL, "later");
	struct journal all = fold(&log), j;
	journal_fold((struct str){0}, (struct str){0}, &envelope, &j);
	for (struct str rest = buf_view(&log); rest.len > 0;)
		journal_fold_more(&j, str_cut(&rest, '\n'));
	assert_string_equal(children(&j), "alias root b1, 5>address joe b1, 0>address joe");
	assert_string_equal(fates(&j), "sbb--s--");
	assert_int_equal(j.age, all.age);
	for (size_t i = 0; i < j.count; i++) {
		assert_int_equal(j.rcpts[i].fate, all.rcpts[i].fate);
		assert_int_equal(j.rcpts[i].attempts, all.rcpts[i].attempts);
		assert_int_equal(j.rcpts[i].parent, all.rcpts[i].parent);
		assert_true(str_eq(j.rcpts[i].last, all.rcpts[i].last));
	}
	journal_free(&all);
	journal_free(&j);
	buf_free(&log);
}

/* Lines with a right checksum that say what cannot be. */
static void
test_nonsense(void **state)
{
	static const struct {
		const char *event, *rest;
	} bad[] = {
		{"sent", "0 4.0.0 250 x"}, {"sent", "0 5.0.0 250 x"}, {"failed", "0 2.0.0 1 x"},
		{"deferred", "0 9.1.1 450 x"}, {"deferred", "0 4.x.1 450 x"}, {"deferred", "0 4.1.x 450 x"},
		{"mailbox", "2 x 2 3"}, {"mailbox", "2 1 x 3"}, {"mailbox", "2 1 2 x"},
		{"deferred", "0 5.1.1 0 x"}, {"sent", "0 2.0.0 1000 x"}, {"sent", "0 2.0.0"},
		{"sent", "0 2.0 250 x"}, {"sent", "0"}, {"sent", ""}, {"sent", "5 2.0.0 250 x"},
		{"sent", "0-5 2.0.0 250 x"}, {"sent", "2-1 2.0.0 250 x"},
		{"sent", "1,0 2.0.0 250 x"}, {"sent", "0,0 2.0.0 250 x"},
		{"sent", "0-2,2 2.0.0 250 x"}, {"sent", "0, 2.0.0 250 x"},
		{"sent", ",0 2.0.0 250 x"}, {"sent", "0- 2.0.0 250 x"},
		{"sent", "-0 2.0.0 250 x"}, {"sent", "*,0 2.0.0 250 x"},
		{"sent", "99999999999999999999 2.0.0 250 x"}, {"sent", " 2.0.0 250 x"},
		{"Sent", "0 2.0.0 250 x"}, {"", "0 2.0.0 250 x"}, {"sen", "0 2.0.0 250 x"},
		{"facts", "0 1 a@b c"}, {"facts", "* x a@b c"}, {"facts", "* 1 a@b"},
		{"facts", "* 1 a@b c d"}, {"facts", "* 1 <a@b> c"}, {"facts", "* 1 a@b\r c"},
		{"facts", "* 1  c"}, {"facts", "* -1 a@b c"},
		{"bounce", "* a@b.example"}, {"bounce", "0"}, {"bounce", "0 "},
		{"warning", "0 5 a@b.example"}, {"warning", "* a@b.example"}, {"warning", "* 5 "},
		{"warning", "* -1 a@b.example"}, {"warning", "* 5 <a@b.example>"},
		{"warning", "* 9223372036854775808 a@b.example"},
		{"expand", "0 address"}, {"expand", "0 address "}, {"expand", "5 address a@b"},
		{"expand", "* address a@b"}, {"expand", "0-1 address a@b"}, {"expand", " address a@b"},
		{"expand", "0 Address a@b"}, {"expand", "0  a@b"}, {"expand", "0 addres a@b"},
		{"expand", "0 address 1 a@b"}, {"expand", "0 address |cmd x"}, {"expand", "0 a@b"},
		{"expand", "0 alias-part robot"}, {"expand", "0 alias-part 0 robot"},
		{"expand", "0 alias-part 1"}, {"expand", "0 alias-part 4294967296 robot"},
		{"expand", "0 forward-part -1 joe"}, {"expand", "0 alias :include:/x"},
		{"bounce", "0 <a@b.example>"}, {"bounce", "0 a@b.example\r"},
		{"bounce", "0 a@b.example, c@d.example"}, {"bounce", "7 a@b.example"},
	};
	struct buf log = {0};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		log.len = 0;
		add_event(&log, bad[i].event, bad[i].rest);
		struct journal j = fold(&log);
		if (j.skipped != 1 || strcmp(fates(&j), "-----") != 0 || j.has_facts)
			fail_msg("believed: %s %s", bad[i].event, bad[i].rest);
		journal_free(&j);
	}
	log.len = 0;
	add_line(&log, "sent 1 2 3 1 0 2.0.0 250 x");
	add_line(&log, "sent");
	add_line(&log, "mailbox 0 1 2 3");
	add_line(&log, "");
	buf_puts(&log, "\n\n 00000000\n");
	expect_fates(&log, "-----", 7);
	buf_free(&log);
}

static void
test_torn_and_damaged(void **state)
{
	struct buf log = {0}, cut = {0};

	(void)state;
	add_outcome(&log, 1, "0", DELIVERED, "ok");
	size_t first = log.len;
	add_outcome(&log, 2, "1", DELIVERED, "ok");
	size_t second = log.len;
	add_outcome(&log, 3, "2", DELIVERED, "ok");

	/* Cut anywhere in the second line, the first and what follows count; without only
	 * its LF it is whole. */
	for (size_t n = first; n < second; n++) {
		cut.len = 0;
		buf_str(&cut, str_upto(buf_view(&log), n));
		expect_fates(&cut, n == second - 1 ? "ss---" : "s----",
			     n > first && n < second - 1);
		buf_putc(&cut, '\n');
		buf_str(&cut, buf_tail(&log, second));
		expect_fates(&cut, n == second - 1 ? "sss--" : "s-s--", n < second - 1);
	}
	/* One bad byte costs its line, two lines where it was the LF between them. */
	for (size_t n = first; n < second; n++) {
		log.ptr[n] ^= 1;
		expect_fates(&log, n == second - 1 ? "s----" : "s-s--", 1);
		log.ptr[n] ^= 1;
	}
	expect_fates(&log, "sss--", 0);
	buf_free(&log);
	buf_free(&cut);
}

static void
test_long_lines(void **state)
{
	struct buf log = {0}, content = {0};

	(void)state;
	buf_puts(&content, "sent 1 2 0000000000000003 1 0 2.0.0 250 ");
	while (content.len < LIMIT_JOURNAL_LINE - 10)
		buf_putc(&content, 'x');
	add_line(&log, buf_cstr(&content));
	assert_int_equal(log.len, LIMIT_JOURNAL_LINE);
	expect_fates(&log, "s----", 0);
	buf_putc(&content, 'x');
	log.len = 0;
	add_line(&log, buf_cstr(&content));
	expect_fates(&log, "-----", 1);
	buf_free(&log);
	buf_free(&content);
}

static void
test_deferral_is_short(void **state)
{
	struct stamp now = at(1);
	struct outcome o = {.verdict = TEMPFAIL, .code = 451};
	struct buf log = {0};

	(void)state;
	memset(o.text, 'x', sizeof o.text - 1);
	journal_print_outcome(&unbound, &now, STR("0,2-4"), &o, &log);
	assert_int_equal(log.len, LIMIT_DEFERRAL_LINE);
	expect_fates(&log, "-----", 0);

	/* Cut between words, */
	struct buf words = {0};
	buf_puts(&words, "the words before it");
	while (words.len < 100)
		buf_puts(&words, " and on");
	size_t kept = words.len;
	buf_putc(&words, ' ');
	while (words.len < sizeof o.text - 1)
		buf_putc(&words, 'f');
	memcpy(o.text, words.ptr, words.len);
	log.len = 0;
	journal_print_outcome(&unbound, &now, STR("0"), &o, &log);
	struct journal cut = fold(&log);
	words.len = kept;
	buf_puts(&words, "...");
	assert_string_equal(journal_outcome(&cut.rcpts[0]).text, buf_cstr(&words));
	journal_free(&cut);
	buf_free(&words);

	/* and of one long word, between characters. */
	for (size_t shift = 0; shift < 3; shift++) {
		for (size_t i = 0; i + 1 < sizeof o.text; i++)
			o.text[i] = i < shift ? 'x' : "\xe2\x82\xac"[(i - shift) % 3];
		log.len = 0;
		journal_print_outcome(&unbound, &now, STR("0"), &o, &log);
		assert_in_range(log.len, LIMIT_DEFERRAL_LINE - 2, LIMIT_DEFERRAL_LINE);
		assert_memory_equal(log.ptr + log.len - 14, "\xac... ", 5);
	}

	/* Final verdicts keep theirs, on one line. */
	o = outcome_make(PERMFAIL, 1, 1, "no");
	memcpy(o.text, "a\nb\rc", 6);
	log.len = 0;
	journal_print_outcome(&unbound, &now, STR("*"), &o, &log);
	expect_fates(&log, "fffff", 0);
	struct journal j = fold(&log);
	assert_true(str_eq(j.rcpts[0].last, STR("5.1.1 0 a?b?c")));
	journal_free(&j);

	/* The set is never cut. */
	struct buf set = {0};
	for (unsigned i = 0; i < 200; i += 2)
		buf_print(&set, "%s%u", i ? "," : "", i);
	o = outcome_make(TEMPFAIL, 4, 1, "words");
	log.len = 0;
	journal_print_outcome(&unbound, &now, buf_view(&set), &o, &log);
	assert_non_null(strstr(buf_cstr(&log), ",196,198 4.4.1 0 "));
	assert_null(strstr(buf_cstr(&log), "words"));
	buf_free(&set);
	buf_free(&log);
}

/* Thousands of recipients of which every other failed: several lines, no index lost. */
static void
test_many(void **state)
{
	enum { MANY = 10000 };
	struct envelope many = envelope;
	struct envelope_rcpt *list = calloc(MANY, sizeof *list);
	unsigned char *mark = calloc(MANY, 1);
	struct buf set = {0}, log = {0};
	struct outcome o = outcome_make(PERMFAIL, 1, 1, "no such user");
	struct stamp now = at(1);
	struct journal j;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		list[i] = rcpts[1];
	many.rcpts = list;
	many.rcpt_count = MANY;
	journal_fold((struct str){0}, (struct str){0}, &many, &j);
	for (size_t i = 0; i < MANY; i += 2)
		mark[i] = 1;
	journal_print_set(&j, mark, true, &set);
	journal_print_outcome(&unbound, &now, buf_view(&set), &o, &log);
	journal_print_bounce(&unbound, &now, buf_view(&set), STR("alice@router.example"), &log);
	journal_free(&j);
	journal_fold(buf_view(&log), (struct str){0}, &many, &j);
	assert_int_equal(j.skipped, 0);
	assert_int_equal(journal_owed(&j), 0);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(j.rcpts[i].fate, i % 2 ? JOURNAL_PENDING : JOURNAL_FAILED);
		assert_int_equal(j.rcpts[i].reported, i % 2 == 0);
	}
	assert_int_equal(j.count - MANY, set.len / (LIMIT_JOURNAL_LINE - LIMIT_ADDRESS - 128) + 1);
	journal_free(&j);
	free(list);
	free(mark);
	buf_free(&set);
	buf_free(&log);
}

/* One that is expanded to thousands, twice, with a verdict for each as it comes: no look at
 * each for each. */
static void
test_many_expanded(void **state)
{
	enum { MANY = 10000 };
	struct buf log = {0}, address = {0}, set = {0};
	struct journal j;
	clock_t start = clock();

	(void)state;
	for (unsigned i = 0; i < 2 * MANY; i++) {
		address.len = 0;
		buf_print(&address, "u%u@x.example", i % MANY);
		add_expand(&log, 1, 0, i % 3 ? JOURNAL_ADDRESS : JOURNAL_ALIAS_PART,
			   i % 3 ? 0 : i % MANY + 1, i % 3 ? buf_cstr(&address) : "robot");
	}
	add_outcome(&log, 1, "0", DELIVERED, "expanded");
	journal_fold(buf_view(&log), (struct str){0}, &envelope, &j);
	/* 2 * MANY is not divisible by 3: the second time other kinds come for a third each. */
	size_t count = j.count;
	assert_in_range(count, MANY + 5, 2 * MANY + 5);
	struct buf *lines = calloc(count, sizeof *lines);
	for (size_t i = 1; i < count; i++) {
		set.len = 0;
		buf_print(&set, "%zu", i);
		add_outcome(&lines[i], 2, buf_cstr(&set), i % 2 ? PERMFAIL : DELIVERED, "said");
		journal_fold_more(&j, buf_view(&lines[i]));
	}
	assert_int_equal(journal_pending(&j), 0);
	assert_int_equal(journal_owed(&j), count / 2);
	assert_int_equal(j.skipped, 0);
	assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
	journal_free(&j);
	for (size_t i = 1; i < count; i++)
		buf_free(&lines[i]);
	free(lines);
	buf_free(&log);
	buf_free(&address);
	buf_free(&set);
}

static void
test_sets(void **state)
{
	static const struct {
		const char *marks, *set;
	} sets[] = {
		{"10000", "0"}, {"00001", "4"}, {"10111", "0,2-4"}, {"11111", "0-4"},
		{"10101", "0,2,4"}, {"11011", "0-1,3-4"}, {"01110", "*"}, {"01100", "1-2"},
	};
	struct buf log = {0}, out = {0};
	unsigned char mark[5], back[5];

	(void)state;
	add_outcome(&log, 1, "0", DELIVERED, "ok");
	add_outcome(&log, 1, "4", PERMFAIL, "no");
	struct journal j = fold(&log);
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		for (size_t k = 0; k < 5; k++)
			mark[k] = sets[i].marks[k] == '1';
		out.len = 0;
		journal_print_set(&j, mark, true, &out);
		assert_string_equal(buf_cstr(&out), sets[i].set);
		memset(back, 0xff, sizeof back);
		assert_int_equal(journal_parse_set(buf_view(&out), &j, back), 0);
		assert_memory_equal(mark, back, 5);
	}
	assert_int_equal(journal_parse_set(STR("3-5"), &j, back), -1);
	assert_int_equal(journal_parse_set(STR(""), &j, back), -1);
	journal_free(&j);
	buf_free(&log);
	buf_free(&out);
}

static void
defer_at(struct buf *log, struct stamp when)
{
	struct outcome o = outcome_make(TEMPFAIL, 4, 1, "x");

	journal_print_outcome(&unbound, &when, STR("*"), &o, log);
}

static int64_t
age_after(const struct stamp *events, size_t count)
{
	struct envelope e = envelope;
	struct buf log = {0};
	struct journal j;

	e.arrived = events[0];
	for (size_t i = 1; i < count; i++)
		defer_at(&log, events[i]);
	journal_fold(buf_view(&log), (struct str){0}, &e, &j);
	assert_int_equal(j.skipped, 0);
	int64_t age = j.age;
	journal_free(&j);

	/* To ask beforehand how old it will be is the same as to write it down. */
	log.len = 0;
	for (size_t i = 1; i + 1 < count; i++)
		defer_at(&log, events[i]);
	journal_fold(buf_view(&log), (struct str){0}, &e, &j);
	assert_int_equal(journal_age(&j, &events[count - 1]), age);
	journal_free(&j);
	buf_free(&log);
	return age;
}
#define AGE(...) age_after((struct stamp[]){__VA_ARGS__}, \
			   sizeof((struct stamp[]){__VA_ARGS__}) / sizeof(struct stamp))

static void
test_age(void **state)
{
	const int64_t now = 1795341234, hour = 3600, day = 24 * hour, year = 365 * day;

	(void)state;
	/* Within a boot the wall clock does not matter. */
	assert_int_equal(AGE({0, 5000, 1, 0}, {now, 65000, 1, 1}), 60);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now - 3 * day, 65000, 1, 1}), 60);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 56 * year, 65000, 1, 1}), 60);
	assert_int_equal(AGE({0, 5000, 1, 0}, {9, 6000, 1, 0}, {now, 65000, 1, 1}), 60);
	/* Across boots it does, where it can be believed, but not before the next. */
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + hour, 100, 2, 1}), 0);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + hour, 100, 2, 1},
			     {now + hour, 100, 3, 1}), hour);
	assert_int_equal(AGE({now, 5000, 1, 1}, {60, 100, 2, 0}, {70, 10100, 2, 0}), 10);
	assert_int_equal(AGE({now, 5000, 1, 1}, {60, 100, 2, 0}, {now + hour, 9100, 2, 1},
			     {now + hour, 100, 3, 1}), hour);
	assert_int_equal(AGE({0, 5000, 1, 0}, {now, 100, 2, 1}, {now + 9, 9100, 2, 1}), 9);
	assert_int_equal(AGE({0, 5000, 1, 0}, {now, 65000, 1, 1}, {now + hour, 100, 2, 1},
			     {now + hour, 100, 3, 1}), hour + 60);
	/* A boot's own time, too, before the first look at the message. */
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + hour, 600000, 2, 1}), 600);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + hour, 600000, 2, 1},
			     {now + hour, 100, 3, 1}), hour);
	/* Of each time a day at most. */
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 30 * day, 100, 2, 1},
			     {now + 30 * day, 100, 3, 1}), day);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 30 * day, 100, 2, 1},
			     {now + 30 * day + hour, 100, 3, 1},
			     {now + 33 * day, 100, 4, 1}, {now + 33 * day, 100, 5, 1}),
			 2 * day + hour);
	/* A clock that was slow or ahead at arrival and right before the boot ended. */
	assert_int_equal(AGE({now - year, 5000, 1, 1}, {now, 65000, 1, 1},
			     {now + hour, 100, 2, 1}, {now + hour, 100, 3, 1}), hour + 60);
	assert_int_equal(AGE({now + 56 * year, 5000, 1, 1}, {now, 65000, 1, 1},
			     {now + hour, 100, 2, 1}, {now + hour, 100, 3, 1}), hour + 60);
	/* A boot that believed in 2080: neither for as long as it lasts, nor once it is set
	 * right or another one knows better; of several a day. */
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 56 * year, 100000, 2, 1},
			     {now + 56 * year + 4000, 4100000, 2, 1}), 4100);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 56 * year, 100, 2, 1},
			     {now + hour, 60100, 2, 1}, {now + hour, 100, 3, 1}), hour);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 56 * year, 100, 2, 1},
			     {now + hour, 100, 3, 1}), hour);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 56 * year, 100, 2, 1},
			     {now + 56 * year, 100, 3, 1}, {now + 56 * year, 100, 4, 1},
			     {now + 56 * year, 100, 5, 1}), day);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 56 * year, 100, 2, 1},
			     {now + 56 * year, 60100, 2, 1}, {70, 10100, 3, 0}), 70);
	assert_int_equal(AGE({now, 5000, 1, 1}, {now - year, 100, 2, 1},
			     {now + hour, 100, 3, 1}, {now + hour, 100, 4, 1}), hour);
	/* A wall clock that went back across a boot: what the boot clocks saw. */
	assert_int_equal(AGE({now, 5000, 1, 1}, {now + 60, 65000, 1, 1},
			     {now - 3 * day, 100, 2, 1}, {now - 3 * day, 7100, 2, 1}), 67);
	/* No boot id: only the wall clock is left. */
	assert_int_equal(AGE({now, 5000, 0, 1}, {now + 60, 65000, 0, 1},
			     {now + 60, 65000, 0, 1}), 60);
	assert_int_equal(AGE({now, 5000, 0, 1}, {now + 56 * year, 5100, 0, 1},
			     {now + 60, 65000, 0, 1}), 60);
	assert_int_equal(AGE({0, 5000, 0, 0}, {now, 65000, 0, 1}, {now + 5, 70000, 0, 1},
			     {now + 5, 70000, 0, 1}), 5);
	/* Numbers that no clock shows. */
	int64_t far = INT64_MAX / 4;
	assert_true(AGE({-far, -far, 1, 1}, {far, far, 1, 1}, {far, -far, 1, 1},
			{far, far, 1, 1}, {far, far, 2, 1}, {-far, 0, 0, 1}) >= 0);
}

/* The tests' own CRC-32, bit by bit: what a line may change is not judged by the code that
 * judges it. */
static bool
is_checked(struct str line)
{
	uint32_t crc = 0xffffffff, said = 0;

	if (line.len < 9 || line.ptr[line.len - 9] != ' ')
		return false;
	for (size_t i = 0; i < line.len - 9; i++) {
		crc ^= (unsigned char)line.ptr[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	for (size_t i = line.len - 8; i < line.len; i++) {
		char c = line.ptr[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		said = said << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return said == ~crc;
}

/* Does a line with a right checksum say that somebody was sent to? */
static bool
says_sent(struct str text)
{
	while (text.len > 0) {
		struct str line = str_cut(&text, '\n');
		if (str_starts(line, STR("sent ")) && is_checked(line))
			return true;
	}
	return false;
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void
mutate(struct buf *text, uint32_t *seed)
{
	static const char favourites[] = "\n 0*,-9f\0\xff";
	size_t where = next_random(seed) % text->len, len = next_random(seed) % 40;
	size_t other = next_random(seed) % text->len;

	switch (next_random(seed) % 5) {
	case 0:
		text->ptr[where] = (char)next_random(seed);
		break;
	case 1:
		text->ptr[where] = favourites[next_random(seed) % sizeof favourites];
		break;
	case 2: /* a piece goes */
		len = len < text->len - where ? len : text->len - where - 1;
		memmove(text->ptr + where, text->ptr + where + len, text->len - where - len);
		text->len -= len;
		break;
	case 3: /* a piece comes twice */
		len = len < text->len - where ? len : text->len - where;
		len = len < text->len - other ? len : text->len - other;
		memmove(text->ptr + where, text->ptr + other, len);
		break;
	case 4:
		text->len = where + 1;
		break;
	}
}

static void
tell_words(void *ctx, const struct journal_rcpt *r)
{
	buf_print(ctx, "%.*s %u %.*s|", STR_ARG(r->address), (unsigned)r->fate, STR_ARG(r->last));
}

/* What the last recipient is told of. */
static const char *
told(const struct journal *j, struct buf *out)
{
	out->len = 0;
	journal_visit_told(j, &j->rcpts[j->count - 1], tell_words, out);
	return buf_cstr(out);
}

/* Once, of those that wait and are asked for; what happens later changes nothing of it. */
static void
test_warning(void **state)
{
	static const struct envelope_rcpt some[] = {
		{.address = {"a@x", 3}},
		{.address = {"b@x", 3}, .notify.asks = NOTIFY_DELAY | NOTIFY_SUCCESS},
		{.address = {"c@x", 3}, .notify.asks = NOTIFY_FAILURE},
		{.address = {"d@x", 3}, .notify.asks = NOTIFY_NEVER},
		{.address = {"e@x", 3}},
	};
	static const char want[] = "a@x 0 4.4.1 451 first|b@x 0 4.4.1 451 first|";
	struct envelope e = envelope;
	struct stamp now = at(20000), again = at(40000);
	struct buf log = {0}, out = {0};
	struct journal j;

	(void)state;
	e.rcpts = some;
	add_outcome(&log, 1, "4", DELIVERED, "ok");
	add_outcome(&log, 2, "*", TEMPFAIL, "first");
	journal_fold(buf_view(&log), (struct str){0}, &e, &j);
	assert_true(journal_may_warn(&j));
	assert_true(journal_warns_of(&j.rcpts[0]) && journal_warns_of(&j.rcpts[1]));
	assert_false(journal_warns_of(&j.rcpts[2]) || journal_warns_of(&j.rcpts[3]) ||
		     journal_warns_of(&j.rcpts[4]));
	journal_free(&j);

	size_t start = log.len;
	journal_print_warning(&unbound, &now, 1795773234, STR("alice@router.example"), &log);
	assert_true(str_starts(buf_tail(&log, start), STR("warning 1795361234 20100000 "
		"0000000000000007 1 * 1795773234 alice@router.example ")));
	journal_fold(buf_view(&log), (struct str){0}, &e, &j);
	assert_int_equal(j.skipped, 0);
	assert_int_equal(j.count, 6);
	assert_int_equal(j.give_up, 1795773234);
	assert_false(journal_may_warn(&j) || journal_warns_of(&j.rcpts[5]));
	assert_int_equal(journal_news(&j, &j.rcpts[5]), JOURNAL_DELAY);
	assert_string_equal(told(&j, &out), want);
	struct stamp later = at(20060);
	assert_int_equal(journal_age(&j, &later), 20060);
	assert_int_equal(journal_rcpt_age(&j, &j.rcpts[5], &later), 60);
	journal_free(&j);

	add_outcome(&log, 30000, "*", TEMPFAIL, "second");
	journal_print_warning(&unbound, &again, 1, STR("bob"), &log);
	add_outcome(&log, 50000, "0-2", PERMFAIL, "third");
	journal_fold(buf_view(&log), (struct str){0}, &e, &j);
	assert_int_equal(j.skipped, 0);
	assert_int_equal(j.count, 6);
	assert_string_equal(told(&j, &out), want);
	/* The failures are a bounce's to tell; that the warning fails is nobody's. */
	assert_int_equal(journal_owed(&j), 2);
	journal_free(&j);
	add_outcome(&log, 50001, "5", PERMFAIL, "no");
	add_bounce(&log, 50002, "0,2", "alice@router.example");
	journal_fold(buf_view(&log), (struct str){0}, &e, &j);
	assert_int_equal(journal_owed(&j), 0);
	assert_int_equal(journal_news(&j, &j.rcpts[6]), JOURNAL_FAILURE);
	assert_string_equal(told(&j, &out), "a@x 2 5.4.1 550 third|c@x 2 5.4.1 550 third|");
	journal_free(&j);

	/* No sender: nobody to warn. */
	e.sender = STR("");
	journal_fold((struct str){0}, (struct str){0}, &e, &j);
	assert_false(journal_may_warn(&j));
	journal_free(&j);
	buf_free(&log);
	buf_free(&out);
}

static bool
says_held(struct buf *log)
{
	struct journal j;

	journal_fold(buf_view(log), (struct str){0}, &envelope, &j);
	assert_int_equal(j.skipped, 0);
	bool held = j.held;
	journal_free(&j);
	return held;
}

static void
test_held(void **state)
{
	struct stamp now = at(60);
	struct buf log = {0};
	struct journal j;

	(void)state;
	assert_false(says_held(&log));
	add_outcome(&log, 1, "*", PERMFAIL, "no");
	journal_print_held(&unbound, &now, true, &log);
	assert_true(says_held(&log));
	journal_print_held(&unbound, &now, false, &log);
	assert_false(says_held(&log));
	journal_print_held(&unbound, &now, true, &log);
	assert_true(says_held(&log));
	/* Somebody else did something to it. */
	add_bounce(&log, 70, "2-3", "alice@router.example");
	assert_false(says_held(&log));
	log.len = 0;
	add_event(&log, "held", "0");
	add_event(&log, "held", "* x");
	add_event(&log, "released", "");
	journal_fold(buf_view(&log), (struct str){0}, &envelope, &j);
	assert_int_equal(j.skipped, 3);
	assert_false(j.held);
	journal_free(&j);
	buf_free(&log);
}

/* Whatever happens to a journal, nobody pending becomes "sent" but by a whole line. */
static void
test_mutations(void **state)
{
	struct buf good = {0}, text = {0}, words = {0};
	uint32_t seed = 20240229;
	struct stamp now = at(1);

	(void)state;
	journal_print_facts(&unbound, &now, 1, STR("a@b"), STR("c"), &good);
	journal_print_mailbox(&unbound, &now, 0, 1, 2, 3, &good);
	add_outcome(&good, 1, "*", TEMPFAIL, "sent 0 2.0.0");
	add_outcome(&good, 2, "2-3", PERMFAIL, "no");
	add_bounce(&good, 3, "2-3", "alice@router.example");
	add_expand(&good, 3, 5, JOURNAL_ADDRESS, 0, "ann");
	add_expand(&good, 3, 1, JOURNAL_ALIAS_PART, 1, "robot");
	journal_print_warning(&unbound, &now, 7, STR("alice@router.example"), &good);
	journal_print_held(&unbound, &now, true, &good);
	journal_print_held(&unbound, &now, false, &good);
	size_t unsent = good.len;
	add_outcome(&good, 4, "0", DELIVERED, "ok");
	add_outcome(&good, 5, "*", DELIVERED, "ok");

	for (unsigned round = 0; round < 20000; round++) {
		text.len = 0;
		buf_str(&text, str_upto(buf_view(&good), round % 2 ? unsent : good.len));
		for (unsigned n = next_random(&seed) % 4; n < 4; n++)
			mutate(&text, &seed);
		char *exact = malloc(text.len);
		memcpy(exact, text.ptr, text.len);
		struct str bytes = {exact, text.len};
		struct journal j;
		journal_fold(bytes, (struct str){0}, &envelope, &j);
		bool sent = strchr(fates(&j), 's') != NULL;
		assert_true(!sent || says_sent(bytes));
		assert_true(j.count >= 5 && journal_pending(&j) <= j.count);
		for (size_t i = 0; i < j.count; i++)
			assert_true(j.rcpts[i].parent <= i && j.rcpts[i].bounce <= j.bounce_count);
		words.len = 0;
		for (size_t i = 0; i < j.count; i++)
			if (j.rcpts[i].bounce)
				journal_visit_told(&j, &j.rcpts[i], tell_words, &words);
		for (size_t i = 0; i < j.count; i++)
			assert_true(journal_outcome(&j.rcpts[i]).verdict == TEMPFAIL ||
				    j.rcpts[i].fate != JOURNAL_PENDING);
		journal_free(&j);
		free(exact);
	}
	buf_free(&good);
	buf_free(&text);
	buf_free(&words);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_final_is_final),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_expansions),
		cmocka_unit_test(test_wishes),
		cmocka_unit_test(test_torn_expansion),
		cmocka_unit_test(test_ancestors),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_torn_and_damaged),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_deferral_is_short),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_many_expanded),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_warning),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
