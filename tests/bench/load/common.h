/* What every load generator needs: time, percentiles, sockets. Header only, so that each tool is one
 * file and one call of the compiler. Every tool answers in lines of `key=value`; a failure is one line on
 * stderr and status 1. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define SECOND 1000000000LL

/* Both ends take their data ports from here in turn; the kernel's ephemeral range lies above it. Port 0
 * would starve: the kernel never hands out a port that a finished transfer holds in TIME_WAIT. */
#define FIRST_DATA_PORT 10000
#define LAST_DATA_PORT 29999

UNUSED __attribute__((noreturn)) static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

UNUSED static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

UNUSED static struct sockaddr_in address(const char *ip, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, ip, &a.sin_addr) != 1)
        die("%s is no IPv4 address", ip);
    return a;
}

/* The n-th client address, counted from the first and around after `addresses`. */
UNUSED static struct sockaddr_in client(const char *first, int addresses, int n) {
    struct sockaddr_in a = address(first, 0);
    a.sin_addr.s_addr = htonl(ntohl(a.sin_addr.s_addr) + (uint32_t)(n % addresses));
    return a;
}

UNUSED static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Listen at an address; -1 with errno where that is not possible. */
UNUSED static int listen_at(struct sockaddr_in at, int backlog) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, backlog) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Listen at the next free data port of this process; the port is left in `at`. */
UNUSED static int listen_data(struct sockaddr_in *at) {
    static int next = 0;
    const int ports = LAST_DATA_PORT - FIRST_DATA_PORT + 1;
    if (next == 0)
        next = (int)(now_ns() / 1000 % ports);
    for (int tries = 0; tries < ports; tries++) {
        next = (next + 1) % ports;
        at->sin_port = htons((uint16_t)(FIRST_DATA_PORT + next));
        int fd = listen_at(*at, 1);
        if (fd >= 0 || errno != EADDRINUSE)
            return fd;
    }
    return -1;
}

/* Begin a connection; `blocking` waits for it. -1 with errno where that is not possible. */
UNUSED static int dial(struct sockaddr_in to, bool blocking) {
    int fd = socket(AF_INET, SOCK_STREAM | (blocking ? 0 : SOCK_NONBLOCK), 0);
    if (fd < 0)
        return -1;
    no_delay(fd);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && (blocking || errno != EINPROGRESS)) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

UNUSED static void watch(int epoll, int operation, int fd, uint32_t events, void *what) {
    struct epoll_event e = {.events = events, .data.ptr = what};
    if (epoll_ctl(epoll, operation, fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

UNUSED static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The value below which `share` of the samples lie; sorts them in place. */
UNUSED static double percentile(uint32_t *samples, size_t count, double share) {
    if (count == 0)
        return 0;
    qsort(samples, count, sizeof *samples, by_size);
    size_t at = (size_t)(share * (double)count);
    return samples[at < count ? at : count - 1];
}

#endif
