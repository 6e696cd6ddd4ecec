/*
 * Holds the namespaces of a pod open, and does nothing else.
 *
 * It is process 1 of its pod, so two things are its duty: to end when it is told to (a process 1 ignores signals that
 * it has not asked for), and to bury the children it inherits when a pod shares its process namespace.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    sigset_t awaited;
    int number;

    sigemptyset(&awaited);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGCHLD);
    /* Blocked, so that each waits for sigwait: no handler, and no race with one. */
    if (sigprocmask(SIG_BLOCK, &awaited, NULL) != 0)
        return 1;

    for (;;) {
        if (sigwait(&awaited, &number) != 0)
            return 1;
        if (number != SIGCHLD)
            return 0;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}
