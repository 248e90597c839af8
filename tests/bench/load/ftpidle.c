/* ftpidle ADDRESS PORT FIRST-CLIENT ADDRESSES: one FTP session that probes, and any number that stay idle. Obeys stdin:
 * `open N` logs in until N are held, `probe N` times N NOOPs of the probing session, `check` sends NOOP on
 * every held one and counts the answers, `close` ends them. One line of figures answers each. */
#include "ftpdial.h"

enum { MOST = 16384, PROBES = 100000 };

static int held[MOST], count;
static uint32_t samples[PROBES];

static void probe(int fd, int times) {
    char line[2048];
    if (times > PROBES)
        times = PROBES;
    for (int i = 0; i < times; i++) {
        int64_t before = now_ns();
        if (ask(fd, "NOOP\r\n", line, sizeof line) != 200)
            die("the probing session ended");
        samples[i] = (uint32_t)(now_ns() - before);
    }
    double p50 = percentile(samples, (size_t)times, 0.5) / 1000, p99 = percentile(samples, (size_t)times, 0.99) / 1000;
    printf("p50=%.2f p99=%.2f\n", p50, p99);
}

int main(int argc, char **argv) {
    if (argc != 5)
        die("usage: ftpidle ADDRESS PORT FIRST-CLIENT ADDRESSES");
    struct sockaddr_in to = address(argv[1], atoi(argv[2]));
    int addresses = atoi(argv[4]), n;
    int prober = log_in(client(argv[3], addresses, 0), to);
    if (prober < 0)
        die("the probing session cannot log in: %s", strerror(errno));
    char word[16], line[2048];
    while (scanf("%15s", word) == 1) {
        if (!strcmp(word, "open") && scanf("%d", &n) == 1) {
            while (count < n && count < MOST) {
                int fd = log_in(client(argv[3], addresses, count), to);
                if (fd < 0)
                    die("session %d cannot log in: %s", count, strerror(errno));
                held[count++] = fd;
            }
            printf("held=%d\n", count);
        } else if (!strcmp(word, "probe") && scanf("%d", &n) == 1) {
            probe(prober, n);
        } else if (!strcmp(word, "check")) {
            int answered = 0;
            for (int i = 0; i < count; i++)
                answered += ask(held[i], "NOOP\r\n", line, sizeof line) == 200;
            printf("answered=%d\n", answered);
        } else if (!strcmp(word, "close")) {
            for (int i = 0; i < count; i++)
                close(held[i]);
            count = 0;
            printf("held=0\n");
        } else {
            die("no such order: %s", word);
        }
        fflush(stdout);
    }
    return 0;
}
