/* A blocking FTP client in four calls, for the tools that hold or break sessions and do not race. */
#ifndef BENCH_FTPDIAL_H
#define BENCH_FTPDIAL_H

#include "common.h"

/* Send a command (none when NULL) and read the last line of its reply into `line`; 0 when the peer is gone. */
UNUSED static int ask(int fd, const char *command, char *line, size_t room) {
    if (command != NULL && send(fd, command, strlen(command), MSG_NOSIGNAL) < 0)
        return 0;
    for (size_t have = 0;;) {
        ssize_t n = recv(fd, line + have, room - 1 - have, 0);
        if (n <= 0)
            return 0;
        have += (size_t)n;
        line[have] = 0;
        if (line[have - 1] != '\n')
            continue;
        char *last = line;
        for (char *at = line; (at = strchr(at, '\n')) != NULL && at[1] != 0;)
            last = ++at;
        if (strlen(last) > 3 && last[3] == ' ') {
            memmove(line, last, strlen(last) + 1);
            return atoi(line);
        }
    }
}

/* Connect from `source`, log in; the control connection, or -1. */
UNUSED static int log_in(struct sockaddr_in source, struct sockaddr_in to) {
    char line[2048];
    struct timeval patience = {.tv_sec = 10};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    no_delay(fd);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0 && ask(fd, NULL, line, sizeof line) == 220 &&
        ask(fd, "USER bench\r\n", line, sizeof line) == 331 && ask(fd, "PASS bench\r\n", line, sizeof line) == 230)
        return fd;
    close(fd);
    return -1;
}

#endif
