/* SPDX-License-Identifier: ISC */
#include "codec.h"
#include "dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define ID "0e5vq3kg2ab9c1de"
#define BOUNDARY "=_" ID ".1"

static const struct stamp arrived = {1795341234, 1000, 7, true};
static const struct stamp later = {1795341234 + 432000, 432001000, 7, true};

/* Of a message without an id. */
static const struct journal unbound = {0};

static const struct envelope_rcpt rcpts[] = {
	{.address = {"bob@mail.example", 16}},
	{.address = {"carol", 5}},
	{.address = {"j\303\274rgen@mail.example", 20}},
};

/* A message that failed: its envelope, journal and report. */
struct failed {
	struct envelope e;
	struct journal j;
	struct buf log, out;
	struct dsn d;
};

static void
setup(struct failed *f)
{
	*f = (struct failed){
		.e = {
			.header = {.present = true},
			.arrived = arrived,
			.sender = STR("alice"),
			.rcpts = rcpts,
			.rcpt_count = sizeof rcpts / sizeof rcpts[0],
		},
		.d = {.id = STR(ID), .host = STR("router.example"), .date = 1795341234},
	};
}

static void
refuse(struct failed *f, const char *set, struct outcome o)
{
	journal_print_outcome(&unbound, &later, str_of(set), &o, &f->log);
}

/* Bounces set and renders head, original and tail. */
static const char *
render(struct failed *f, const char *set, const char *original)
{
	journal_print_bounce(&unbound, &later, str_of(set), STR("alice"), &f->log);
	journal_fold(buf_view(&f->log), (struct str){0}, &f->e, &f->j);
	assert_int_equal(f->j.skipped, 0);
	f->d.envelope = &f->e;
	f->d.journal = &f->j;
	f->d.bounce = f->j.count - 1;
	dsn_render_head(&f->d, &f->out);
	buf_puts(&f->out, original);
	dsn_render_tail(&f->d, &f->out);
	return buf_cstr(&f->out);
}

/* The same after the bounce has been expanded, in two steps, for the last of those to whom it
 * led. */
static const char *
render_expanded(struct failed *f)
{
	journal_print_expand(&unbound, &later, 3, JOURNAL_ALIAS, 0, STR("staff"), &f->log);
	journal_print_expand(&unbound, &later, 4, JOURNAL_ADDRESS, 0, STR("me@x.example"), &f->log);
	journal_free(&f->j);
	journal_fold(buf_view(&f->log), (struct str){0}, &f->e, &f->j);
	assert_int_equal(f->j.skipped, 0);
	f->d.bounce = f->j.count - 1;
	assert_true(str_eq(f->j.rcpts[f->d.bounce].address, STR("me@x.example")));
	f->out.len = 0;
	dsn_render_head(&f->d, &f->out);
	dsn_render_tail(&f->d, &f->out);
	return buf_cstr(&f->out);
}

static void
teardown(struct failed *f)
{
	journal_free(&f->j);
	buf_free(&f->log);
	buf_free(&f->out);
}

/* Whoever the bounce's recipient stands for is sent the same bytes. */
static void
test_expanded(void **state)
{
	struct failed f;
	struct buf first = {0};

	(void)state;
	setup(&f);
	refuse(&f, "1", outcome_make(PERMFAIL, 2, 0, "no"));
	buf_puts(&first, render(&f, "1", ""));
	assert_non_null(strstr(buf_cstr(&first), "\nTo: alice@router.example\n"));
	assert_string_equal(render_expanded(&f), buf_cstr(&first));
	buf_free(&first);
	teardown(&f);
}

static void
test_whole_report(void **state)
{
	struct failed f;

	(void)state;
	setup(&f);
	f.d.header = STR("Subject: x\nMessage-Id:\n <orig@a.example>\nTo: b\n");
	refuse(&f, "0", outcome_from_reply(550, STR("5.1.1 No such user here")));
	refuse(&f, "1", outcome_make(PERMFAIL, 2, 0, "cannot open mailbox"));
	assert_string_equal(render(&f, "0-1", "Subject: x\nTo: b\n"),
		"Received: by router.example (mtabox) id " ID ".bounce1;\n"
		"\tSun, 22 Nov 2026 09:53:54 +0000\n"
		"From: Mail Delivery System <MAILER-DAEMON@router.example>\n"
		"To: alice@router.example\n"
		"Subject: Undelivered Mail Returned to Sender\n"
		"Date: Sun, 22 Nov 2026 09:53:54 +0000\n"
		"Message-ID: <" ID ".bounce1@router.example>\n"
		"In-Reply-To: <orig@a.example>\n"
		"References: <orig@a.example>\n"
		"Auto-Submitted: auto-replied\n"
		"MIME-Version: 1.0\n"
		"Content-Type: multipart/report; report-type=delivery-status;\n"
		"\tboundary=\"" BOUNDARY "\"\n"
		"\n"
		"This is a report in MIME format.\n"
		"\n"
		"--" BOUNDARY "\n"
		"Content-Description: Notification\n"
		"Content-Type: text/plain; charset=us-ascii\n"
		"\n"
		"This is the mail system at router.example.\n"
		"\n"
		"Your message could not be delivered to the recipients below.\n"
		"Its header is attached.\n"
		"\n"
		"<bob@mail.example>\n"
		"    The mail server said: 550 No such user here\n"
		"\n"
		"<carol@router.example>\n"
		"    cannot open mailbox\n"
		"\n"
		"\n"
		"--" BOUNDARY "\n"
		"Content-Description: Delivery report\n"
		"Content-Type: message/delivery-status\n"
		"\n"
		"Reporting-MTA: dns; router.example\n"
		"X-mtabox-Queue-ID: " ID "\n"
		"Arrival-Date: Sun, 22 Nov 2026 09:53:54 +0000\n"
		"\n"
		"Final-Recipient: rfc822; bob@mail.example\n"
		"Action: failed\n"
		"Status: 5.1.1\n"
		"Diagnostic-Code: smtp; 550 No such user here\n"
		"Last-Attempt-Date: Fri, 27 Nov 2026 09:53:54 +0000\n"
		"\n"
		"Final-Recipient: rfc822; carol@router.example\n"
		"Action: failed\n"
		"Status: 5.2.0\n"
		"Diagnostic-Code: x-mtabox; cannot open mailbox\n"
		"Last-Attempt-Date: Fri, 27 Nov 2026 09:53:54 +0000\n"
		"\n"
		"--" BOUNDARY "\n"
		"Content-Description: Original message header\n"
		"Content-Type: text/rfc822-headers\n"
		"\n"
		"Subject: x\n"
		"To: b\n"
		"\n"
		"--" BOUNDARY "--\n");
	teardown(&f);
}

static void
test_utf8_recipient(void **state)
{
	struct failed f;

	(void)state;
	setup(&f);
	f.d.full = f.d.eightbit = true;
	refuse(&f, "2", outcome_make(PERMFAIL, 1, 1, "unknown"));
	const char *text = render(&f, "2", "Subject: x\n\nb\n");
	assert_non_null(strstr(text, ".1\"\nContent-Transfer-Encoding: 8bit\n\n"));
	assert_non_null(strstr(text, "text/plain; charset=utf-8\n"
				     "Content-Transfer-Encoding: 8bit\n\n"));
	assert_non_null(strstr(text, "message/global-delivery-status\n"
				     "Content-Transfer-Encoding: 8bit\n\n"));
	assert_non_null(strstr(text, "\nFinal-Recipient: utf-8; j\303\274rgen@mail.example\n"));
	assert_non_null(strstr(text, "Content-Type: message/rfc822\n"
				     "Content-Transfer-Encoding: 8bit\n\nSubject: x\n\nb\n\n--"));
	assert_null(strstr(text, "carol"));
	teardown(&f);
}

/* A message without a header has none in its report either. */
static void
test_body_alone(void **state)
{
	struct failed f;

	(void)state;
	setup(&f);
	f.d.full = true;
	f.e.header.present = false;
	refuse(&f, "0", outcome_make(PERMFAIL, 1, 1, "unknown"));
	assert_non_null(strstr(render(&f, "0", "Bcc: no field\n"),
			       "Content-Type: message/rfc822\n\n\nBcc: no field\n\n--"));
	teardown(&f);
}

static void
test_expired(void **state)
{
	static const char footer[] = "\nDelivery was tried for 5d and has been given up.\n";
	struct failed f;

	(void)state;
	setup(&f);
	refuse(&f, "0", outcome_make(PERMFAIL, 4, 7, "expired: connection refused"));
	refuse(&f, "1", outcome_make(PERMFAIL, 2, 0, "other"));
	assert_non_null(strstr(render(&f, "0-1", ""), footer));
	assert_non_null(strstr(f.out.ptr, "\nStatus: 5.4.7\n"));
	teardown(&f);

	setup(&f);
	refuse(&f, "1", outcome_make(PERMFAIL, 2, 0, "other"));
	assert_null(strstr(render(&f, "1", ""), "given up"));
	teardown(&f);

	/* Clocks that cannot be believed say nothing: no date, no length of time. */
	setup(&f);
	f.e.arrived.believable = false;
	f.e.arrived.boot_id = 0;
	refuse(&f, "0", outcome_make(PERMFAIL, 4, 7, "expired"));
	assert_null(strstr(render(&f, "0", ""), "given up"));
	assert_null(strstr(f.out.ptr, "Arrival-Date"));
	assert_non_null(strstr(f.out.ptr, "Last-Attempt-Date"));
	teardown(&f);
}

/* Later events of the message do not change what its report says. */
static void
test_same_bytes_at_each_attempt(void **state)
{
	struct stamp much_later = {later.wall + 86400, later.boot + 86400000, 7, true};
	struct outcome busy = outcome_make(TEMPFAIL, 4, 1, "busy");
	struct buf again = {0};
	struct failed f;

	(void)state;
	setup(&f);
	refuse(&f, "0", outcome_make(PERMFAIL, 4, 7, "expired"));
	render(&f, "0", "");
	journal_print_outcome(&unbound, &much_later, STR("*"), &busy, &f.log);
	journal_free(&f.j);
	journal_fold(buf_view(&f.log), (struct str){0}, &f.e, &f.j);
	dsn_render_head(&f.d, &again);
	dsn_render_tail(&f.d, &again);
	assert_true(str_eq(buf_view(&again), buf_view(&f.out)));
	buf_free(&again);
	teardown(&f);
}

/* No line too long for SMTP, no control character but LF and the tab of a folded line. */
static void
expect_clean(struct str text)
{
	while (text.len > 0) {
		struct str line = str_cut(&text, '\n');
		assert_true(line.len <= LIMIT_WIRE_LINE);
		for (size_t i = 0; i < line.len; i++)
			if (str_is_control(line.ptr[i]))
				assert_true(i == 0 && line.ptr[i] == '\t');
	}
}

static void
test_server_text_makes_no_fields(void **state)
{
	static const char *const texts[] = {
		"no\r\nBcc: victim@example\r\n\r\nbody",
		"no\n--" BOUNDARY "\nContent-Type: text/html\n\n<script>",
		"\n\nFinal-Recipient: rfc822; other@example\nAction: delivered",
		"bell\a esc\033[2J \177 tab\t csi\302\2332J",
	};
	struct failed f;
	char huge[3000];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		setup(&f);
		refuse(&f, "0", outcome_from_reply(550, str_of(texts[i])));
		const char *text = render(&f, "0", "");
		expect_clean(buf_view(&f.out));
		assert_null(strstr(text, "\nBcc:"));
		assert_null(strstr(text, "\nContent-Type: text/html"));
		assert_null(strstr(text, "other@example\n"));
		assert_null(strstr(text, "\nAction: delivered"));
		assert_null(strstr(text, "\302\233"));
		size_t parts = 0;
		while ((text = strstr(text, "\n--" BOUNDARY)))
			text++, parts++;
		assert_int_equal(parts, 4);
		teardown(&f);
	}
	setup(&f);
	memset(huge, 'x', sizeof huge);
	refuse(&f, "0", outcome_from_reply(550, (struct str){huge, sizeof huge}));
	render(&f, "0", "");
	expect_clean(buf_view(&f.out));
	teardown(&f);
}

/* Words that no outcome_make has seen: a journal written by somebody else. */
static void
test_foreign_journal(void **state)
{
	struct failed f;

	(void)state;
	setup(&f);
	buf_puts(&f.log, "failed ");
	stamp_print(&later, &f.log);
	buf_puts(&f.log, " 0 5.1.1 550 a\r\033b\302\233");
	buf_print(&f.log, " %08x\n", (unsigned)codec_crc32(0, buf_view(&f.log)));
	assert_non_null(strstr(render(&f, "0", ""), "\nDiagnostic-Code: smtp; 550 a??b??\n"));
	expect_clean(buf_view(&f.out));
	teardown(&f);
}

static void
test_original_id_is_checked(void **state)
{
	static const struct {
		const char *header;
		bool taken;
	} cases[] = {
		{"message-ID: <a@b>\n", true},
		{"X: y\nMessage-ID:<a@b>  \n", true},
		{"Message-ID:\n\t<a@b>\n", true},
		{"", false},
		{"X-Message-ID: <a@b>\n", false},
		{"X: y\n Message-ID: <a@b>\n", false},
		{"X: y\n\nMessage-ID: <a@b>\n", false},
		{"Message-ID: a@b\n", false},
		{"Message-ID: <a@b> <c@d>\n", false},
		{"Message-ID: <a b>\n", false},
		{"Message-ID: <a\033@b>\n", false},
		{"Message-ID: <a\303\274@b>\n", false},
		{"Message-ID: <>\n", false},
		{"Message-ID:\n", false},
		{"Message-ID:", false},
	};
	struct failed f;
	char huge[2000];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		setup(&f);
		f.d.header = str_of(cases[i].header);
		refuse(&f, "0", outcome_make(PERMFAIL, 1, 1, "unknown"));
		bool taken = strstr(render(&f, "0", ""), "\nReferences: <a@b>\n");
		assert_int_equal(taken, cases[i].taken);
		if (!taken)
			assert_null(strstr(f.out.ptr, "\nReferences:"));
		teardown(&f);
	}
	memset(huge, 'x', sizeof huge);
	memcpy(huge, "Message-ID: <", 13);
	memcpy(huge + sizeof huge - 2, ">\n", 2);
	setup(&f);
	f.d.header = (struct str){huge, sizeof huge};
	refuse(&f, "0", outcome_make(PERMFAIL, 1, 1, "unknown"));
	assert_null(strstr(render(&f, "0", ""), "\nReferences:"));
	teardown(&f);
}

/* A bounce reports what failed, whatever its line claims to cover. */
static void
test_only_failures_are_reported(void **state)
{
	struct failed f;
	struct outcome sent = outcome_make(DELIVERED, 0, 0, "ok");

	(void)state;
	setup(&f);
	refuse(&f, "0", outcome_make(PERMFAIL, 1, 1, "unknown"));
	journal_print_outcome(&unbound, &later, STR("1"), &sent, &f.log);
	assert_non_null(strstr(render(&f, "0-2", ""), "; bob@mail.example\n"));
	assert_null(strstr(f.out.ptr, "carol"));
	assert_null(strstr(f.out.ptr, "rgen"));
	teardown(&f);
}

/* Late, not lost: with the words of then, whatever came after. */
static void
test_warning(void **state)
{
	static const struct stamp much_later = {1795341234 + 86400, 86401000, 7, true};
	struct stamp now = {1795341234 + 15000, 15001000, 7, true};
	struct failed f;

	(void)state;
	for (int64_t give_up = 0; give_up <= 1795773234; give_up += 1795773234) {
		setup(&f);
		f.d.date = 1795341234 + 15000;
		f.d.header = STR("Message-ID: <a@b>\n");
		struct outcome o = outcome_from_reply(451, STR("4.2.0 grau: \303\274berf\303\274llt"));
		journal_print_outcome(&unbound, &now, STR("0"), &o, &f.log);
		o = outcome_make(DELIVERED, 0, 0, "ok");
		journal_print_outcome(&unbound, &now, STR("1-2"), &o, &f.log);
		journal_print_warning(&unbound, &now, give_up, STR("alice"), &f.log);
		o = outcome_make(TEMPFAIL, 4, 1, "something else");
		journal_print_outcome(&unbound, &much_later, STR("*"), &o, &f.log);
		journal_fold(buf_view(&f.log), (struct str){0}, &f.e, &f.j);
		assert_int_equal(f.j.skipped, 0);
		f.d.envelope = &f.e;
		f.d.journal = &f.j;
		f.d.bounce = 3;
		dsn_render_head(&f.d, &f.out);
		const char *text = buf_cstr(&f.out);
		expect_clean(buf_view(&f.out));
		assert_non_null(strstr(text, "\nSubject: Delayed Mail (still being tried)\n"));
		assert_non_null(strstr(text, "\nReferences: <a@b>\nAuto-Submitted: auto-replied\n"));
		assert_non_null(strstr(text, "charset=utf-8\nContent-Transfer-Encoding: 8bit\n"));
		assert_non_null(strstr(text, "you need not send it once more"));
		assert_non_null(strstr(text, "said: 451 grau: \303\274berf\303\274llt\n"));
		/* For programs plain ASCII, whose type all of them know. */
		assert_non_null(strstr(text, "Content-Type: message/delivery-status\n\n"));
		assert_non_null(strstr(text, "\n\nFinal-Recipient: rfc822; bob@mail.example\n"
			"Action: delayed\nStatus: 4.2.0\n"
			"Diagnostic-Code: smtp; 451 grau: ?berf?llt\n"
			"Last-Attempt-Date: Sun, 22 Nov 2026 14:03:54 +0000\n"));
		if (give_up)
			assert_non_null(strstr(text, "+0000\nWill-Retry-Until: "
						     "Fri, 27 Nov 2026 09:53:54 +0000\n"));
		else
			assert_null(strstr(text, "Will-Retry-Until"));
		assert_null(strstr(text, "something else"));
		assert_null(strstr(text, "carol"));
		teardown(&f);
	}
}

/* What was asked for is told, and what the sender gave comes back: safe. */
static void
test_success(void **state)
{
	static const struct envelope_rcpt asked[] = {
		{.address = {"bob@mail.example", 16},
		 .notify = {NOTIFY_SUCCESS, {"rfc822;b+2Bo+0Ab@x", 18}}},
		{.address = {"carol", 5}, .notify.asks = NOTIFY_SUCCESS},
		{.address = {"staff", 5}, .alias = true, .notify.asks = NOTIFY_SUCCESS},
		{.address = {"dave", 4}},
	};
	struct failed f;

	(void)state;
	setup(&f);
	f.e.rcpts = asked;
	f.e.rcpt_count = 4;
	f.e.notify.id = STR("q+3D1+0D+0Ax");
	refuse(&f, "0", outcome_from_reply(250, STR("2.1.5 taken as 77")));
	refuse(&f, "1", outcome_make(DELIVERED, 0, 0, "delivered to /secret/place"));
	journal_print_expand(&unbound, &later, 2, JOURNAL_ADDRESS, 0, STR("a@x.example"), &f.log);
	journal_print_expand(&unbound, &later, 2, JOURNAL_ADDRESS, 0, STR("b@x.example"), &f.log);
	refuse(&f, "2", outcome_make(DELIVERED, 0, 0, "expanded to 2"));
	refuse(&f, "3", outcome_make(PERMFAIL, 1, 1, "unknown"));
	const char *text = render(&f, "0-2", "");
	assert_non_null(strstr(text, "\nSubject: Successful Mail Delivery Report\n"));
	assert_non_null(strstr(text, "\n\nOriginal-Envelope-Id: q=1??x\nReporting-MTA: "));
	assert_non_null(strstr(text, "<bob@mail.example>\n"
				     "    The mail server said: 250 taken as 77\n\n"
				     "<carol@router.example>\n    delivered\n\n"
				     "<staff@router.example>\n    expanded\n\n"));
	assert_non_null(strstr(text, "\n\nOriginal-Recipient: rfc822; b+o?b@x\n"
				     "Final-Recipient: rfc822; bob@mail.example\n"
				     "Action: relayed\nStatus: 2.1.5\n"
				     "Diagnostic-Code: smtp; 250 taken as 77\n"));
	assert_non_null(strstr(text, "\n\nFinal-Recipient: rfc822; carol@router.example\n"
				     "Action: delivered\nStatus: 2.0.0\n"));
	assert_non_null(strstr(text, "\n\nFinal-Recipient: rfc822; staff@router.example\n"
				     "Action: expanded\nStatus: 2.0.0\n"));
	assert_null(strstr(text, "dave"));
	assert_null(strstr(text, "secret"));
	assert_null(strstr(text, "could not"));
	teardown(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_report),
		cmocka_unit_test(test_expanded),
		cmocka_unit_test(test_utf8_recipient),
		cmocka_unit_test(test_body_alone),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_same_bytes_at_each_attempt),
		cmocka_unit_test(test_server_text_makes_no_fields),
		cmocka_unit_test(test_foreign_journal),
		cmocka_unit_test(test_original_id_is_checked),
		cmocka_unit_test(test_only_failures_are_reported),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
