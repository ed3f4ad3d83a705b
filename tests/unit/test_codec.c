/* SPDX-License-Identifier: ISC */
#include "codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
test_base64(void **state)
{
	/* RFC 4648 section 10. */
	static const char *const cases[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\373\377\376", "+//+"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct str plain = str_of(cases[i][0]), coded = str_of(cases[i][1]);
		assert_int_equal(codec_base64(plain, out), coded.len);
		assert_int_equal(CODEC_BASE64_SIZE(plain.len), coded.len);
		assert_true(str_eq((struct str){out, coded.len}, coded));
		assert_int_equal(codec_unbase64(coded, out, plain.len), plain.len);
		assert_true(str_eq((struct str){out, plain.len}, plain));
		if (plain.len > 0)
			assert_int_equal(codec_unbase64(coded, out, plain.len - 1), -1);
	}
}

static void
test_base64_is_strict(void **state)
{
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg===", "====", "=", "Z===", "A=A=", "Zg==Zg==",
		"Zm9v\n", "Zm 9", "Zm9-", "Zm9_", "\377m9v",
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(codec_unbase64(str_of(bad[i]), out, sizeof out), -1);
	assert_int_equal(codec_unbase64((struct str){"Zm\0v", 4}, out, sizeof out), -1);
}

static void
test_every_byte_comes_back(void **state)
{
	char all[256], coded[CODEC_BASE64_SIZE(256)], back[256];
	struct str view = {all, sizeof all};
	struct buf hex = {0};

	(void)state;
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	for (size_t n = 250; n <= 256; n++) {
		size_t len = codec_base64(str_upto(view, n), coded);
		assert_int_equal(codec_unbase64((struct str){coded, len}, back, n), n);
		assert_memory_equal(back, all, n);
	}
	codec_hex(view, &hex);
	assert_int_equal(codec_unhex(buf_view(&hex), back, sizeof back), 256);
	assert_memory_equal(back, all, 256);
	buf_free(&hex);
}

static void
test_hex(void **state)
{
	static const char *const bad[] = {"a", "abc", ":ab", "ab:", "ab::cd", "a:bc", "0g", "ab cd"};
	struct buf b = {0};
	char out[4];

	(void)state;
	codec_hex((struct str){"\001\377", 2}, &b);
	assert_string_equal(buf_cstr(&b), "01ff");
	buf_free(&b);
	assert_int_equal(codec_unhex(STR(""), out, 0), 0);
	assert_int_equal(codec_unhex(STR("DE:ad:Be:EF"), out, 4), 4);
	assert_memory_equal(out, "\336\255\276\357", 4);
	assert_int_equal(codec_unhex(STR("deadbe:ef"), out, 4), 4);
	assert_int_equal(codec_unhex(STR("deadbeef00"), out, 4), -1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(codec_unhex(str_of(bad[i]), out, 4), -1);
}

static void
test_base32_sorts(void **state)
{
	char a[9] = "", b[9] = "";

	(void)state;
	codec_base32(0, 8, a);
	assert_string_equal(a, "00000000");
	codec_base32(31, 1, a);
	assert_int_equal(a[0], 'v');
	codec_base32(0x123456789a, 8, a);
	codec_base32(0x123456789b, 8, b);
	assert_string_equal(a, "28q5cu4q");
	assert_true(strcmp(a, b) < 0);
	codec_base32(UINT64_MAX, 8, a);
	assert_string_equal(a, "vvvvvvvv");
	assert_int_equal(codec_unbase32(STR("28q5cu4q")), 0x123456789a);
	assert_int_equal(codec_unbase32(STR("vvvvvvvv")), 0xffffffffff);
	assert_int_equal(codec_unbase32(STR("")), 0);
}

/* As it is defined. */
static uint32_t
crc32_by_bits(uint32_t before, struct str in)
{
	uint32_t crc = ~before;

	for (size_t i = 0; i < in.len; i++) {
		crc ^= (unsigned char)in.ptr[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void
test_crc32(void **state)
{
	(void)state;
	assert_int_equal(codec_crc32(0, STR("")), 0);
	assert_int_equal(codec_crc32(0, STR("123456789")), 0xcbf43926);
	assert_int_equal(codec_crc32(0, STR("\377\0\200")), 0xac616edf);
	/* Each pair of bytes at each place of the longest step and of what is left behind it, from
	 * an address of any kind. */
	for (unsigned n = 0; n < 1 << 16; n++) {
		char bytes[24] = {0};
		size_t at = n % 15, len = at + 2 + n % 7;
		bytes[at + 1] = (char)(n & 255);
		bytes[at + 2] = (char)(n >> 8);
		struct str text = {bytes + 1, len};
		assert_int_equal(codec_crc32(n, text), crc32_by_bits(n, text));
	}
	for (size_t len = 0; len < 64; len++) {
		char bytes[64];
		for (size_t i = 0; i < len; i++)
			bytes[i] = (char)(7 * i + len * len);
		struct str text = {bytes, len};
		uint32_t whole = crc32_by_bits(0, text);
		for (size_t cut = 0; cut <= len; cut++)
			assert_int_equal(codec_crc32(codec_crc32(0, str_upto(text, cut)),
						     str_from(text, cut)), whole);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_base64_is_strict),
		cmocka_unit_test(test_every_byte_comes_back),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_base32_sorts),
		cmocka_unit_test(test_crc32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
