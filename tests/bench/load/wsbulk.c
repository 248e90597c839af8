/* wsbulk ADDRESS PORT CONNECTIONS SECONDS sample|verify: binary messages of 1 MiB to wsd and back, two in flight on
 * each WebSocket. The source uses sendfile from a payload that was masked once; the sink reads each header and the
 * message's number and drops the rest in the kernel, unread (MSG_TRUNC), except in every 16th message, of which every
 * byte is compared (verify: in every message). So the relay is the limit, with the echo server's unmasking.
 * Prints `begin` when the window opens and the figures when it shuts, then holds the connections
 * until stdin says that the gateway's CPU has been read. `bytes` are payload bytes that came back. */
#include "websocket.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { MOST = 256, SIZE = 1 << 20, HEAD = 14, IN_FLIGHT = 2, SAMPLE = 16, READ = 256 << 10 };

struct link {
    int fd;
    bool blocked;
    uint64_t sent, echoed;
    size_t sent_at;      /* of the message that is being sent, with its header */
    uint64_t message_at; /* of the message that comes back */
    struct frame frame;
    unsigned char number[NUMBER];
};

static struct link links[MOST];
static unsigned char payload[SIZE];
static int epoll, masked_fd, sample = SAMPLE;
static int64_t bytes;

static void make_message(void) {
    make_payload(payload, SIZE);
    masked_fd = memfd_create("masked", 0);
    if (masked_fd < 0 || ftruncate(masked_fd, SIZE) < 0)
        die("memfd: %s", strerror(errno));
    unsigned char *masked = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, masked_fd, 0);
    if (masked == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    mask(masked, payload, SIZE, mask_key, 0);
}

/* One piece of the message: its header and number, or what follows those. */
static ssize_t send_piece(struct link *l) {
    unsigned char front[HEAD + NUMBER];
    if (l->sent_at >= sizeof front) {
        off_t from = (off_t)(l->sent_at - HEAD);
        return sendfile(l->fd, masked_fd, &from, SIZE - (size_t)from);
    }
    frame_head(front, FIN | BINARY, SIZE, mask_key);
    mask(front + HEAD, (unsigned char *)&l->sent, NUMBER, mask_key, 0);
    return send(l->fd, front + l->sent_at, sizeof front - l->sent_at, MSG_NOSIGNAL | MSG_MORE);
}

static void push(struct link *l) {
    bool blocked = false;
    while (!blocked && l->sent - l->echoed < IN_FLIGHT) {
        ssize_t n = send_piece(l);
        if (n < 0 && errno != EAGAIN)
            die("a message could not be sent: %s", strerror(errno));
        blocked = n < 0;
        l->sent_at += n < 0 ? 0 : (size_t)n;
        if (l->sent_at == HEAD + SIZE) {
            l->sent++;
            l->sent_at = 0;
        }
    }
    if (blocked != l->blocked)
        watch(epoll, EPOLL_CTL_MOD, l->fd, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, l);
    l->blocked = blocked;
}

/* A part of the payload, read, compared or dropped; what recv said. */
static ssize_t take_payload(struct link *l) {
    static unsigned char buffer[READ];
    uint64_t left = l->frame.length - l->frame.at, at = l->message_at;
    ssize_t n;
    if (at + left > SIZE)
        die("an echo longer than what was sent");
    if (at < NUMBER) {
        uint64_t lacks = NUMBER - at;
        n = recv(l->fd, l->number + at, left < lacks ? left : lacks, 0);
    } else {
        bool compare = l->echoed % (uint64_t)sample == 0;
        n = recv(l->fd, buffer, left < READ ? left : READ, compare ? 0 : MSG_TRUNC);
        if (n > 0 && compare && memcmp(buffer, payload + at, (size_t)n))
            die("echo %llu is not what was sent", (unsigned long long)l->echoed);
    }
    if (n > 0) {
        l->frame.at += (uint64_t)n;
        l->message_at += (uint64_t)n;
        bytes += n;
    }
    return n;
}

static void end_message(struct link *l) {
    uint64_t number;
    memcpy(&number, l->number, NUMBER);
    if (l->message_at != SIZE || number != l->echoed)
        die("echo %llu has %llu bytes and says that it is %llu", (unsigned long long)l->echoed,
            (unsigned long long)l->message_at, (unsigned long long)number);
    l->echoed++;
    l->message_at = 0;
    push(l);
}

/* Takes what has arrived, up to the end of a message; a gateway may have cut a message into several frames. */
static void pull(struct link *l) {
    unsigned char head[HEAD_MOST];
    for (;;) {
        struct frame *f = &l->frame;
        ssize_t n = f->ready ? take_payload(l) : recv(l->fd, head, frame_lacks(f), 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            die("a connection ended early: %s", n == 0 ? "end of file" : strerror(errno));
        if (!f->ready)
            frame_feed(f, head, (size_t)n);
        if (f->ready && ((f->head[0] & 15) >= CLOSE || f->head[1] & MASKED || f->length == 0))
            die("a frame that nobody sent: %02x %02x", f->head[0], f->head[1]);
        if (f->ready && f->at == f->length) {
            bool last = f->head[0] & FIN;
            frame_next(f);
            if (last) {
                end_message(l);
                return;
            }
        }
    }
}

static void report(int connections, double seconds) {
    int starved = 0;
    for (int i = 0; i < connections; i++)
        starved += links[i].echoed == 0;
    printf("bytes=%lld seconds=%.6f starved=%d\n", (long long)bytes, seconds, starved);
    fflush(stdout);
    getchar();
}

int main(int argc, char **argv) {
    if (argc != 6)
        die("usage: wsbulk ADDRESS PORT CONNECTIONS SECONDS sample|verify");
    struct sockaddr_in to = address(argv[1], atoi(argv[2]));
    int connections = atoi(argv[3]);
    double seconds = atof(argv[4]);
    if (connections < 1 || connections > MOST)
        die("connections: 1 to %d", MOST);
    if (!strcmp(argv[5], "verify"))
        sample = 1;
    signal(SIGPIPE, SIG_IGN);
    make_message();
    epoll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        links[i].fd = open_websocket(address("0.0.0.0", 0), to);
        fcntl(links[i].fd, F_SETFL, O_NONBLOCK);
        watch(epoll, EPOLL_CTL_ADD, links[i].fd, EPOLLIN, &links[i]);
        push(&links[i]);
    }
    int64_t start = now_ns(), begin = 0, end = start + 10 * SECOND;
    for (;;) {
        struct epoll_event events[MOST];
        int n = epoll_wait(epoll, events, MOST, 100);
        for (int i = 0; i < n; i++) {
            if (events[i].events & EPOLLOUT)
                push(events[i].data.ptr);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                pull(events[i].data.ptr);
        }
        int64_t now = now_ns();
        /* The window opens 0.3 s after the first byte: slow start and the relay's own start-up are over. */
        if (begin == 0 && bytes > 0 && now - start > SECOND * 3 / 10) {
            begin = now;
            end = begin + (int64_t)(seconds * SECOND);
            bytes = 0;
            puts("begin");
            fflush(stdout);
        } else if (now >= end) {
            if (begin == 0)
                die("no data within 10 s");
            report(connections, (double)(now - begin) / SECOND);
            return 0;
        }
    }
}
