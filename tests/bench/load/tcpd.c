/* tcpd ADDRESS PORT: the server behind the plain relays. The first byte of a connection says what it wants:
 * B an endless stream by sendfile from memory (the cheap end), C the same by send from a buffer,
 * E an echo, S a session (9 bytes asked, 200 answered; the client closes first), U an upload, dropped unread. */
#include "common.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { PATTERN = 16 << 20, CHUNK = 1 << 20, REQUEST = 9, ANSWER = 200 };

struct conn {
    int fd;
    char role;
    int have;
    off_t at;
};

static int epoll, pattern_fd;
static char *pattern;

/* Each 8 bytes hold their own offset, so that the sink can tell a stream that was mixed up. */
static void make_pattern(void) {
    pattern_fd = memfd_create("pattern", 0);
    if (pattern_fd < 0 || ftruncate(pattern_fd, PATTERN) < 0)
        die("memfd: %s", strerror(errno));
    pattern = mmap(NULL, PATTERN, PROT_READ | PROT_WRITE, MAP_SHARED, pattern_fd, 0);
    if (pattern == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    for (uint64_t i = 0; i < PATTERN; i += 8)
        memcpy(pattern + i, &i, 8);
}

static void drop(struct conn *c) {
    close(c->fd);
    free(c);
}

static void pump(struct conn *c) {
    size_t room = PATTERN - (size_t)c->at;
    size_t want = room < CHUNK ? room : CHUNK;
    ssize_t n;
    if (c->role == 'B') {
        off_t from = c->at;
        n = sendfile(c->fd, pattern_fd, &from, want);
    } else {
        n = send(c->fd, pattern + c->at, want, MSG_NOSIGNAL);
    }
    if (n > 0)
        c->at = (c->at + n) % PATTERN;
    else if (errno != EAGAIN && errno != EINTR)
        drop(c);
}

static void answer(struct conn *c) {
    static char buffer[65536], unread[CHUNK];
    bool upload = c->role == 'U';
    ssize_t n = upload ? recv(c->fd, unread, sizeof unread, MSG_TRUNC) : recv(c->fd, buffer, sizeof buffer, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            drop(c);
        return;
    }
    if (c->role == 0)
        c->role = buffer[0];
    if (c->role == 'B' || c->role == 'C') {
        watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    } else if (c->role == 'E') {
        if (send(c->fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
            drop(c);
    } else if (c->role == 'S') {
        c->have += (int)n;
        if (c->have >= REQUEST) {
            c->have -= REQUEST;
            memset(buffer, 'a', ANSWER);
            if (send(c->fd, buffer, ANSWER, MSG_NOSIGNAL) != ANSWER)
                drop(c);
        }
    } else if (c->role != 'U') {
        drop(c);
    }
}

int main(int argc, char **argv) {
    if (argc != 3)
        die("usage: tcpd ADDRESS PORT");
    signal(SIGPIPE, SIG_IGN);
    make_pattern();
    epoll = epoll_create1(0);
    int listener = listen_at(address(argv[1], atoi(argv[2])), 4096);
    if (listener < 0)
        die("cannot listen at %s:%s: %s", argv[1], argv[2], strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[128];
        int n = epoll_wait(epoll, events, 128, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c != NULL) {
                /* Level-triggered: what is not done now is reported again. */
                if (events[i].events & EPOLLOUT)
                    pump(c);
                else
                    answer(c);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                no_delay(fd);
                c = calloc(1, sizeof *c);
                c->fd = fd;
                watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
            }
        }
    }
}
