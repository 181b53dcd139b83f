/* pause holds a pod's namespaces open: it sleeps, reaps children when it is
 * process 1 of a shared PID namespace, and ends at once on SIGTERM or SIGINT. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop(int sig) {
	(void)sig;
	_exit(0);
}

static void reap(int sig) {
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0) {
	}
}

static int on(int sig, void (*handler)(int), int flags) {
	struct sigaction act = {0};
	act.sa_handler = handler;
	act.sa_flags = flags;
	return sigaction(sig, &act, NULL);
}

int main(void) {
	if (on(SIGINT, stop, 0) || on(SIGTERM, stop, 0) || on(SIGCHLD, reap, SA_NOCLDSTOP)) {
		return 1;
	}
	for (;;) {
		pause();
	}
}
