/* udpload ADDRESS PORT FLOWS SIZE RATE SECONDS: datagrams to an echo and back, by so many sockets in turn.
 *
 * RATE 0: as many as come back, with a window in flight for each flow; what does not return within 100 ms counts as lost.
 * Otherwise so many a second are sent on a clock, whatever comes back. Each payload begins with a run's mark, a sequence
 * number and the time at which it was due, so that a late sender shows in the round trip; a datagram that comes
 * twice or changed ends the run. Prints sent, back, the share lost and the round trip's percentiles in microseconds. */
#include "common.h"

enum { BATCH = 32, LARGEST = 2048, MOST_FLOWS = 1000 };
#define MOST (8 << 20)
#define GIVE_UP (SECOND / 10)

struct stamp {
    uint64_t mark, sequence;
    int64_t due;
};

struct flow {
    int fd;
    int in_flight;
    int64_t heard;
};

static struct flow flows[MOST_FLOWS];
static uint8_t seen[MOST];
static uint32_t trips[MOST];
static uint64_t mark, sent, counted, first;
static int size;
static int64_t last_back;

/* Send some datagrams on a flow; those that the kernel would not take count as sent, and are lost. */
static void send_some(struct flow *f, int n, int64_t due) {
    static char data[BATCH][LARGEST];
    struct iovec parts[BATCH];
    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < n; i++) {
        struct stamp s = {mark, sent++, due};
        if (sent >= MOST)
            die("more than %d datagrams: a shorter run, please", MOST);
        memcpy(data[i], &s, sizeof s);
        memset(data[i] + sizeof s, (int)(s.sequence & 0xff), (size_t)size - sizeof s);
        parts[i] = (struct iovec){data[i], (size_t)size};
        batch[i].msg_hdr.msg_iov = &parts[i];
        batch[i].msg_hdr.msg_iovlen = 1;
    }
    for (int done = 0; done < n;) {
        int m = sendmmsg(f->fd, batch + done, (unsigned)(n - done), 0);
        done += m > 0 ? m : 1;
    }
    f->in_flight += n;
}

/* Check one echo and take its time; what is of an earlier run is left out. */
static void take(struct flow *f, const char *data, unsigned length, int64_t now) {
    struct stamp s;
    if (length != (unsigned)size)
        die("a datagram of %u bytes came back, of %d", length, size);
    memcpy(&s, data, sizeof s);
    if (s.mark != mark || s.sequence >= sent)
        die("a datagram came back that was never sent");
    if (seen[s.sequence]++)
        die("datagram %llu came twice", (unsigned long long)s.sequence);
    for (int i = (int)sizeof s; i < size; i++)
        if ((uint8_t)data[i] != (s.sequence & 0xff))
            die("datagram %llu was changed", (unsigned long long)s.sequence);
    if (f->in_flight > 0)
        f->in_flight--;
    f->heard = last_back = now;
    if (s.sequence < first)
        return;
    int64_t trip = now - s.due;
    trips[counted++] = trip > UINT32_MAX ? UINT32_MAX : (uint32_t)trip;
}

static void receive(struct flow *f) {
    static char data[BATCH][LARGEST];
    struct iovec parts[BATCH];
    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){data[i], LARGEST};
        batch[i].msg_hdr.msg_iov = &parts[i];
        batch[i].msg_hdr.msg_iovlen = 1;
    }
    int n = recvmmsg(f->fd, batch, BATCH, MSG_DONTWAIT, NULL);
    int64_t now = now_ns();
    for (int i = 0; i < n; i++)
        take(f, data[i], batch[i].msg_len, now);
}

static void poll_all(int epoll, int patience) {
    struct epoll_event events[64];
    int n = epoll_wait(epoll, events, 64, patience);
    for (int i = 0; i < n; i++)
        receive(events[i].data.ptr);
}

/* Keep each flow's window full; a flow that stands still begins anew. */
static void as_many_as_come_back(int epoll, int count, int window, int64_t end) {
    for (int64_t now = now_ns(); now < end; now = now_ns()) {
        for (int i = 0; i < count; i++) {
            struct flow *f = &flows[i];
            if (f->in_flight > 0 && now - f->heard > GIVE_UP)
                f->in_flight = 0;
            if (f->in_flight == 0)
                f->heard = now;
            int room = window - f->in_flight;
            if (room >= (window + 1) / 2)
                send_some(f, room < BATCH ? room : BATCH, now);
        }
        poll_all(epoll, 10);
    }
}

static void by_the_clock(int epoll, int count, double rate, int64_t end) {
    int64_t start = now_ns(), before = (int64_t)sent;
    int turn = 0;
    for (int64_t now = start; now < end; now = now_ns()) {
        int64_t due = before + (int64_t)((double)(now - start) / SECOND * rate);
        while ((int64_t)sent < due) {
            int64_t when = start + (int64_t)((double)((int64_t)sent - before) / rate * SECOND);
            send_some(&flows[turn], 1, when);
            turn = (turn + 1) % count;
        }
        poll_all(epoll, 0);
    }
}

int main(int argc, char **argv) {
    if (argc != 7)
        die("usage: udpload ADDRESS PORT FLOWS SIZE RATE SECONDS");
    struct sockaddr_in to = address(argv[1], atoi(argv[2]));
    int count = atoi(argv[3]), room = 4 << 20, epoll = epoll_create1(0);
    double rate = atof(argv[5]), seconds = atof(argv[6]);
    size = atoi(argv[4]);
    if (count < 1 || count > MOST_FLOWS || size < (int)sizeof(struct stamp) || size > LARGEST)
        die("1 to %d flows, %zu to %d bytes", MOST_FLOWS, sizeof(struct stamp), LARGEST);
    mark = (uint64_t)now_ns() ^ ((uint64_t)getpid() << 40);
    for (int i = 0; i < count; i++) {
        int fd = flows[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
            die("connect: %s", strerror(errno));
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, &flows[i]);
    }
    /* Flows are opened before the window begins, and slowly: a gateway may fork for each. */
    for (int i = 0; i < count; i++) {
        send_some(&flows[i], 1, now_ns());
        for (int64_t until = now_ns() + SECOND; flows[i].in_flight && now_ns() < until;)
            poll_all(epoll, 10);
        flows[i].in_flight = 0;
    }
    if (last_back == 0)
        die("nothing comes back");
    first = sent;
    counted = 0;
    int64_t start = now_ns(), end = start + (int64_t)(seconds * SECOND);
    if (rate > 0)
        by_the_clock(epoll, count, rate, end);
    else
        as_many_as_come_back(epoll, count, count == 1 ? 64 : 4, end);
    int64_t over = now_ns();
    uint64_t in_time = counted;
    while (now_ns() < over + SECOND / 4 && counted < sent - first)
        poll_all(epoll, 10);
    double lost = sent == first ? 0 : 100.0 * (double)(sent - first - counted) / (double)(sent - first);
    double p50 = percentile(trips, counted, 0.5) / 1000, p99 = percentile(trips, counted, 0.99) / 1000;
    printf("sent=%llu back=%llu in_time=%llu lost=%.4f p50=%.2f p99=%.2f seconds=%.6f\n", (unsigned long long)(sent - first),
           (unsigned long long)counted, (unsigned long long)in_time, lost, p50, p99, (double)(over - start) / SECOND);
    return 0;
}
