/* Stands before the C library (LD_PRELOAD): the calendar begins at the seconds in CLOCK_FILE.
 *
 * A board without a battery begins in 1970, and jumps when it hears of the time. Other clocks
 * (CLOCK_MONOTONIC) go on as they do there.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *found) {
    int result = (int)syscall(SYS_clock_gettime, clock, found);
    const char *path = getenv("CLOCK_FILE");
    FILE *file = clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    long seconds;
    if (!file) return result;
    if (fscanf(file, "%ld", &seconds) == 1) found->tv_sec = seconds;
    fclose(file);
    return result;
}
