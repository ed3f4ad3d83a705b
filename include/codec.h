/* SPDX-License-Identifier: ISC */
/*
 * Encodings between bytes and text: base64 (RFC 4648), hex, base32 in lower case, and CRC-32
 * (IEEE 802.3, as zlib's). Strict when decoding: an encoding that another encoder would not
 * have produced is an error.
 */
#ifndef CODEC_H
#define CODEC_H

#include "buf.h"

/* Bytes that base64 of n bytes takes. */
#define CODEC_BASE64_SIZE(n) (((n) + 2) / 3 * 4)

/* Writes CODEC_BASE64_SIZE(in.len) bytes to dst, no NUL; returns that number. */
size_t codec_base64(struct str in, char *dst);
/* Decodes base64 with its padding, no white space. The number of bytes written to dst, or -1:
 * malformed, or more than cap bytes. */
ptrdiff_t codec_unbase64(struct str in, char *dst, size_t cap);

void codec_hex(struct str in, struct buf *out); /* lower case */
/* Accepts both cases, and ':' between bytes. The number of bytes, or -1. */
ptrdiff_t codec_unhex(struct str in, void *dst, size_t cap);

/* The low 5*digits bits of value as that many digits 0-9a-v (RFC 4648's base32hex in lower
 * case) in dst, no NUL: text that sorts as the number does. */
void codec_base32(uint64_t value, unsigned digits, char *dst);
/* The way back, of nothing but such digits. */
uint64_t codec_unbase32(struct str digits);

/* CRC-32 of in behind what came before: that one's, or 0 where nothing did. */
uint32_t codec_crc32(uint32_t before, struct str in);

#endif
