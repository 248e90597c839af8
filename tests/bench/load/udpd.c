/* udpd ADDRESS PORT: an echo of datagrams, in batches. One socket, no state: what it loses, the socket's buffer lost. */
#include "common.h"

enum { BATCH = 64, LARGEST = 2048 };

int main(int argc, char **argv) {
    if (argc != 3)
        die("usage: udpd ADDRESS PORT");
    struct sockaddr_in at = address(argv[1], atoi(argv[2]));
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 16 << 20;
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        die("bind: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    static char data[BATCH][LARGEST];
    static struct sockaddr_in from[BATCH];
    static struct iovec parts[BATCH];
    static struct mmsghdr batch[BATCH];
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){data[i], LARGEST};
            batch[i].msg_hdr = (struct msghdr){
                .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int n = recvmmsg(fd, batch, BATCH, MSG_WAITFORONE, NULL);
        if (n < 0) {
            if (errno == EINTR || errno == ECONNREFUSED)
                continue;
            die("recvmmsg: %s", strerror(errno));
        }
        for (int i = 0; i < n; i++)
            parts[i].iov_len = batch[i].msg_len;
        for (int sent = 0; sent < n;) {
            int m = sendmmsg(fd, batch + sent, (unsigned)(n - sent), 0);
            sent += m > 0 ? m : 1; /* a refused datagram is lost, and the next is sent */
        }
    }
}
