/* Preloaded into the server: while the file named by HUSTINGS_TEST_FAIL_SYNC exists, the next fdatasync or fsync
 * removes it and fails with EIO, once. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int fails_now(void) {
    const char *trigger = getenv("HUSTINGS_TEST_FAIL_SYNC");
    return trigger != NULL && unlink(trigger) == 0;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (fails_now()) { errno = EIO; return -1; }
    return real(fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (fails_now()) { errno = EIO; return -1; }
    return real(fd);
}
