/* wsd ADDRESS PORT: the WebSocket echo server. It answers the upgrade, and sends every frame back as it comes
 * in, unmasked, without waiting for the whole of it. A ping becomes a pong; a frame without a mask ends the connection. */
#include "websocket.h"

enum { CHUNK = 256 << 10 };

struct conn {
    int fd;
    bool upgraded;
    struct frame frame;
    unsigned char *unsent; /* what the socket did not take; meanwhile nothing is read */
    size_t unsent_at, unsent_end;
    size_t have;
    char request[REQUEST_MOST];
};

static int epoll;

static void drop(struct conn *c) {
    close(c->fd);
    free(c->unsent);
    free(c);
}

/* False when the connection is gone. */
static bool put(struct conn *c, const unsigned char *data, size_t size) {
    ssize_t n = send(c->fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        drop(c);
        return false;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent == size)
        return true;
    if (c->unsent == NULL && (c->unsent = malloc(CHUNK + HEAD_MOST)) == NULL)
        die("no memory");
    memcpy(c->unsent, data + sent, size - sent);
    c->unsent_at = 0;
    c->unsent_end = size - sent;
    watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    return true;
}

static void put_rest(struct conn *c) {
    ssize_t n = send(c->fd, c->unsent + c->unsent_at, c->unsent_end - c->unsent_at, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN)
            drop(c);
        return;
    }
    c->unsent_at += (size_t)n;
    if (c->unsent_at == c->unsent_end)
        watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

/* What these bytes of frames are when they are echoed; their size, or -1 for a frame that no client may send. */
static ssize_t echo(struct frame *f, const unsigned char *in, size_t size, unsigned char *out) {
    size_t from = 0, to = 0;
    while (from < size) {
        if (!f->ready) {
            from += frame_feed(f, in + from, size - from);
            if (!f->ready)
                break;
            if (!(f->head[1] & MASKED))
                return -1;
            unsigned char first = f->head[0];
            to += frame_head(out + to, (first & 15) == PING ? FIN | PONG : first, f->length, NULL);
        }
        uint64_t left = f->length - f->at;
        size_t n = left < size - from ? (size_t)left : size - from;
        mask(out + to, in + from, n, f->head + f->have - 4, f->at);
        from += n, to += n, f->at += n;
        if (f->at == f->length)
            frame_next(f);
    }
    return (ssize_t)to;
}

static void frames(struct conn *c, const unsigned char *in, size_t size) {
    static unsigned char out[CHUNK + HEAD_MOST]; /* a header that began in an earlier read may lengthen the answer */
    ssize_t n = echo(&c->frame, in, size, out);
    if (n < 0)
        drop(c);
    else if (n > 0)
        put(c, out, (size_t)n);
}

static void upgrade(struct conn *c) {
    char answer[256], accept[ACCEPT + 1];
    c->request[c->have] = 0;
    char *end = strstr(c->request, "\r\n\r\n");
    const char *key = field(c->request, "Sec-WebSocket-Key");
    if (end == NULL && c->have < sizeof c->request - 1)
        return;
    if (end == NULL || key == NULL || strcspn(key, "\r") != KEY || field(c->request, "Upgrade") == NULL) {
        fprintf(stderr, "no request to upgrade: %.60s\n", c->request);
        drop(c);
        return;
    }
    accept_for(key, accept);
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    c->upgraded = true;
    size_t head = (size_t)(end + 4 - c->request);
    if (put(c, (unsigned char *)answer, (size_t)length) && c->have > head)
        frames(c, (unsigned char *)c->request + head, c->have - head);
}

static void take(struct conn *c) {
    static unsigned char in[CHUNK];
    ssize_t n = c->upgraded ? recv(c->fd, in, sizeof in, 0)
                            : recv(c->fd, c->request + c->have, sizeof c->request - 1 - c->have, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            drop(c);
    } else if (c->upgraded) {
        frames(c, in, (size_t)n);
    } else {
        c->have += (size_t)n;
        upgrade(c);
    }
}

int main(int argc, char **argv) {
    if (argc != 3)
        die("usage: wsd ADDRESS PORT");
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
                if (events[i].events & EPOLLOUT)
                    put_rest(c);
                else
                    take(c);
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
