/* echo ADDRESS PORT SECONDS: 64-byte messages to tcpd and back, one in flight; prints the round trip's
 * median and 99th percentile in microseconds. */
#include "common.h"

enum { SIZE = 64, MOST = 4 << 20, WARM = 200 };

static uint32_t samples[MOST];

static void trip(int fd) {
    char message[SIZE];
    memset(message, 'E', SIZE);
    if (send(fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
        die("send: %s", strerror(errno));
    for (ssize_t have = 0; have < SIZE;) {
        ssize_t n = recv(fd, message, SIZE, 0);
        if (n <= 0)
            die("the echo ended early: %s", n == 0 ? "end of file" : strerror(errno));
        have += n;
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        die("usage: echo ADDRESS PORT SECONDS");
    int fd = dial(address(argv[1], atoi(argv[2])), true);
    if (fd < 0)
        die("connect: %s", strerror(errno));
    struct timeval patience = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (int i = 0; i < WARM; i++)
        trip(fd);
    size_t count = 0;
    int64_t before = now_ns(), end = before + (int64_t)(atof(argv[3]) * SECOND);
    while (before < end && count < MOST) {
        trip(fd);
        int64_t after = now_ns();
        samples[count++] = (uint32_t)(after - before);
        before = after;
    }
    double p50 = percentile(samples, count, 0.5) / 1000, p99 = percentile(samples, count, 0.99) / 1000;
    printf("trips=%zu p50=%.2f p99=%.2f\n", count + WARM, p50, p99);
    return 0;
}
