/* SPDX-License-Identifier: ISC */
/*
 * The elliptic curves of TLS for BearSSL: X25519, which servers prefer, by code of its own;
 * P-256, P-384 and P-521 by one piece for all three, or P-256 by a faster one (FAST_P256). All
 * constant-time.
 */
#ifndef CURVE_H
#define CURVE_H

#include <bearssl.h>

extern const br_ec_impl curve_all;

#endif
