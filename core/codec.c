/* SPDX-License-Identifier: ISC */
#include "codec.h"

#include <string.h>

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_digits[] = "0123456789abcdef";

size_t
codec_base64(struct str in, char *dst)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	size_t n = 0;

	for (size_t left = in.len; left > 0; n += 4) {
		size_t take = left < 3 ? left : 3;
		uint32_t group = 0;
		for (size_t i = 0; i < 3; i++)
			group = group << 8 | (i < take ? *p++ : 0);
		for (size_t i = 0; i < 4; i++)
			dst[n + i] = i > take ? '=' :
					       base64_digits[group >> (18 - 6 * i) & 63];
		left -= take;
	}
	return n;
}

/* By ranges, not by search: a CA bundle has 200 000 of them. */
static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ptrdiff_t
codec_unbase64(struct str in, char *dst, size_t cap)
{
	size_t n = 0, digits = in.len;

	while (digits > 0 && in.len - digits < 2 && in.ptr[digits - 1] == '=')
		digits--;
	if (in.len % 4 != 0 || digits * 6 / 8 > cap)
		return -1;
	uint32_t bits = 0;
	for (size_t i = 0; i < digits; i++) {
		int value = base64_value(in.ptr[i]);
		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		/* Four digits are three bytes: each but the first completes one. */
		if (i % 4 != 0)
			dst[n++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	/* What the last digit says beyond the last byte must be nothing. */
	unsigned spare = digits % 4 == 2 ? 0x0f : digits % 4 == 3 ? 0x03 : 0;
	return bits & spare ? -1 : (ptrdiff_t)n;
}

void
codec_hex(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		buf_putc(out, hex_digits[(unsigned char)in.ptr[i] >> 4]);
		buf_putc(out, hex_digits[in.ptr[i] & 15]);
	}
}

ptrdiff_t
codec_unhex(struct str in, void *dst, size_t cap)
{
	unsigned char *out = dst;
	size_t n = 0;

	while (in.len > 0) {
		if (n > 0 && in.ptr[0] == ':')
			in = str_from(in, 1);
		if (in.len < 2 || n == cap)
			return -1;
		int high = str_hex(in.ptr[0]), low = str_hex(in.ptr[1]);
		if (high < 0 || low < 0)
			return -1;
		out[n++] = (unsigned char)(high << 4 | low);
		in = str_from(in, 2);
	}
	return (ptrdiff_t)n;
}

void
codec_base32(uint64_t value, unsigned digits, char *dst)
{
	while (digits-- > 0) {
		dst[digits] = "0123456789abcdefghijklmnopqrstuv"[value & 31];
		value >>= 5;
	}
}

/* Half a byte at a time: a table of 64 bytes instead of 1 kB, for lines of a journal. */
uint32_t
codec_crc32(struct str in)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < in.len; i++) {
		crc ^= (unsigned char)in.ptr[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}
