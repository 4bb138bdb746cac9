#include "base/thread.h"

#include <signal.h>

int lrb_thread_start(pthread_t *out, void *(*run)(void *), void *arg, const char *what, lrb_err *err) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) sigdelset(&blocked, crashes[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int refused = pthread_create(out, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return refused ? lrb_err_sys(err, refused, "start", what) : LRB_OK;
}
