/* bulk ADDRESS PORT CONNECTIONS SECONDS cheap|copy|verify: download from tcpd.
 * cheap: the source uses sendfile, and this sink drops the data in the kernel, unread (MSG_TRUNC), so that
 * the relay is the limit. copy: both ends copy, as programs do. verify: every byte is compared with the pattern.
 * Prints `begin` when the window opens and the figures when it shuts, then holds the connections
 * until stdin says that the gateway's CPU has been read. */
#include "common.h"

enum { MOST = 1024, CHUNK = 1 << 20, PATTERN = 16 << 20 };

static char buffer[CHUNK];
static int64_t offset[MOST];

static void verify(int which, ssize_t n) {
    for (ssize_t i = 0; i < n; i++) {
        uint64_t at = (uint64_t)(offset[which] + i) % PATTERN, word = at & ~7ULL;
        if (buffer[i] != ((char *)&word)[at & 7])
            die("byte %lld of connection %d is wrong", (long long)(offset[which] + i), which);
    }
}

int main(int argc, char **argv) {
    if (argc != 6)
        die("usage: bulk ADDRESS PORT CONNECTIONS SECONDS cheap|copy|verify");
    struct sockaddr_in to = address(argv[1], atoi(argv[2]));
    int connections = atoi(argv[3]);
    double seconds = atof(argv[4]);
    bool cheap = strcmp(argv[5], "cheap") == 0, checked = strcmp(argv[5], "verify") == 0;
    if (connections < 1 || connections > MOST)
        die("connections: 1 to %d", MOST);
    int epoll = epoll_create1(0), fds[MOST];
    for (int i = 0; i < connections; i++) {
        fds[i] = dial(to, true);
        if (fds[i] < 0)
            die("connection %d: %s", i, strerror(errno));
        if (send(fds[i], checked || cheap ? "B" : "C", 1, MSG_NOSIGNAL) != 1)
            die("connection %d: %s", i, strerror(errno));
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        watch(epoll, EPOLL_CTL_ADD, fds[i], EPOLLIN, (void *)(intptr_t)i);
    }
    int64_t bytes = 0, start = now_ns(), begin = 0, end = start + 5 * SECOND;
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < n; i++) {
            int which = (int)(intptr_t)events[i].data.ptr;
            ssize_t got = recv(fds[which], buffer, sizeof buffer, cheap ? MSG_TRUNC : 0);
            if (got > 0) {
                if (checked)
                    verify(which, got);
                offset[which] += got;
                bytes += got;
            } else if (got == 0 || errno != EAGAIN) {
                die("connection %d ended early: %s", which, got == 0 ? "end of file" : strerror(errno));
            }
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
                die("no data within 5 s");
            int starved = 0;
            for (int i = 0; i < connections; i++)
                starved += offset[i] == 0;
            printf("bytes=%lld seconds=%.6f starved=%d\n", (long long)bytes, (double)(now - begin) / SECOND, starved);
            fflush(stdout);
            getchar();
            return 0;
        }
    }
}
