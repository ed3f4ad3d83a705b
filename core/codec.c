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

uint64_t
codec_unbase32(struct str digits)
{
	uint64_t value = 0;

	for (size_t i = 0; i < digits.len; i++) {
		char c = digits.ptr[i];
		value = value << 5 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return value;
}

/* What each half byte of two does to a CRC that both are behind: 256 bytes instead of a table of
 * 1 kB, and faster, since none of four waits for another. */
static const uint32_t halves[4][16] = {
	{
		0x00000000, 0x191b3141, 0x32366282, 0x2b2d53c3, 0x646cc504, 0x7d77f445,
		0x565aa786, 0x4f4196c7, 0xc8d98a08, 0xd1c2bb49, 0xfaefe88a, 0xe3f4d9cb,
		0xacb54f0c, 0xb5ae7e4d, 0x9e832d8e, 0x87981ccf,
	},
	{
		0x00000000, 0x4ac21251, 0x958424a2, 0xdf4636f3, 0xf0794f05, 0xbabb5d54,
		0x65fd6ba7, 0x2f3f79f6, 0x3b83984b, 0x71418a1a, 0xae07bce9, 0xe4c5aeb8,
		0xcbfad74e, 0x8138c51f, 0x5e7ef3ec, 0x14bce1bd,
	},
	{
		0x00000000, 0x77073096, 0xee0e612c, 0x990951ba, 0x076dc419, 0x706af48f,
		0xe963a535, 0x9e6495a3, 0x0edb8832, 0x79dcb8a4, 0xe0d5e91e, 0x97d2d988,
		0x09b64c2b, 0x7eb17cbd, 0xe7b82d07, 0x90bf1d91,
	},
	{
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	},
};

uint32_t
codec_crc32(uint32_t before, struct str in)
{
	const unsigned char *p = (const unsigned char *)in.ptr, *end = p + in.len;
	uint32_t crc = ~before;

	for (; end - p > 1; p += 2) {
		crc ^= p[0] | (uint32_t)p[1] << 8;
		crc = crc >> 16 ^ halves[0][crc & 15] ^ halves[1][crc >> 4 & 15] ^
		      halves[2][crc >> 8 & 15] ^ halves[3][crc >> 12 & 15];
	}
	if (p < end) {
		crc ^= *p;
		crc = crc >> 8 ^ halves[2][crc & 15] ^ halves[3][crc >> 4 & 15];
	}
	return ~crc;
}
