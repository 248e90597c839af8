/* session ADDRESS PORT PARALLEL SECONDS: whole TCP sessions with tcpd, so many at a time: connect, 9 bytes
 * asked, 200 bytes answered, close. The client closes first, so that TIME_WAIT stays on the client's side of
 * each leg, where net.ipv4.tcp_tw_reuse clears it. */
#include "common.h"

enum { REQUEST = 9, ANSWER = 200, MOST = 1024 };

struct session {
    int fd;
    int have;
    bool asked;
};

static struct session all[MOST];
static struct sockaddr_in to;
static int epoll;

static void begin(struct session *s) {
    s->have = 0;
    s->asked = false;
    s->fd = dial(to, false);
    if (s->fd < 0)
        die("connect: %s", strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, s->fd, EPOLLOUT, s);
}

/* True when the session is complete. */
static bool step(struct session *s) {
    char buffer[512];
    if (!s->asked) {
        if (send(s->fd, "S request", REQUEST, MSG_NOSIGNAL) != REQUEST)
            die("a session failed: %s", strerror(errno));
        s->asked = true;
        watch(epoll, EPOLL_CTL_MOD, s->fd, EPOLLIN, s);
        return false;
    }
    ssize_t n = recv(s->fd, buffer, sizeof buffer, 0);
    if (n <= 0)
        die("a session ended early: %s", n == 0 ? "end of file" : strerror(errno));
    s->have += (int)n;
    return s->have >= ANSWER;
}

int main(int argc, char **argv) {
    if (argc != 5)
        die("usage: session ADDRESS PORT PARALLEL SECONDS");
    to = address(argv[1], atoi(argv[2]));
    int parallel = atoi(argv[3]), running = 0;
    if (parallel < 1 || parallel > MOST)
        die("parallel: 1 to %d", MOST);
    epoll = epoll_create1(0);
    int64_t start = now_ns(), end = start + (int64_t)(atof(argv[4]) * SECOND), last = start;
    long sessions = 0;
    for (; running < parallel; running++)
        begin(&all[running]);
    while (running > 0) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 1000);
        if (n == 0)
            die("%d sessions stand still", running);
        for (int i = 0; i < n; i++) {
            struct session *s = events[i].data.ptr;
            if (!step(s))
                continue;
            close(s->fd);
            sessions++;
            last = now_ns();
            if (last < end)
                begin(s);
            else
                running--;
        }
    }
    printf("sessions=%ld seconds=%.6f\n", sessions, (double)(last - start) / SECOND);
    return 0;
}
