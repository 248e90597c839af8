/* session ADDRESS PORT PARALLEL SECONDS [TARGET TARGET-PORT]: whole TCP sessions with tcpd, so many at a time:
 * connect, 9 bytes asked, 200 bytes answered, close. With a target, ADDRESS is a SOCKS5 proxy without a password,
 * which is greeted and asked for the target first, each in a packet of its own, as clients do.
 * The client closes first, so that TIME_WAIT stays on the client's side of each leg, where net.ipv4.tcp_tw_reuse
 * clears it. */
#include "common.h"

enum { REQUEST = 9, ANSWER = 200, MOST = 1024 };
enum { HELLO = 2, SOCKS_IPV4 = 10, SOCKS_IPV6 = 22 };

/* What is awaited. */
enum state { CONNECTED, GREETED, JOINED, ANSWERED };

struct session {
    int fd;
    enum state state;
    int have;
    unsigned char head[SOCKS_IPV6];
};

static struct session all[MOST];
static struct sockaddr_in to;
static unsigned char ask[SOCKS_IPV4] = {5, 1, 0, 1};
static bool socks;
static int epoll;

static void begin(struct session *s) {
    s->have = 0;
    s->state = CONNECTED;
    s->fd = dial(to, false);
    if (s->fd < 0)
        die("connect: %s", strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, s->fd, EPOLLOUT, s);
}

static void say(struct session *s, const void *data, size_t size, enum state next) {
    if (send(s->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("a session failed: %s", strerror(errno));
    s->state = next;
    s->have = 0;
}

static int receive(struct session *s, void *buffer, size_t size) {
    ssize_t n = recv(s->fd, buffer, size, 0);
    if (n <= 0)
        die("a session ended early: %s", n == 0 ? "end of file" : strerror(errno));
    s->have += (int)n;
    return s->have;
}

/* Once the proxy's whole answer is there. Nothing follows it: the server does not speak first. */
static bool told(struct session *s, int size) {
    receive(s, s->head + s->have, sizeof s->head - (size_t)s->have);
    if (size == SOCKS_IPV4 && s->have > 3 && s->head[3] == 4)
        size = SOCKS_IPV6;
    if (s->have >= 2 && (s->head[0] != 5 || s->head[1] != 0))
        die("the proxy answers %d %d", s->head[0], s->head[1]);
    return s->have >= size;
}

/* True when the session is complete. */
static bool step(struct session *s) {
    char buffer[512];
    switch (s->state) {
    case CONNECTED:
        if (socks)
            say(s, "\5\1\0", 3, GREETED);
        else
            say(s, "S request", REQUEST, ANSWERED);
        watch(epoll, EPOLL_CTL_MOD, s->fd, EPOLLIN, s);
        return false;
    case GREETED:
        if (told(s, HELLO))
            say(s, ask, sizeof ask, JOINED);
        return false;
    case JOINED:
        if (told(s, SOCKS_IPV4))
            say(s, "S request", REQUEST, ANSWERED);
        return false;
    case ANSWERED:
        return receive(s, buffer, sizeof buffer) >= ANSWER;
    }
    return false;
}

int main(int argc, char **argv) {
    if (argc != 5 && argc != 7)
        die("usage: session ADDRESS PORT PARALLEL SECONDS [TARGET TARGET-PORT]");
    to = address(argv[1], atoi(argv[2]));
    if (argc == 7) {
        struct sockaddr_in target = address(argv[5], atoi(argv[6]));
        memcpy(ask + 4, &target.sin_addr, 4);
        memcpy(ask + 8, &target.sin_port, 2);
        socks = true;
    }
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
