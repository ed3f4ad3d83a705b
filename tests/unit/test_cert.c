/* SPDX-License-Identifier: ISC */
#include "cert.h"
#include "codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* Self-signed, P-256, with all extensions that matter; 2026-11-22 to 2036-11-19. */
static const char pem[] =
	"MIICFTCCAbygAwIBAgIBBzAKBggqhkjOPQQDAjA2MQswCQYDVQQGEwJYWDEQMA4GA1UECgwHRXhhbXBs"
	"ZTEVMBMGA1UEAwwMbWFpbC5leGFtcGxlMB4XDTI2MTEyMjEwMzgxNloXDTM2MTExOTEwMzgxNlowNjEL"
	"MAkGA1UEBhMCWFgxEDAOBgNVBAoMB0V4YW1wbGUxFTATBgNVBAMMDG1haWwuZXhhbXBsZTBZMBMGByqG"
	"SM49AgEGCCqGSM49AwEHA0IABHiRJg5NeZdeL7Eg59MI+BFPYg7Bn5Y1icIwVyiuDayaGt4VL1xYAnF8"
	"jaDtJqvja2Sn7+XR/JeHM/48VCILtC2jgbowgbcwEgYDVR0TAQH/BAgwBgEB/wIBAzAOBgNVHQ8BAf8E"
	"BAMCAoQwHQYDVR0lBBYwFAYIKwYBBQUHAwIGCCsGAQUFBwMBMFMGA1UdEQRMMEqBC2FAYi5leGFtcGxl"
	"ggxtYWlsLmV4YW1wbGWCDioud2lsZC5leGFtcGxlggUqLnRsZIcEwAACAYcQIAENuAAAAAAAAAAAAAAA"
	"ATAdBgNVHQ4EFgQUNOV8nLFM/C6rQXPIE1qbxBLlf0IwCgYIKoZIzj0EAwIDRwAwRAIgJqihIGpL3OMj"
	"iIEe1sjUtVB39dLFLEds1XcsvyRk2p8CID2keCoWFO1912VB0gl2L5T0W84ij0wizt7jU2H2tvzC";

/* A fresh copy, exactly as long as it is, for the sanitizer. */
static struct buf
decode(void)
{
	char bytes[600];
	struct buf b = {0};
	ptrdiff_t n = codec_unbase64(str_of(pem), bytes, sizeof bytes);

	assert_true(n > 0);
	b.ptr = buf_array(NULL, (size_t)n, 1);
	b.cap = b.len = (size_t)n;
	memcpy(b.ptr, bytes, b.len);
	return b;
}

/* Where the text stands in der. */
static size_t
find(const struct buf *der, const char *text, size_t len)
{
	char *at = memmem(der->ptr, der->len, text, len);

	assert_non_null(at);
	return (size_t)(at - der->ptr);
}

static void
test_fields(void **state)
{
	struct buf der = decode();
	struct cert c;
	char name[100];

	(void)state;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_true(str_eq(c.subject, c.issuer));
	assert_int_equal(c.key.key_type, BR_KEYTYPE_EC);
	assert_int_equal(c.key.key.ec.curve, BR_EC_secp256r1);
	assert_int_equal(c.key.key.ec.qlen, 65);
	assert_true(c.not_before == 1795343896);
	assert_true(c.not_after == 2110703896);
	assert_int_equal(c.signature, CERT_SHA2);
	assert_true(c.v3 && c.ca);
	assert_int_equal(c.path_length, 3);
	assert_int_equal(c.key_usage, CERT_DIGITAL_SIGNATURE | CERT_KEY_CERT_SIGN);
	assert_false(c.not_for_servers || c.constrained);
	assert_false(c.unknown_critical || c.contradictory);
	cert_print_name(c.subject, name, sizeof name);
	assert_string_equal(name, "CN=mail.example");
	cert_print_name(c.subject, name, 6);
	assert_string_equal(name, "CN=ma");
	cert_print_name(STR("\x30\x05xyz"), name, sizeof name);
	assert_string_equal(name, "no name");
	buf_free(&der);
}

static void
test_names(void **state)
{
	static const struct { const char *host; bool named; } hosts[] = {
		{"mail.example", true}, {"MAIL.Example", true}, {"ail.example", false},
		{"mail.example.", false}, {"mail.example.net", false},
		{"x.mail.example", false},
		{"a.wild.example", true}, {"wild.example", false}, {".wild.example", false},
		{"a.b.wild.example", false}, {"*.wild.example", true}, {"x.tld", false},
		{"tld", false}, {"", false}, {"a@b.example", false}, {"192.0.2.1", false},
	};
	struct buf der = decode();
	struct cert c;

	(void)state;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		if (cert_names_host(&c, str_of(hosts[i].host)) != hosts[i].named)
			fail_msg("%s", hosts[i].host);
	}
	assert_true(str_eq(cert_first_host(&c), STR("mail.example")));
	assert_true(cert_names_address(&c, STR("\xc0\x00\x02\x01")));
	assert_false(cert_names_address(&c, STR("\xc0\x00\x02\x02")));
	assert_true(cert_names_address(&c, STR("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01")));
	assert_false(cert_names_address(&c, STR("\x20\x01\x0d\xb8")));
	buf_free(&der);
}

static void
test_dates(void **state)
{
	/* -1: malformed */
	static const struct { const char *text; int64_t seconds; } dates[] = {
		{"700101000000Z", 0}, {"000229235959Z", 951868799},
		{"491231235959Z", 2524607999}, {"500101000000Z", -631152000},
		{"380119031408Z", 2147483648},
		{"700101000000z", -1}, {"7001010000000", -1}, {"701301000000Z", -1},
		{"700001000000Z", -1}, {"700132000000Z", -1}, {"700101240000Z", -1},
		{"700101006000Z", -1}, {"700101000060Z", -1}, {"70 101000000Z", -1},
		{"-00101000000Z", -1},
	};
	struct buf der = decode();
	size_t at = find(&der, "261122103816Z", 13);
	struct cert c;

	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
		memcpy(der.ptr + at, dates[i].text, 13);
		int r = cert_parse(&c, buf_view(&der));
		if (r != (dates[i].seconds == -1 ? -1 : 0) ||
		    (r == 0 && c.not_before != dates[i].seconds))
			fail_msg("%s", dates[i].text);
	}
	buf_free(&der);
}

/* One byte of the certificate changed; what then must be seen. */
static void
test_flaws(void **state)
{
	struct buf der = decode();
	struct cert c;
	char *at;

	(void)state;
	/* keyUsage becomes a second basicConstraints, of the wrong form: malformed. */
	at = der.ptr + find(&der, "\x55\x1d\x0f", 3) + 2;
	*at = 0x13;
	assert_int_equal(cert_parse(&c, buf_view(&der)), -1);
	*at = 0x24; /* critical policyConstraints */
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_true(c.unknown_critical);
	*at = 0x1e;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_true(c.constrained);
	*at = 0x0e; /* a second subjectKeyIdentifier */
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_true(c.contradictory);
	*at = 0x0f;
	/* serverAuth becomes codeSigning */
	at = der.ptr + find(&der, "\x2b\x06\x01\x05\x05\x07\x03\x01", 8) + 7;
	*at = 3;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_true(c.not_for_servers);
	*at = 1;
	/* The inner signature algorithm alone: ecdsa-with-SHA384. */
	at = der.ptr + find(&der, "\x2a\x86\x48\xce\x3d\x04\x03\x02", 8) + 7;
	*at = 3;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_true(c.contradictory);
	*at = 2;
	/* An unknown curve. */
	at = der.ptr + find(&der, "\x2a\x86\x48\xce\x3d\x03\x01\x07", 8) + 7;
	*at = 6;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_int_equal(c.key.key_type, 0);
	*at = 7;
	/* Version 2. */
	at = der.ptr + find(&der, "\xa0\x03\x02\x01\x02", 5) + 4;
	*at = 1;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_false(c.v3);
	*at = 2;
	assert_int_equal(cert_parse(&c, buf_view(&der)), 0);
	assert_true(c.v3);
	buf_free(&der);
}

/* Whatever is cut off or damaged: nothing beyond the bytes is read. */
static void
test_damage(void **state)
{
	struct buf der = decode();
	struct cert c;
	char name[20];

	(void)state;
	for (size_t len = 0; len < der.len; len++) {
		struct buf cut = {0};
		cut.ptr = buf_array(NULL, len, 1);
		cut.len = cut.cap = len;
		if (len > 0)
			memcpy(cut.ptr, der.ptr, len);
		assert_int_equal(cert_parse(&c, buf_view(&cut)), -1);
		buf_free(&cut);
	}
	for (size_t i = 0; i < der.len; i++) {
		char was = der.ptr[i];
		for (unsigned v = 0; v < 256; v++) {
			der.ptr[i] = (char)v;
			if (cert_parse(&c, buf_view(&der)))
				continue;
			cert_print_name(c.subject, name, sizeof name);
			cert_first_host(&c);
			assert_false(cert_names_host(&c, STR("other.example")));
		}
		der.ptr[i] = was;
	}
	buf_free(&der);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_flaws),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
