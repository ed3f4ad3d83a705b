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

/* A number that no other call gets, but for those of children: by what the kernel gives each program
 * at its start, the moment, and a count. Asks the kernel nothing. */
uint64_t clock_differ(const struct stamp *now);

/* Fills len bytes that no other call gets: an id's, a seed's. The kernel's generator and, since
 * that may be missing or not yet seeded, process, clocks and a count. Never waits. */
void clock_random(void *bytes, size_t len);

/* Fills at most 256 bytes that nobody can guess, from the kernel's generator alone: waits some
 * seconds for it to be seeded at boot. 0, or -1: there are none, and what needs them cannot be
 * done. */
int clock_secret(void *bytes, size_t len);

/* For a process that is about to give up opening files: where the kernel has its generator in
 * /dev/urandom alone, this keeps it open, across no fork. */
void clock_keep_random(void);

#endif
