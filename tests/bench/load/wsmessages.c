/* wsmessages ADDRESS PORT IN-FLIGHT SECONDS: messages of 125 bytes to wsd and back over one WebSocket, so many in
 * flight: for each echo that arrives, another message is sent. Every message has a number and every byte of every
 * echo is compared. The first 200 are not in the figures, except in `echoed`. Prints the median and 99th percentile of the round trip in microseconds. */
#include "websocket.h"

enum { HEAD = 6, WHOLE = HEAD + SMALL, MOST = 8 << 20, WINDOW = 1024, ROOM = 256 << 10, WARM = 200 };

static uint32_t samples[MOST];
static int64_t sent_at[WINDOW];
static unsigned char payload[SMALL], masked[WHOLE], batch[WINDOW * WHOLE];
static uint64_t sent, echoed;

static void push(int fd, int count) {
    int64_t now = now_ns();
    for (int i = 0; i < count; i++, sent++) {
        unsigned char *at = batch + i * WHOLE;
        memcpy(at, masked, WHOLE);
        mask(at + HEAD, (unsigned char *)&sent, NUMBER, mask_key, 0);
        sent_at[sent % WINDOW] = now;
    }
    if (send(fd, batch, (size_t)(count * WHOLE), MSG_NOSIGNAL) != count * WHOLE)
        die("send: %s", strerror(errno));
}

static void check(const unsigned char *echo) {
    uint64_t number;
    memcpy(&number, echo, NUMBER);
    if (number != echoed)
        die("echo %llu instead of %llu", (unsigned long long)number, (unsigned long long)echoed);
    if (memcmp(echo + NUMBER, payload + NUMBER, SMALL - NUMBER))
        die("echo %llu is not what was sent", (unsigned long long)number);
}

/* Takes the echoes that have arrived, at least one; how many that were. */
static int pull(int fd, size_t *count) {
    static unsigned char in[ROOM];
    static size_t have;
    const size_t whole = 2 + SMALL;
    int found = 0;
    while (found == 0) {
        ssize_t n = recv(fd, in + have, sizeof in - have, 0);
        if (n <= 0)
            die("the echo ended early: %s", n == 0 ? "end of file" : strerror(errno));
        have += (size_t)n;
        int64_t now = now_ns();
        size_t at = 0;
        for (; have - at >= whole; at += whole, found++, echoed++) {
            if (in[at] != (FIN | BINARY) || in[at + 1] != SMALL)
                die("a frame with a header that nobody sent: %02x %02x", in[at], in[at + 1]);
            check(in + at + 2);
            if (echoed >= WARM && *count < MOST)
                samples[(*count)++] = (uint32_t)(now - sent_at[echoed % WINDOW]);
        }
        memmove(in, in + at, have - at);
        have -= at;
    }
    return found;
}

int main(int argc, char **argv) {
    if (argc != 5)
        die("usage: wsmessages ADDRESS PORT IN-FLIGHT SECONDS");
    int in_flight = atoi(argv[3]);
    if (in_flight < 1 || in_flight > WINDOW)
        die("in flight: 1 to %d", WINDOW);
    make_payload(payload, SMALL);
    frame_head(masked, FIN | BINARY, SMALL, mask_key);
    mask(masked + HEAD, payload, SMALL, mask_key, 0);
    int fd = open_websocket(address("0.0.0.0", 0), address(argv[1], atoi(argv[2])));
    size_t count = 0;
    push(fd, in_flight);
    while (echoed < WARM)
        push(fd, pull(fd, &count));
    uint64_t first = echoed;
    int64_t begin = now_ns(), end = begin + (int64_t)(atof(argv[4]) * SECOND), now = begin;
    for (count = 0; now < end; now = now_ns())
        push(fd, pull(fd, &count));
    double seconds = (double)(now - begin) / SECOND;
    double p50 = percentile(samples, count, 0.5) / 1000, p99 = percentile(samples, count, 0.99) / 1000;
    printf("messages=%llu echoed=%llu seconds=%.6f p50=%.2f p99=%.2f\n", (unsigned long long)(echoed - first),
           (unsigned long long)echoed, seconds, p50, p99);
    return 0;
}
