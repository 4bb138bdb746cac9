#include "base/thread.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static lrb_err err;

static void *look_at_mask(void *mask) {
    pthread_sigmask(SIG_SETMASK, NULL, mask);
    return mask;
}

TEST(a_thread_takes_the_signals_of_a_crash_and_no_other) {
    pthread_t thread;
    sigset_t its, mine, after;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    CHECK_OK(lrb_thread_start(&thread, look_at_mask, &its, "a thread", &err));
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < SIGRTMIN - 2; number++) {
        bool is_crash = number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
        if (number != SIGKILL && number != SIGSTOP) CHECK(sigismember(&its, number) == !is_crash);
        CHECK(sigismember(&mine, number) == sigismember(&after, number));
    }
}

static bool is_refused(void) {
    struct rlimit none = {0, 0};
    pthread_t thread;
    sigset_t its;
    if ((!getuid() && setresuid(65534, 65534, 65534)) || setrlimit(RLIMIT_NPROC, &none)) return false;
    return lrb_thread_start(&thread, look_at_mask, &its, "a thread", &err) == LRB_E_IO && !strcmp(err.target, "a thread");
}

/* In a child, as somebody without privileges: the limit applies to nobody else. */
TEST(where_the_system_refuses_a_thread_is_named) {
    int status;
    pid_t child = fork();
    if (!child) _exit(is_refused() ? 0 : 1);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
}

int main(void) {
    RUN(a_thread_takes_the_signals_of_a_crash_and_no_other);
    RUN(where_the_system_refuses_a_thread_is_named);
    return check_report();
}
