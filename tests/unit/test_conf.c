/* SPDX-License-Identifier: ISC */
#include "conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* What was complained of: one line "S source:line what" for each, S is F or I. */
static void
note(void *ctx, enum conf_severity severity, const char *source, unsigned line, const char *what)
{
	buf_print(ctx, "%c %s:%u %s\n", severity == CONF_FATAL ? 'F' : 'I', source, line, what);
}

static void
expect_complaints(struct buf *got, const char *want)
{
	assert_string_equal(buf_cstr(got), want);
	buf_free(got);
}

/* c has "name value" with that origin. */
static void
expect(const struct conf *c, const char *want)
{
	struct buf out = {0};

	buf_putc(&out, '\n');
	conf_print(c, &out);
	char line[200] = "\n";
	strncat(line, want, sizeof line - 2);
	if (!strstr(buf_cstr(&out), line))
		fail_msg("no line '%s' in %s", want, out.ptr);
	buf_free(&out);
}

static void
parse(struct conf *c, const char *text, struct buf *complaints)
{
	conf_init(c);
	conf_parse(c, str_of(text), "f", note, complaints);
}

static void
test_defaults(void **state)
{
	static const char *const lines[] = {
		"smarthost \"\"  # default - ",
		"auth_file /etc/mtabox.auth  # default - ",
		"insecure_auth no  # default - ",
		"tls_verify yes  # default - ",
		"tls_ca_file /etc/ssl/certs/ca-certificates.crt  # default - ",
		"tls_clock strict  # default - ",
		"mailname \"\"  # default - ",
		"qualify \"\"  # default - ",
		"masquerade \"\"  # default - ",
		"virtual_users \"\"  # default - ",
		"from_override yes  # default - ",
		"aliases /etc/aliases  # default - ",
		"mailbox /var/mail/%u  # default - ",
		"default_user nobody  # default - ",
		"nullclient no  # default - ",
		"spooldir /var/spool/mtabox  # default - ",
		"defer no  # default - ",
		"workers 4  # default - ",
		"retry_min 1m  # default - ",
		"retry_max 4h  # default - ",
		"queue_lifetime 5d  # default - ",
		"auth_fail_lifetime 5d  # default - ",
		"message_size_limit 50M  # default - ",
		"recipient_limit 10000  # default - ",
		"spool_size_limit 0  # default - ",
		"spool_count_limit 2000  # default - ",
		"spool_min_free 1M  # default - ",
		"connect_timeout 30s  # default - ",
		"command_timeout 10m  # default - ",
		"port 25  # default - ",
	};
	struct conf c;

	(void)state;
	conf_init(&c);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		expect(&c, lines[i]);
	assert_int_equal(c.queue_lifetime, 432000);
	assert_int_equal(c.spool_min_free, 1 << 20);
	assert_true(c.tls_verify);
	assert_int_equal(c.smarthost_count, 0);
	conf_free(&c);
	assert_null(c.origins);
}

static void
test_grammar(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"workers 7", "workers 7  # f:1 "},
		{"workers=7\n", "workers 7  # f:1 "},
		{"\n# comment\n  workers \t =  7  \r\n", "workers 7  # f:3 "},
		{"WORKERS  7 # comment", "workers 7  # f:1 "},
		{"workers 7\nworkers 8\n", "workers 8  # f:2 "},
		{"workers 7\nworkers x\n", "workers 7  # f:1 "},
		{"defer", "defer yes  # f:1 "},
		{"defer # comment", "defer yes  # f:1 "},
		{"defer\r\n", "defer yes  # f:1 "},
		{"fullbounce True", "fullbounce yes  # f:1 "},
		{"fullbounce on\nfullbounce OFF", "fullbounce no  # f:2 "},
		{"fullbounce 1\nfullbounce 0", "fullbounce no  # f:2 "},
		{"log_file /a#b", "log_file /a#b  # f:1 "},
		{"log_file /a #b", "log_file /a  # f:1 "},
		{"log_file = \"/a b\"", "log_file \"/a b\"  # f:1 "},
		{"log_file \"/a #b\" # c", "log_file \"/a #b\"  # f:1 "},
		{"log_file \"/a\\\"\\\\\\b c\"", "log_file \"/a\\\"\\\\\\\\b c\"  # f:1 "},
		{"log_file \"/a\"", "log_file /a  # f:1 "},
		{"aliases \"\"", "aliases \"\"  # f:1 "},
		{"aliases=", "aliases \"\"  # f:1 "},
		{"retry_max 90", "retry_max 90s  # f:1 "},
		{"retry_max 90m", "retry_max 90m  # f:1 "},
		{"retry_max 7200S", "retry_max 2h  # f:1 "},
		{"retry_max 1D", "retry_max 1d  # f:1 "},
		{"spool_size_limit 2048", "spool_size_limit 2k  # f:1 "},
		{"spool_size_limit 2048K", "spool_size_limit 2M  # f:1 "},
		{"spool_size_limit 16g", "spool_size_limit 16G  # f:1 "},
		{"spool_size_limit 1025", "spool_size_limit 1025  # f:1 "},
		{"tls_clock FLOOR", "tls_clock floor  # f:1 "},
		{"ip_version 6", "ip_version 6  # f:1 "},
		{"ip_version 6\nip_version Any", "ip_version any  # f:2 "},
		{"source_address 192.0.2.1  2001:db8::1",
		 "source_address \"192.0.2.1  2001:db8::1\"  # f:1 "},
		{"resolver ::1#5353 # mine", "resolver ::1#5353  # f:1 "},
		{"password_command pass \"mail/$2\"",
		 "password_command \"pass \\\"mail/$2\\\"\"  # f:1 "},
		{"resolver 192.0.2.1", "resolver 192.0.2.1  # f:1 "},
		{"proxy gw.example", "proxy socks5://gw.example:1080  # f:1 "},
		{"proxy joe%40x@[::1]:9050", "proxy socks5://joe%40x@[::1]:9050  # f:1 "},
		{"proxy a.example\nproxy \"\"", "proxy \"\"  # f:2 "},
		{"mailbox /root/%u%%", "mailbox /root/%u%%  # f:1 "},
		{"mailname /etc/mailname", "mailname /etc/mailname  # f:1 "},
		{"adminaddr Joe <joe@mail.example>", "adminaddr joe@mail.example  # f:1 "},
		{"local_domains a.example, b.example", "local_domains \"a.example, b.example\"  # f:1 "},
		{"masquerade x.example", "masquerade @x.example  # f:1 "},
		{"MASQUERADE @x.example", "masquerade @x.example  # f:1 "},
		{"masquerade joe@", "masquerade joe@  # f:1 "},
		{"masquerade joe@x.example", "masquerade joe@x.example  # f:1 "},
		{"masquerade \"\\\"a b\\\"@\"", "masquerade \"\\\"a b\\\"@\"  # f:1 "},
		{"masquerade x\nmasquerade \"\"", "masquerade \"\"  # f:2 "},
		{"qualify x.example", "qualify x.example  # f:1 "},
		{"qualify OFF", "qualify no  # f:1 "},
		{"qualify x\nqualify Yes", "qualify \"\"  # f:2 "},
		{"VIRTPATH /etc/dma/virtusertable", "virtual_users /etc/dma/virtusertable  # f:1 "},
		{"from_override no", "from_override no  # f:1 "},
		{"smarthost [2001:db8::1]:465", "smarthost smtps://[2001:db8::1]:465  # f:1 "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf complaints = {0};
		struct conf c;

		parse(&c, cases[i].text, &complaints);
		expect(&c, cases[i].want);
		conf_free(&c);
		buf_free(&complaints);
	}
}

static void
test_complaints(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"\nworker 3", "I f:2 worker: unknown key; did you mean workers?\n"},
		{"workers 0", "I f:1 workers: must be a number, from 1 to 32\n"},
		{"workers 33", "I f:1 workers: must be a number, from 1 to 32\n"},
		{"workers 4k", "I f:1 workers: must be a number, from 1 to 32\n"},
		{"workers", "I f:1 workers: needs a value; \"\" is an empty one\n"},
		{"workers \"\"", "I f:1 workers: must be a number, from 1 to 32\n"},
		{"retry_min 5w",
		 "I f:1 retry_min: must be a time such as 90s, 15m, 4h or 5d, from 1s to 365d\n"},
		{"retry_min 366d",
		 "I f:1 retry_min: must be a time such as 90s, 15m, 4h or 5d, from 1s to 365d\n"},
		{"retry_min 106751991167301d",
		 "I f:1 retry_min: must be a time such as 90s, 15m, 4h or 5d, from 1s to 365d\n"},
		{"connect_timeout 2h",
		 "I f:1 connect_timeout: must be a time such as 90s, 15m, 4h or 5d, from 1s to 1h\n"},
		{"spool_size_limit 99999999999G",
		 "I f:1 spool_size_limit: must be a size such as 500k or 10M\n"},
		{"spool_size_limit G", "I f:1 spool_size_limit: must be a size such as 500k or 10M\n"},
		{"defer maybe", "I f:1 defer: must be yes or no\n"},
		{"ip_version 5", "I f:1 ip_version: must be any or 4 or 6\n"},
		{"source_address eth0",
		 "I f:1 source_address: must be IP addresses, with a blank between two\n"},
		{"source_address 127.0.0.1#53",
		 "I f:1 source_address: must be IP addresses, with a blank between two\n"},
		{"resolver 127.0.0.1 dns.example",
		 "I f:1 resolver: must be IP addresses, with a blank between two\n"},
		{"resolver 127.0.0.1#", "I f:1 resolver: must be IP addresses, with a blank between two\n"},
		{"resolver 127.0.0.1#65536",
		 "I f:1 resolver: must be IP addresses, with a blank between two\n"},
		{"log_file x", "I f:1 log_file: must be a path that begins with '/'\n"},
		{"spooldir \"\"", "F f:1 spooldir: must not be empty\n"},
		{"log_file \"/a", "I f:1 log_file: the closing quote is missing\n"},
		{"log_file \"/a\" b", "I f:1 log_file: nothing may follow the closing quote\n"},
		{"log_file /a\001b", "I f:1 log_file: must not contain control characters\n"},
		{"helo_name /etc/mailname",
		 "I f:1 helo_name: must be a name such as router.example\n"},
		{"mailname a b", "I f:1 mailname: must be a name such as router.example\n"},
		{"masquerade joe@x@y", "I f:1 masquerade: must be a domain, user@ or user@domain\n"},
		{"masquerade @", "I f:1 masquerade: must be a domain, user@ or user@domain\n"},
		{"masquerade joe smith@", "I f:1 masquerade: must be a domain, user@ or user@domain\n"},
		{"masquerade Joe <joe@x>", "I f:1 masquerade: must be a domain, user@ or user@domain\n"},
		{"masquerade joe <joe>", "I f:1 masquerade: must be a domain, user@ or user@domain\n"},
		{"masquerade x..y", "I f:1 masquerade: must be a domain, user@ or user@domain\n"},
		{"masquerade joe@x.", "I f:1 masquerade: must be a domain, user@ or user@domain\n"},
		{"qualify a b", "I f:1 qualify: must be a domain, or no\n"},
		{"qualify", "I f:1 qualify: needs a value; \"\" is an empty one\n"},
		{"VIRTPATH users", "I f:1 VIRTPATH: must be a path that begins with '/'\n"},
		{"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH x",
		 "I f:1 abcdefghijklmnopqrstuvwxyz0123456789ABCD: unknown key; sendmail -bP "
		 "lists them all\n"},
		/* What concerns security. */
		{"tls_verfy yes", "F f:1 tls_verfy: unknown key; did you mean tls_verify?\n"},
		{"Password_Comand x", "F f:1 Password_Comand: unknown key; did you mean password_command?\n"},
		{"password x", "F f:1 password: unknown key; sendmail -bP lists them all\n"},
		{"samrthost m", "F f:1 samrthost: unknown key; did you mean smarthost?\n"},
		{"SMARTHOSTS m", "F f:1 SMARTHOSTS: unknown key; did you mean smarthost?\n"},
		{"prot 587", "F f:1 prot: unknown key; did you mean port?\n"},
		{"mail_name m", "I f:1 mail_name: unknown key; did you mean mailname?\n"},
		{"on yes", "I f:1 on: unknown key; sendmail -bP lists them all\n"},
		{"PORT 0", "F f:1 PORT: must be a number, from 1 to 65535\n"},
		{"proxy http://gw.example:8080",
		 "F f:1 proxy: must be socks5://[user@]host[:port]; a password goes into auth_file\n"},
		{"proxy joe:secret@gw.example",
		 "F f:1 proxy: must be socks5://[user@]host[:port]; a password goes into auth_file\n"},
		{"proxy smtp://gw.example",
		 "F f:1 proxy: must be socks5://[user@]host[:port]; a password goes into auth_file\n"},
		{"proxy", "F f:1 proxy: needs a value; \"\" is an empty one\n"},
		{"delay_warning never",
		 "I f:1 delay_warning: must be a time such as 90s, 15m, 4h or 5d, from 0s to 365d\n"},
		{"tls_key key.pem", "F f:1 tls_key: must be a path that begins with '/'\n"},
		{"AUTHPATH auth.conf", "F f:1 AUTHPATH: must be a path that begins with '/'\n"},
		{"tls_verify maybe", "F f:1 tls_verify: must be yes or no\n"},
		{"STARTTLS#x", "F f:1 STARTTLS#x: unknown key; did you mean starttls?\n"},
		{"INSECURE what", "F f:1 INSECURE: must be yes or no\n"},
		{"tls_clock never", "F f:1 tls_clock: must be strict or floor\n"},
		{"FINGERPRINT 00ff", "F f:1 FINGERPRINT: must be a SHA-256: 64 hex digits\n"},
		{"smarthost", "F f:1 smarthost: needs a value; \"\" is an empty one\n"},
		{"smarthost joe:secret@mail.example",
		 "F f:1 smarthost: a password does not belong here: it goes into auth_file\n"},
		{"CERTFILE", "F f:1 CERTFILE: needs a value; \"\" is an empty one\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf complaints = {0}, before = {0}, after = {0};
		struct conf c;

		conf_init(&c);
		conf_print(&c, &before);
		conf_parse(&c, str_of(cases[i].text), "f", note, &complaints);
		expect_complaints(&complaints, cases[i].want);

		/* The line has no effect. */
		conf_print(&c, &after);
		assert_string_equal(buf_cstr(&after), buf_cstr(&before));
		buf_free(&before);
		buf_free(&after);
		conf_free(&c);
	}
}

static void
test_mailbox(void **state)
{
	static const char *const bad[] = {
		"/", "|", "mail/%u", "/var/mail/%", "/var/mail/%d", "\"\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct buf complaints = {0}, line = {0};
		struct conf c;

		buf_print(&line, "mailbox %s", bad[i]);
		parse(&c, buf_cstr(&line), &complaints);
		assert_true(str_starts(buf_view(&complaints), STR("I f:1 mailbox: must ")));
		assert_string_equal(c.mailbox, "/var/mail/%u");
		buf_free(&complaints);
		buf_free(&line);
		conf_free(&c);
	}
}

static void
test_mailbox_of_user(void **state)
{
	static const struct {
		const char *mailbox, *user, *target;
	} cases[] = {
		{"/var/mail/%u", "joe", "/var/mail/joe"},
		{"/var/mail/%u", "Joe", "/var/mail/joe"},
		{"/home/%u/mbox-%u", "joe", "/home/joe/mbox-joe"},
		{"/root/mbox", "joe", "/root/mbox"},
		{"/a%%u/%%%u%%", "joe", "/a%u/%joe%"},
		{"/home/%u/Maildir/", "joe", "/home/joe/Maildir/"},
		{"/var/mail/%u", "j o\"e", "/var/mail/j o\"e"},
		{"/var/mail/%u", "a..b", "/var/mail/a..b"},
		{"/var/mail/%u", "...", "/var/mail/..."},
		{"/var/mail/%u", "100%u", "/var/mail/100%u"},
		{"|deliver-to %u", "Joe.x-1_2", "|deliver-to joe.x-1_2"},
		{"|deliver-to %u", "-joe", NULL},
		{"|deliver-to %u", "joe;id", NULL},
		{"|deliver-to %u", "j o", NULL},
		{"|deliver-to %u", "", NULL},
		{"/var/mail/%u", "..", NULL},
		{"/var/mail/%u", ".", NULL},
		{"/var/mail/%u", "../root", NULL},
		{"/var/mail/%u", "", NULL},
		{"/root/mbox", "a/b", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf target = {0}, line = {0}, complaints = {0};
		struct conf c;

		buf_print(&line, "mailbox %s", cases[i].mailbox);
		parse(&c, buf_cstr(&line), &complaints);
		assert_int_equal(complaints.len, 0);
		assert_int_equal(conf_mailbox(&c, str_of(cases[i].user), &target),
				 cases[i].target ? 0 : -1);
		assert_string_equal(buf_cstr(&target), cases[i].target ? cases[i].target : "");
		buf_free(&target);
		buf_free(&line);
		buf_free(&complaints);
		conf_free(&c);
	}
}

static void
test_bad_bytes(void **state)
{
	struct buf complaints = {0};
	struct conf c;

	(void)state;
	conf_init(&c);
	conf_parse(&c, STR("log_file /a\0b\nmailname \"a\0\"\n\0\n= 3\n\"\nworkers 9"), "f", note,
		   &complaints);
	assert_int_equal(c.workers, 9);
	assert_string_equal(c.log_file, "");
	assert_string_equal(c.mailname, "");
	assert_non_null(strstr(buf_cstr(&complaints), "I f:4 : unknown key"));
	buf_free(&complaints);
	conf_free(&c);
}

static void
test_dma_smarthost(void **state)
{
	static const struct {
		const char *text, *want, *complaint;
	} cases[] = {
		{"SMARTHOST m.example", "smtp://m.example:25", ""},
		{"SMARTHOST m.example\nPORT 2525", "smtp://m.example:2525", ""},
		{"SMARTHOST m.example\nPORT 587", "smtp+starttls://m.example:587", ""},
		{"PORT 465\nSMARTHOST m.example\nSECURETRANSFER", "smtps://m.example:465", ""},
		{"SMARTHOST m.example\nPORT 2465\nSECURETRANSFER", "smtps://m.example:2465", ""},
		{"SMARTHOST m.example\nPORT 587\nSECURETRANSFER\nSTARTTLS",
		 "smtp+starttls://m.example:587", ""},
		{"SMARTHOST m.example\nSECURETRANSFER\nSTARTTLS", "smtp+starttls://m.example:25", ""},
		{"SMARTHOST m.example\nSTARTTLS", "smtp+starttls://m.example:25", ""},
		{"SMARTHOST m.example\nPORT 587\nSECURETRANSFER\nSTARTTLS\nOPPORTUNISTIC_TLS",
		 "smtp://m.example:587", ""},
		{"SMARTHOST m.example\nSECURETRANSFER\nOPPORTUNISTIC_TLS", "smtps://m.example:25", ""},
		{"SMARTHOST [::1]\nSECURETRANSFER\nPORT 465", "smtps://[::1]:465", ""},
		/* A port or scheme speaks for itself. */
		{"smarthost m.example:465\nPORT 25\nSTARTTLS", "smtps://m.example:465", ""},
		{"smarthost smtp+unix:/run/m\nSECURETRANSFER", "smtp+unix:/run/m", ""},
		{"smarthost smtp://m.example\nOPPORTUNISTIC_TLS\nSTARTTLS", "smtp://m.example:25", ""},
		{"\nsmarthost m.example:25\nSECURETRANSFER", "smtp://m.example:25",
		 "F f:2 smarthost: does not require TLS, but SECURETRANSFER or STARTTLS is set: "
		 "write smtps://HOST or smtp+starttls://HOST\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf complaints = {0}, out = {0};
		struct conf c;

		parse(&c, cases[i].text, &complaints);
		conf_finish(&c, "router", note, &complaints);
		assert_int_equal(c.smarthost_count, 1);
		url_print(&c.smarthost[0], &out);
		assert_string_equal(buf_cstr(&out), cases[i].want);
		expect_complaints(&complaints, cases[i].complaint);
		assert_true(c.tls_verify);
		buf_free(&out);
		conf_free(&c);
	}
}

static void
test_dma_file(void **state)
{
	static const char text[] =
		"# $DragonFly: src/etc/dma/dma.conf\r\n"
		"SMARTHOST  mail.example\r\n"
		"PORT 587\r\n"
		"#ALIASES /etc/aliases\r\n"
		"SPOOLDIR /var/spool/dma\r\n"
		"AUTHPATH /etc/dma/auth.conf\r\n"
		"SECURETRANSFER\r\n"
		"STARTTLS\r\n"
		"VERIFYCERT\r\n"
		"FINGERPRINT 00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\r\n"
		"INSECURE\r\n"
		"DEFER\r\n"
		"FULLBOUNCE\r\n"
		"MAILNAME router.example\r\n"
		"NULLCLIENT";
	struct buf complaints = {0};
	struct conf c;

	(void)state;
	parse(&c, text, &complaints);
	conf_finish(&c, "router", note, &complaints);
	expect_complaints(&complaints, "");
	expect(&c, "smarthost smtp+starttls://mail.example:587  # f:2 ");
	expect(&c, "spooldir /var/spool/dma  # f:5 ");
	expect(&c, "auth_file /etc/dma/auth.conf  # f:6 ");
	expect(&c, "tls_verify yes  # f:9 ");
	expect(&c, "tls_fingerprint 0011223344");
	expect(&c, "insecure_auth yes  # f:11 ");
	expect(&c, "defer yes  # f:12 ");
	expect(&c, "fullbounce yes  # f:13 ");
	expect(&c, "mailname router.example  # f:14 ");
	expect(&c, "nullclient yes  # f:15 ");
	conf_free(&c);
}

/* dma's keys as its parser takes them, and where we differ. */
static void
test_dma_lines(void **state)
{
	static const struct {
		const char *text, *want, *complaint;
	} cases[] = {
		/* As in dma. */
		{"SMARTHOST m.example", "smarthost smtp://m.example:25  # f:1 ", ""},
		{"PORT 2525", "port 2525  # f:1 ", ""},
		{"PORT\t2525", "port 2525  # f:1 ", ""},
		{"ALIASES /etc/mail aliases", "aliases \"/etc/mail aliases\"  # f:1 ", ""},
		{"SPOOLDIR /var/spool/dma", "spooldir /var/spool/dma  # f:1 ", ""},
		{"AUTHPATH /etc/dma/auth.conf", "auth_file /etc/dma/auth.conf  # f:1 ", ""},
		{"MAILNAME /etc/mailname", "mailname /etc/mailname  # f:1 ", ""},
		{"MAILNAME router.example", "mailname router.example  # f:1 ", ""},
		{"FINGERPRINT 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
		 "tls_fingerprint 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF  "
		 "# f:1 ", ""},
		{"STARTTLS", "starttls yes  # f:1 ", ""},
		{"SECURETRANSFER", "securetransfer yes  # f:1 ", ""},
		{"OPPORTUNISTIC_TLS", "opportunistic_tls yes  # f:1 ", ""},
		{"VERIFYCERT", "tls_verify yes  # f:1 ", ""},
		{"INSECURE", "insecure_auth yes  # f:1 ", ""},
		{"DEFER", "defer yes  # f:1 ", ""},
		{"FULLBOUNCE", "fullbounce yes  # f:1 ", ""},
		{"NULLCLIENT", "nullclient yes  # f:1 ", ""},
		{"DEFER ", "defer yes  # f:1 ", ""},
		{"DEFER # at night", "defer yes  # f:1 ", ""},
		{"DEFER\t# at night", "defer yes  # f:1 ", ""},
		{"#DEFER", "defer no  # default ", ""},
		{"PORT 26\nPORT 27", "port 27  # f:2 ", ""},
		{"", "port 25  # default ", ""},
		/* There a blank too many, CRLF or '#' makes another value of it. */
		{"PORT  2525", "port 2525  # f:1 ", ""},
		{"PORT 2525 ", "port 2525  # f:1 ", ""},
		{"PORT 2525 # submission", "port 2525  # f:1 ", ""},
		{"SPOOLDIR /var/spool/dma\r\nDEFER\r\n", "spooldir /var/spool/dma  # f:1 ", ""},
		{"SPOOLDIR /var/spool/dma\r\nDEFER\r\n", "defer yes  # f:2 ", ""},
		{"ALIASES /etc/aliases#2", "aliases /etc/aliases#2  # f:1 ", ""},
		{"DEFER#x", "defer no  # default ",
		 "I f:1 DEFER#x: unknown key; did you mean defer?\n"},
		/* There quotes are part of the value. */
		{"MAILNAME \"router.example\"", "mailname router.example  # f:1 ", ""},
		/* There a line that begins with a blank is none. */
		{" DEFER", "defer yes  # f:1 ", ""},
		/* There errors, or worse. */
		{"DEFER yes", "defer yes  # f:1 ", ""},
		{"DEFER no", "defer no  # f:1 ", ""},
		{"port 2525", "port 2525  # f:1 ", ""},
		{"PORT=2525", "port 2525  # f:1 ", ""},
		{"FINGERPRINT 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
		 "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
		 "tls_fingerprint 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
		 "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff  # f:1 ", ""},
		{"FINGERPRINT", "tls_fingerprint \"\"  # default ",
		 "F f:1 FINGERPRINT: needs a value; \"\" is an empty one\n"},
		/* Errors there as well. */
		{"SMARTHOST", "smarthost \"\"  # default ",
		 "F f:1 SMARTHOST: needs a value; \"\" is an empty one\n"},
		{"PORT", "port 25  # default ", "F f:1 PORT: needs a value; \"\" is an empty one\n"},
		{"SECURE", "insecure_auth no  # default ",
		 "I f:1 SECURE: unknown key; sendmail -bP lists them all\n"},
		{"CERTFILE /etc/dma/cert.pem", "tls_cert /etc/dma/cert.pem  # f:1 ", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf complaints = {0};
		struct conf c;

		parse(&c, cases[i].text, &complaints);
		expect(&c, cases[i].want);
		expect_complaints(&complaints, cases[i].complaint);
		conf_free(&c);
	}
}

/* What asks for TLS must not be without effect. */
static void
test_dma_without_smarthost(void **state)
{
	static const struct {
		const char *text, *complaint;
	} cases[] = {
		{"SECURETRANSFER", "F f:1 securetransfer: needs a smarthost: by MX, TLS is used "
				   "where a server offers it\n"},
		{"SECURETRANSFER\nSTARTTLS", "F f:2 starttls: needs a smarthost: by MX, TLS is used "
					     "where a server offers it\n"},
		{"SECURETRANSFER\nSTARTTLS\nOPPORTUNISTIC_TLS", ""},
		{"PORT 587", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf complaints = {0};
		struct conf c;

		parse(&c, cases[i].text, &complaints);
		conf_finish(&c, "router", note, &complaints);
		expect_complaints(&complaints, cases[i].complaint);
		conf_free(&c);
	}
}

static void
test_passwords(void **state)
{
	static const char text[] =
		"# user|host:password\n"
		"#joe|a.example:comment\n"
		"\n"
		"joe|a.example:old\n"
		"ann|a.example:hers\r\n"
		"joe|a.example:new\n"
		"  joe |b.example:: |#secret# \n"
		"joe|c.example|bar\n"
		"joe|d.example blank\n"
		"joe@e.example|e.example:\n"
		"joe|f.example\n"
		"joe f.example:x\n"
		"joe|::1:six\n"
		"joe|long.example:long\r\r\n"
		"joe|z.example:no newline";
	static const struct {
		const char *host, *user, *found, *password;
	} cases[] = {
		/* The last one counts, as in dma. */
		{"a.example", "", "joe", "new"},
		{"A.Example", "joe", "joe", "new"},
		{"a.example", "ann", "ann", "hers"},
		{"a.example", "Ann", NULL, NULL},
		{"a.example", "sue", NULL, NULL},
		{"a", "", NULL, NULL},
		{"a.example.org", "", NULL, NULL},
		/* Blanks, '|', ':' and '#' belong to the password. */
		{"b.example", "joe", "joe", ": |#secret# "},
		{"c.example", "", "joe", "bar"},
		{"d.example", "", "joe", "blank"},
		{"e.example", "joe@e.example", "joe@e.example", ""},
		{"f.example", "", NULL, NULL},
		{"::1", "", "joe", "six"},
		{"long.example", "", "joe", "long\r"},
		{"z.example", "", "joe", "no newline"},
		{"host", "user", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct str user = str_of(cases[i].user), password = {0};

		assert_int_equal(conf_find_password(str_of(text), str_of(cases[i].host), &user,
						    &password), cases[i].found != NULL);
		assert_true(str_eq(user, str_of(cases[i].found ? cases[i].found : cases[i].user)));
		assert_true(str_eq(password, str_of(cases[i].password)));
	}
}

static void
test_smarthosts(void **state)
{
	struct buf complaints = {0};
	struct conf c;

	(void)state;
	parse(&c, "smarthost a.example\nsmarthost smtps://joe@b.example\n", &complaints);
	assert_int_equal(c.smarthost_count, 2);
	assert_string_equal(c.smarthost[1].user, "joe");
	expect(&c, "smarthost smtp://a.example:25  # f:1 ");
	expect(&c, "smarthost smtps://joe@b.example:465  # f:2 ");

	/* One that cannot be read replaces nothing. */
	conf_set(&c, STR("smarthost=c d"), "-O", note, &complaints);
	assert_int_equal(c.smarthost_count, 2);
	expect_complaints(&complaints, "F -O:0 smarthost: behind the server stands from=PATTERN, without blanks, "
			  "or nothing\n");

	conf_set(&c, STR("smarthost=c.example:587"), "-O", note, &complaints);
	conf_set(&c, STR("smarthost d.example"), "-O", note, &complaints);
	assert_int_equal(c.smarthost_count, 2);
	expect(&c, "smarthost smtp+starttls://c.example:587  # -O - ");
	conf_set(&c, STR("securetransfer"), "-O", note, &complaints);
	conf_finish(&c, "", note, &complaints);
	expect(&c, "smarthost smtp+starttls://c.example:587  # -O - ");
	expect(&c, "smarthost smtps://d.example:25  # -O - ");

	/* Whose mail it takes. */
	conf_set(&c, STR("smarthost = smtps://ann@e.example\t from=*@Shop.example # hers"), "-O",
		 note, &complaints);
	conf_set(&c, STR("smarthost \"f.example FROM=<>\""), "-O", note, &complaints);
	assert_string_equal(c.from[0], "");
	assert_string_equal(c.from[2], "*@Shop.example");
	assert_string_equal(c.from[3], "<>");
	expect(&c, "smarthost smtps://ann@e.example:465 from=*@Shop.example  # -O - ");
	expect_complaints(&complaints, "");
	static const char *const bad[] = {
		"smarthost g.example from=", "smarthost g.example from=a b",
		"smarthost g.example for=a", "smarthost g.example from = a",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		conf_set(&c, str_of(bad[i]), "-O", note, &complaints);
		assert_int_equal(c.smarthost_count, 4);
		expect_complaints(&complaints, "F -O:0 smarthost: behind the server stands "
				  "from=PATTERN, without blanks, or nothing\n");
	}

	conf_set(&c, STR("smarthost="), "-O", note, &complaints);
	assert_int_equal(c.smarthost_count, 0);
	expect(&c, "smarthost \"\"  # -O - ");
	for (int i = 0; i < LIMIT_SMARTHOSTS; i++)
		conf_set(&c, STR("smarthost=a.example"), "-O", note, &complaints);
	expect_complaints(&complaints, "");
	conf_set(&c, STR("smarthost=a.example"), "-O", note, &complaints);
	assert_int_equal(c.smarthost_count, LIMIT_SMARTHOSTS);
	expect_complaints(&complaints, "F -O:0 smarthost: no more than 8 can be named\n");
	conf_free(&c);
}

static void
test_names(void **state)
{
	static const struct {
		const char *text, *hostname, *mailname, *helo;
	} cases[] = {
		{"", "router", "router", "router"},
		{"", "", "localhost", "localhost"},
		{"", "(none)", "localhost", "localhost"},
		{"mailname r.example", "router", "r.example", "r.example"},
		{"mailname /etc/mailname", "router", "router", "router"},
		{"helo_name [192.0.2.1]", "router", "router", "[192.0.2.1]"},
		{"mailname r.example\nhelo_name h.example", "", "r.example", "h.example"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf complaints = {0};
		struct conf c;

		parse(&c, cases[i].text, &complaints);
		conf_finish(&c, cases[i].hostname, note, &complaints);
		assert_string_equal(c.mailname, cases[i].mailname);
		assert_string_equal(c.helo_name, cases[i].helo);
		assert_string_equal(c.qualify, cases[i].mailname);
		expect_complaints(&complaints, "");
		conf_free(&c);
	}
}

static void
test_nullclient(void **state)
{
	struct buf complaints = {0};
	struct conf c;

	(void)state;
	parse(&c, "# x\nnullclient", &complaints);
	conf_finish(&c, "router", note, &complaints);
	expect_complaints(&complaints, "F f:2 nullclient: needs a smarthost that takes the mail: "
			  "add a smarthost line\n");
	conf_free(&c);
}

static void
test_tls_key(void **state)
{
	struct buf complaints = {0};
	struct conf c;

	(void)state;
	parse(&c, "tls_key /etc/key.pem", &complaints);
	conf_finish(&c, "router", note, &complaints);
	expect_complaints(&complaints, "F f:1 tls_key: needs the certificate that it belongs to: add "
			  "a tls_cert line\n");
	conf_free(&c);
	parse(&c, "tls_key /etc/key.pem\nCERTFILE /etc/cert.pem", &complaints);
	conf_finish(&c, "router", note, &complaints);
	expect_complaints(&complaints, "");
	assert_string_equal(c.tls_cert, "/etc/cert.pem");
	assert_string_equal(c.tls_key, "/etc/key.pem");
	conf_free(&c);
}

/* Without a domain in masquerade nothing could stand in for what callers wrote. */
static void
test_from_override(void **state)
{
	static const struct {
		const char *text;
		bool override;
	} cases[] = {
		{"", true},
		{"from_override no", true},
		{"masquerade joe@\nfrom_override no", true},
		{"masquerade x.example\nfrom_override no", false},
		{"from_override no\nmasquerade joe@x.example", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf complaints = {0};
		struct conf c;

		parse(&c, cases[i].text, &complaints);
		bool bad = !c.from_override && cases[i].override;
		conf_finish(&c, "router", note, &complaints);
		assert_int_equal(c.from_override, cases[i].override);
		assert_int_equal(strstr(buf_cstr(&complaints), "I f:") != NULL, bad);
		assert_int_equal(strstr(buf_cstr(&complaints), " from_override: needs to know what to send "
					"from: add a masquerade line with a domain\n") != NULL, bad);
		buf_free(&complaints);
		conf_free(&c);
	}
}

static void
test_local(void **state)
{
	static const struct {
		const char *domain;
		bool local, on_nullclient;
	} cases[] = {
		{"", true, true},
		{"LocalHost", true, true},
		{"localhost.localdomain", true, true},
		{"[127.0.0.1]", true, true},
		{"[IPv6:::1]", true, true},
		{"Router.Example", true, false},
		{"lan", true, false},
		{"HOME.example", true, false},
		{"a.example", true, false},
		{"example", false, false},
		{"home", false, false},
		{"home.example,", false, false},
		{"[192.0.2.127]", false, false},
		{"helo.example", false, false},
		{"xlocalhost", false, false},
	};
	struct buf complaints = {0};
	struct conf c;

	(void)state;
	parse(&c, "mailname router.example\nlocal_domains lan,home.example , a.example\n"
	      "helo_name helo.example\n", &complaints);
	conf_finish(&c, "router", note, &complaints);
	expect_complaints(&complaints, "");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct str domain = str_of(cases[i].domain);

		c.nullclient = false;
		assert_int_equal(conf_is_local(&c, domain), cases[i].local);
		c.nullclient = true;
		assert_int_equal(conf_is_local(&c, domain), cases[i].on_nullclient);
	}
	conf_free(&c);
}

/* The configuration in force, read back, is the same: origins aside. */
static void
expect_reads_back(const char *text)
{
	struct buf complaints = {0}, first = {0}, second = {0};
	struct conf c;

	parse(&c, text, &complaints);
	conf_finish(&c, "router", note, &complaints);
	conf_print(&c, &first);
	conf_free(&c);
	parse(&c, buf_cstr(&first), &complaints);
	conf_finish(&c, "other", note, &complaints);
	conf_print(&c, &second);
	conf_free(&c);
	for (struct str a = buf_view(&first), b = buf_view(&second); a.len > 0 || b.len > 0;) {
		struct str x = str_cut(&a, '\n'), y = str_cut(&b, '\n');
		while (x.len > 0 && y.len > 0 && x.ptr[0] == y.ptr[0] &&
		       !str_starts(x, STR("  # "))) {
			x = str_from(x, 1);
			y = str_from(y, 1);
		}
		if (!str_starts(x, STR("  # ")) || !str_starts(y, STR("  # f:")))
			fail_msg("%s\n--- in force\n%s--- read back\n%s", text, first.ptr,
				 second.ptr);
	}
	buf_free(&complaints);
	buf_free(&first);
	buf_free(&second);
}

static void
test_print_reads_back(void **state)
{
	static const char *const texts[] = {
		"",
		"SMARTHOST m.example\nSECURETRANSFER\nSTARTTLS\nOPPORTUNISTIC_TLS\nPORT 99\n",
		"smarthost smtps://a.example\nsmarthost [::1]:26\nlog_file \"/a \\\\ \\\" # b\"\n"
		"auth_mechanisms plain,LOGIN  ntlm\nlocal_domains \"#\"\nlocal_domains \"=\"\ntls_clock floor\nretry_max 61\n"
		"spool_size_limit 9223372036854775807\nadminaddr \"\\\"a b\\\"@x.example\"\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		expect_reads_back(texts[i]);
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Up to eight bytes, in quotes; those that the grammar knows come often. */
static void
print_garbage(uint32_t *seed, struct buf *out)
{
	static const char known[] = "\"\\#= \t/,@%:.[]<>";

	buf_putc(out, '"');
	for (unsigned n = next_random(seed) % 9; n > 0; n--) {
		uint32_t r = next_random(seed);
		char c = r & 1 ? known[(r >> 1) % (sizeof known - 1)] : (char)(r >> 1);
		if (c == '"' || c == '\\')
			buf_putc(out, '\\');
		if (c != '\n' && c != '\0')
			buf_putc(out, c);
	}
	buf_putc(out, '"');
}

/* Any value may follow any key; what is refused has no effect. */
static void
test_random_reads_back(void **state)
{
	static const char *const values[] = {
		"", "yes", "no", "7", "465", "90", "2h", "500k", "9223372036854775807", "/a", "/a b",
		"\"/ # \\\" \"", "/m/%u", "strict", "floor", "any", "4", "6", "m.example",
		"a.example, b.example", "joe", "Joe <joe@x.example>", "\"\\\"a b\\\"@x.example\"",
		"m.example:99", "smtps://joe%20%25@m.example from=*@X.example", "[::1]",
		"smtp+unix:ann@/run/m from=<>", "lmtp://[2001:db8::1] from=\\", "::1#5353 127.0.0.1",
		"192.0.2.1  ::2",
		"00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
	};
	struct buf keys = {0};
	uint32_t seed = 1;
	struct conf c;

	(void)state;
	conf_init(&c);
	conf_print(&c, &keys);
	conf_free(&c);
	for (int round = 0; round < 500; round++) {
		struct buf text = {0};
		for (struct str rest = buf_view(&keys); rest.len > 0;) {
			struct str line = str_cut(&rest, '\n'), key = str_cut(&line, ' ');
			for (unsigned n = next_random(&seed) % 4; n > 0; n--) {
				uint32_t r = next_random(&seed) % (sizeof values / sizeof *values + 4);
				buf_print(&text, "%.*s ", STR_ARG(key));
				if (r < sizeof values / sizeof *values)
					buf_puts(&text, values[r]);
				else
					print_garbage(&seed, &text);
				buf_putc(&text, '\n');
			}
		}
		expect_reads_back(buf_cstr(&text));
		buf_free(&text);
	}
	buf_free(&keys);
}

static void
test_duration(void **state)
{
	uint64_t s = 0;

	(void)state;
	assert_int_equal(conf_parse_duration(STR("15m"), &s), 0);
	assert_int_equal(s, 900);
	assert_int_equal(conf_parse_duration(STR("0"), &s), 0);
	assert_int_equal(s, 0);
	assert_int_equal(conf_parse_duration(STR(""), &s), -1);
	assert_int_equal(conf_parse_duration(STR("m"), &s), -1);
	assert_int_equal(conf_parse_duration(STR("1h30m"), &s), -1);
	assert_int_equal(conf_parse_duration(STR("-1s"), &s), -1);
	assert_int_equal(conf_parse_duration(STR("1\0"), &s), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_mailbox_of_user),
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_dma_smarthost),
		cmocka_unit_test(test_dma_file),
		cmocka_unit_test(test_dma_lines),
		cmocka_unit_test(test_dma_without_smarthost),
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_smarthosts),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nullclient),
		cmocka_unit_test(test_tls_key),
		cmocka_unit_test(test_from_override),
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_print_reads_back),
		cmocka_unit_test(test_random_reads_back),
		cmocka_unit_test(test_duration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
