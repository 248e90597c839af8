/* transfer ADDRESS PORT ftp|tcp retr|stor COUNT SECONDS: endless transfers, so many at once, by one epoll.
 * ftp: each logs in to ftpd and takes a passive data channel of its own. tcp: the same bytes from or to tcpd,
 * on bare connections, for relays that do not know FTP. Both ends are as cheap as they get: sources use sendfile,
 * sinks drop the data in the kernel, unread (MSG_TRUNC), so that the relay is the limit.
 * Prints `begin` when the window opens and the figures when it shuts, then holds the connections
 * until stdin says that the gateway's CPU has been read. */
#include "ftpdial.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { MOST = 256, BLOCK = 1 << 20, LINE = 2048 };

static char unread[BLOCK];
static int64_t moved[MOST];

static void expect(int fd, const char *command, int code, char *line) {
    if (ask(fd, command, line, LINE) != code)
        die("%.4s wants %d and got: %.80s", command, code, line);
}

/* The data connection of a new FTP session, its transfer begun; the control connection stays open. */
static int open_channel(struct sockaddr_in server, bool upload) {
    char line[LINE] = "", text[32];
    unsigned a[6];
    int control = log_in(address("0.0.0.0", 0), server);
    if (control < 0)
        die("no login: %s", strerror(errno));
    expect(control, "TYPE I\r\n", 200, line);
    expect(control, "PASV\r\n", 227, line);
    const char *numbers = strchr(line, '(');
    if (numbers == NULL || sscanf(numbers, "(%u,%u,%u,%u,%u,%u)", a, a + 1, a + 2, a + 3, a + 4, a + 5) != 6)
        die("no address in: %s", line);
    snprintf(text, sizeof text, "%u.%u.%u.%u", a[0] & 255, a[1] & 255, a[2] & 255, a[3] & 255);
    int data = dial(address(text, (int)((a[4] & 255) << 8 | (a[5] & 255))), true);
    if (data < 0)
        die("data connection: %s", strerror(errno));
    expect(control, upload ? "STOR 0\r\n" : "RETR 0\r\n", 150, line);
    return data;
}

static int open_stream(struct sockaddr_in server, bool upload) {
    int data = dial(server, true);
    if (data < 0 || send(data, upload ? "U" : "B", 1, MSG_NOSIGNAL) != 1)
        die("connection: %s", strerror(errno));
    return data;
}

int main(int argc, char **argv) {
    if (argc != 7)
        die("usage: transfer ADDRESS PORT ftp|tcp retr|stor COUNT SECONDS");
    struct sockaddr_in server = address(argv[1], atoi(argv[2]));
    bool ftp = !strcmp(argv[3], "ftp"), upload = !strcmp(argv[4], "stor");
    int count = atoi(argv[5]), epoll = epoll_create1(0), fds[MOST], block = memfd_create("block", 0);
    double seconds = atof(argv[6]);
    if (count < 1 || count > MOST)
        die("count: 1 to %d", MOST);
    if (block < 0 || ftruncate(block, BLOCK) < 0)
        die("memfd: %s", strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < count; i++) {
        fds[i] = ftp ? open_channel(server, upload) : open_stream(server, upload);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        watch(epoll, EPOLL_CTL_ADD, fds[i], upload ? EPOLLOUT : EPOLLIN, (void *)(intptr_t)i);
    }
    int64_t before[MOST] = {0}, bytes = 0, start = now_ns(), begin = 0, end = start + 5 * SECOND;
    for (;;) {
        struct epoll_event events[MOST];
        int n = epoll_wait(epoll, events, MOST, 100);
        for (int i = 0; i < n; i++) {
            int which = (int)(intptr_t)events[i].data.ptr;
            off_t from = 0;
            ssize_t got = upload ? sendfile(fds[which], block, &from, BLOCK)
                                 : recv(fds[which], unread, sizeof unread, MSG_TRUNC);
            if (got > 0) {
                moved[which] += got;
                bytes += got;
            } else if (got == 0 || errno != EAGAIN) {
                die("transfer %d ended early: %s", which, got == 0 ? "end of file" : strerror(errno));
            }
        }
        int64_t now = now_ns();
        /* The window opens 0.3 s after the first byte: slow start is over, and the socket buffers on the way are full. */
        if (begin == 0 && bytes > 0 && now - start > SECOND * 3 / 10) {
            begin = now;
            end = begin + (int64_t)(seconds * SECOND);
            bytes = 0;
            memcpy(before, moved, sizeof before);
            puts("begin");
            fflush(stdout);
        } else if (now >= end) {
            if (begin == 0)
                die("no data within 5 s");
            int starved = 0;
            for (int i = 0; i < count; i++)
                starved += moved[i] == before[i];
            printf("bytes=%lld seconds=%.6f starved=%d\n", (long long)bytes, (double)(now - begin) / SECOND, starved);
            fflush(stdout);
            getchar();
            return 0;
        }
    }
}
