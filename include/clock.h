/* SPDX-License-Identifier: ISC */
/*
 * Reads the clocks: wall, boot (CLOCK_BOOTTIME) and the boot's id; knows whether the wall
 * clock can be believed (it is not before the time stamp of this build). Random bytes live
 * here too: the other thing that only the kernel can say and pure modules get as arguments.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "stamp.h"

void clock_read(struct stamp *now);

/* Milliseconds since boot, for deadlines within one process. */
int64_t clock_ms(void);

/* Fills len bytes from the kernel's generator; waits for it to be seeded for at most a few
 * seconds at boot, then takes what it has. */
void clock_random(void *bytes, size_t len);

#endif
