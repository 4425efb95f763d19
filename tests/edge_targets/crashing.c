/* Stands before the C library (LD_PRELOAD) at every call that changes a disk, below one folder.
 *
 * crash_kill_at(folder, n) ends the process by SIGKILL when call number n is about to happen;
 * crash_record(folder, fd) writes down every call that succeeded, with its data;
 * crash_mark(text) puts a word of the program's own between them.
 *
 * Of a record: op, path, other path, offset, size, each ended by a null byte; then `size` bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static size_t folder_size;
static long left = -1, seen = 0;
static int record_fd = -1;

static void begin(const char *path) {
    snprintf(folder, sizeof folder, "%s", path);
    folder_size = strlen(folder);
    seen = 0;
}

void crash_kill_at(const char *path, long number) {
    begin(path);
    left = number;
}

void crash_record(const char *path, int fd) {
    begin(path);
    record_fd = fd;
}

static void put(const void *data, size_t size) {
    const char *next = data;
    while (size) {
        long done = syscall(SYS_write, record_fd, next, size);
        if (done <= 0) abort();
        next += done;
        size -= (size_t)done;
    }
}

static void note(const char *op, const char *path, const char *other, long long offset,
                 const void *data, size_t size) {
    if (record_fd < 0) return;
    char head[2 * PATH_MAX + 100];
    int length = snprintf(head, sizeof head, "%s%c%s%c%s%c%lld%c%zu%c", op, 0, path, 0,
                          other ? other : "", 0, offset, 0, data ? size : 0, 0);
    put(head, (size_t)length);
    if (data) put(data, size);
}

void crash_mark(const char *text) { note("mark", text, 0, 0, 0, 0); }

/* Whether the call matters; it may be the last one. */
static int concerns(const char *path) {
    if (!folder_size || strncmp(path, folder, folder_size) != 0) return 0;
    seen++;
    if (left > 0 && --left == 0) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    return 1;
}

static const char *path_of(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    out[size > 0 ? size : 0] = 0;
    size_t length = strlen(out);
    if (length > 10 && strcmp(out + length - 10, " (deleted)") == 0) out[0] = 0;
    return out;
}

static const char *path_at(int fd, const char *name, char *out) {
    if (name[0] == '/') {
        snprintf(out, PATH_MAX, "%s", name);
        return out;
    }
    if (fd == AT_FDCWD) {
        if (!getcwd(out, PATH_MAX)) out[0] = 0;
    } else {
        path_of(fd, out);
    }
    size_t length = strlen(out);
    snprintf(out + length, PATH_MAX - length, "/%s", name);
    return out;
}


static int opened(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    int mine = 0, new = 0;
    if (flags & (O_CREAT | O_TRUNC) && (flags & O_TMPFILE) != O_TMPFILE) {
        path_at(at, name, path);
        new = faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
        if (new || flags & O_TRUNC) mine = concerns(path);
    }
    int fd = (int)syscall(SYS_openat, at, name, flags, mode);
    if (mine && fd >= 0) note(new ? "create" : "truncate", path, 0, 0, 0, 0);
    return fd;
}

#define MODE(flags)                           \
    mode_t mode = 0;                          \
    if ((flags) & (O_CREAT | O_TMPFILE)) {    \
        va_list more;                         \
        va_start(more, flags);                \
        mode = (mode_t)va_arg(more, int);     \
        va_end(more);                         \
    }

int open(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return opened(AT_FDCWD, name, flags, mode); }
int openat(int at, const char *name, int flags, ...) { MODE(flags) return opened(at, name, flags, mode); }
int openat64(int at, const char *name, int flags, ...) { MODE(flags) return opened(at, name, flags, mode); }

static ssize_t written(int fd, const void *data, size_t size, off64_t offset, int positioned) {
    char path[PATH_MAX];
    int mine = folder_size && fd != record_fd && concerns(path_of(fd, path));
    if (mine && !positioned) {
        offset = lseek64(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    }
    ssize_t done = positioned ? syscall(SYS_pwrite64, fd, data, size, offset)
                              : syscall(SYS_write, fd, data, size);
    if (mine && done > 0) note("write", path, 0, offset, data, (size_t)done);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) { return written(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return written(fd, data, size, offset, 1);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return written(fd, data, size, offset, 1);
}

static int truncated(int fd, off64_t size) {
    char path[PATH_MAX];
    int mine = concerns(path_of(fd, path));
    int result = (int)syscall(SYS_ftruncate, fd, size);
    if (mine && !result) note("truncate", path, 0, size, 0, 0);
    return result;
}
int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated(fd, size); }

static int synced(int fd, long number) {
    char path[PATH_MAX];
    int mine = concerns(path_of(fd, path));
    int result = (int)syscall(number, fd);
    if (mine && !result) note("sync", path, 0, 0, 0, 0);
    return result;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static int renamed(int at, const char *name, int to, const char *other) {
    char path[PATH_MAX], target[PATH_MAX];
    int mine = concerns(path_at(at, name, path));
    path_at(to, other, target);
    int result = (int)syscall(SYS_renameat2, at, name, to, other, 0);
    if (mine && !result) note("rename", path, target, 0, 0, 0);
    return result;
}
int rename(const char *name, const char *other) { return renamed(AT_FDCWD, name, AT_FDCWD, other); }
int renameat(int at, const char *name, int to, const char *other) { return renamed(at, name, to, other); }

static int removed(int at, const char *name, int flags) {
    char path[PATH_MAX];
    int mine = concerns(path_at(at, name, path));
    int result = (int)syscall(SYS_unlinkat, at, name, flags);
    if (mine && !result) note("remove", path, 0, 0, 0, 0);
    return result;
}
int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int unlinkat(int at, const char *name, int flags) { return removed(at, name, flags); }
int rmdir(const char *name) { return removed(AT_FDCWD, name, AT_REMOVEDIR); }

static int made(int at, const char *name, mode_t mode) {
    char path[PATH_MAX];
    int mine = concerns(path_at(at, name, path));
    int result = (int)syscall(SYS_mkdirat, at, name, mode);
    if (mine && !result) note("mkdir", path, 0, 0, 0, 0);
    return result;
}
int mkdir(const char *name, mode_t mode) { return made(AT_FDCWD, name, mode); }
int mkdirat(int at, const char *name, mode_t mode) { return made(at, name, mode); }
