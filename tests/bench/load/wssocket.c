/* wssocket ADDRESS PORT PARALLEL SECONDS: whole WebSockets with wsd, so many at a time: connect, an upgrade whose
 * accept value is verified, one message of 125 bytes and its echo, the closing handshake. The client closes the
 * connection first, so that TIME_WAIT stays on the client's side of each leg, where net.ipv4.tcp_tw_reuse clears it. */
#include "websocket.h"

enum { MOST = 1024, ECHO = 2 + SMALL, CLOSING = 4 };
enum step { CONNECTING, UPGRADING, ECHOING, ENDING };

struct session {
    int fd;
    enum step step;
    size_t have;
    char key[KEY + 1];
    char answer[REQUEST_MOST];
};

static struct session all[MOST];
static struct sockaddr_in to;
static int epoll;
static unsigned char payload[SMALL], message[HEAD_MOST + SMALL], farewell[HEAD_MOST + 2];
static unsigned char echoed[ECHO], farewell_back[CLOSING];
static size_t message_size, farewell_size;

static void prepare(void) {
    const unsigned char normal[2] = {1000 >> 8, 1000 & 255};
    make_payload(payload, SMALL);
    size_t head = frame_head(message, FIN | BINARY, SMALL, mask_key);
    mask(message + head, payload, SMALL, mask_key, 0);
    message_size = head + SMALL;
    memcpy(echoed + frame_head(echoed, FIN | BINARY, SMALL, NULL), payload, SMALL);
    head = frame_head(farewell, FIN | CLOSE, sizeof normal, mask_key);
    mask(farewell + head, normal, sizeof normal, mask_key, 0);
    farewell_size = head + sizeof normal;
    memcpy(farewell_back + frame_head(farewell_back, FIN | CLOSE, sizeof normal, NULL), normal, sizeof normal);
}

static void begin(struct session *s) {
    s->step = CONNECTING;
    s->have = 0;
    s->fd = dial(to, false);
    if (s->fd < 0)
        die("connect: %s", strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, s->fd, EPOLLOUT, s);
}

static void say(struct session *s, const void *data, size_t size, enum step next) {
    if (send(s->fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("a socket failed: %s", strerror(errno));
    s->step = next;
    s->have = 0;
}

static void compare(const struct session *s, const unsigned char *wanted, size_t size, const char *what) {
    if (s->have > size || memcmp(s->answer, wanted, s->have))
        die("a wrong %s", what);
}

/* True when the socket has done all that it should. */
static bool take(struct session *s) {
    ssize_t n = recv(s->fd, s->answer + s->have, sizeof s->answer - 1 - s->have, 0);
    if (n <= 0)
        die("a socket ended early: %s", n == 0 ? "end of file" : strerror(errno));
    s->have += (size_t)n;
    s->answer[s->have] = 0;
    if (s->step == UPGRADING) {
        if (strstr(s->answer, "\r\n\r\n") == NULL)
            return false;
        check_upgrade(s->answer, s->key);
        say(s, message, message_size, ECHOING);
    } else if (s->step == ECHOING) {
        compare(s, echoed, ECHO, "echo");
        if (s->have == ECHO)
            say(s, farewell, farewell_size, ENDING);
    } else {
        compare(s, farewell_back, CLOSING, "answer to the close frame");
        return s->have == CLOSING;
    }
    return false;
}

static bool step(struct session *s) {
    if (s->step != CONNECTING)
        return take(s);
    char request[REQUEST_MOST];
    int length = upgrade_request(request, s->key);
    say(s, request, (size_t)length, UPGRADING);
    watch(epoll, EPOLL_CTL_MOD, s->fd, EPOLLIN, s);
    return false;
}

int main(int argc, char **argv) {
    if (argc != 5)
        die("usage: wssocket ADDRESS PORT PARALLEL SECONDS");
    to = address(argv[1], atoi(argv[2]));
    int parallel = atoi(argv[3]), running = 0;
    if (parallel < 1 || parallel > MOST)
        die("parallel: 1 to %d", MOST);
    prepare();
    epoll = epoll_create1(0);
    int64_t start = now_ns(), end = start + (int64_t)(atof(argv[4]) * SECOND), last = start;
    long sessions = 0;
    for (; running < parallel; running++)
        begin(&all[running]);
    while (running > 0) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 5000);
        if (n == 0)
            die("%d sockets stand still", running);
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
    printf("sockets=%ld seconds=%.6f\n", sessions, (double)(last - start) / SECOND);
    return 0;
}
