/* ftpload ADDRESS PORT pasv|epsv|port|none PARALLEL SECONDS: whole FTP sessions, so many at a time: login, TYPE I, the
 * data command, RETR of 1 KiB, QUIT; with `none` no more than login, TYPE I and QUIT. It connects to the address that
 * 227 gives, whatever it is; in PORT mode it takes one data connection and closes the listener. A session counts when
 * every byte and every reply came. */
#include "common.h"

enum { MOST = 256, SIZE = 1024, ROOM = 2048 };
enum mode { PASV, EPSV, PORT, NONE };
enum step { GREETED, USER, PASS, TYPE, ADDRESS, RETR, COMPLETE, QUIT };

struct session;
struct handle {
    int fd;
    struct session *session;
};
struct session {
    struct handle control, listener, data;
    enum step step;
    bool control_open, data_open, data_done, done_226;
    int got, have;
    char in[ROOM];
};

static struct session all[MOST];
static struct sockaddr_in server;
static enum mode mode;
static int epoll, running;
static long sessions;
static int64_t start_time, end_time, last;

static void send_line(struct session *s, const char *text) {
    size_t size = strlen(text);
    if (send(s->control.fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
        die("control connection, step %d: %s", s->step, strerror(errno));
}

static void shut(struct handle *h) {
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}

static void begin(struct session *s) {
    memset(s, 0, sizeof *s);
    s->control = (struct handle){dial(server, false), s};
    s->listener = (struct handle){-1, s};
    s->data = (struct handle){-1, s};
    if (s->control.fd < 0)
        die("connect: %s", strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, s->control.fd, EPOLLIN, &s->control);
}

static void ask_for_data(struct session *s) {
    if (mode != PORT) {
        send_line(s, mode == PASV ? "PASV\r\n" : "EPSV\r\n");
        return;
    }
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    char text[64];
    getsockname(s->control.fd, (struct sockaddr *)&here, &size);
    s->listener.fd = listen_data(&here);
    if (s->listener.fd < 0)
        die("no port to listen at: %s", strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, s->listener.fd, EPOLLIN, &s->listener);
    unsigned char *a = (unsigned char *)&here.sin_addr;
    int port = ntohs(here.sin_port);
    snprintf(text, sizeof text, "PORT %d,%d,%d,%d,%d,%d\r\n", a[0], a[1], a[2], a[3], port >> 8, port & 255);
    send_line(s, text);
}

static void connect_data(struct session *s, const char *reply) {
    unsigned a[6], port;
    char ip[20];
    struct sockaddr_in to = server;
    const char *numbers = strchr(reply, '(');
    if (mode == EPSV && numbers && sscanf(numbers, "(|||%u|)", &port) == 1)
        to.sin_port = htons((uint16_t)port);
    else if (numbers && sscanf(numbers, "(%u,%u,%u,%u,%u,%u)", a, a + 1, a + 2, a + 3, a + 4, a + 5) == 6) {
        snprintf(ip, sizeof ip, "%u.%u.%u.%u", a[0] & 255, a[1] & 255, a[2] & 255, a[3] & 255);
        to = address(ip, (int)((a[4] & 255) << 8 | (a[5] & 255)));
    } else
        die("no address in: %s", reply);
    s->data.fd = dial(to, false);
    if (s->data.fd < 0)
        die("data connection: %s", strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, s->data.fd, EPOLLOUT, &s->data);
}

static void retrieve(struct session *s) {
    s->step = RETR;
    send_line(s, "RETR 1024\r\n");
}

static void quit(struct session *s) {
    s->step = QUIT;
    send_line(s, "QUIT\r\n");
}

static void quit_when_complete(struct session *s) {
    if (s->data_done && s->done_226)
        quit(s);
}

static void reply(struct session *s, const char *line) {
    static const int wanted[] = {220, 331, 230, 200, 0, 150, 226, 221};
    int want = wanted[s->step], code = atoi(line);
    if (s->step == ADDRESS)
        want = mode == PASV ? 227 : mode == EPSV ? 229 : 200;
    if (code != want && !(s->step == RETR && code == 125))
        die("step %d wants %d and got: %s", s->step, want, line);
    switch (s->step) {
    case GREETED: s->step = USER; send_line(s, "USER bench\r\n"); break;
    case USER: s->step = PASS; send_line(s, "PASS bench\r\n"); break;
    case PASS: s->step = TYPE; send_line(s, "TYPE I\r\n"); break;
    case TYPE:
        if (mode == NONE) {
            quit(s);
        } else {
            s->step = ADDRESS;
            ask_for_data(s);
        }
        break;
    case ADDRESS:
        if (mode == PORT)
            retrieve(s);
        else
            connect_data(s, line);
        break;
    case RETR: s->step = COMPLETE; break;
    case COMPLETE: s->done_226 = true; quit_when_complete(s); break;
    case QUIT:
        shut(&s->control);
        sessions++;
        last = now_ns();
        if (last < end_time)
            begin(s);
        else
            running--;
    }
}

static void read_control(struct session *s) {
    ssize_t n = recv(s->control.fd, s->in + s->have, (size_t)(ROOM - 1 - s->have), 0);
    if (n <= 0)
        die("control connection, step %d: %s", s->step, n == 0 ? "end of file" : strerror(errno));
    s->have += (int)n;
    s->in[s->have] = 0;
    char *from = s->in, *newline;
    while ((newline = strchr(from, '\n')) != NULL) {
        *newline = 0;
        /* Only the last line of a reply counts. */
        bool final = newline - from > 3 && from[0] >= '1' && from[0] <= '5' && from[3] == ' ';
        bool over = final && s->step == QUIT;
        if (final)
            reply(s, from);
        if (over)
            return; /* the session has begun anew or is over */
        from = newline + 1;
    }
    s->have -= (int)(from - s->in);
    memmove(s->in, from, (size_t)s->have + 1);
}

static void read_data(struct session *s) {
    char buffer[4096];
    if (!s->data_open) {
        int why = 0;
        socklen_t size = sizeof why;
        getsockopt(s->data.fd, SOL_SOCKET, SO_ERROR, &why, &size);
        if (why != 0)
            die("data connection: %s", strerror(why));
        s->data_open = true;
        watch(epoll, EPOLL_CTL_MOD, s->data.fd, EPOLLIN, &s->data);
        retrieve(s);
        return;
    }
    ssize_t n = recv(s->data.fd, buffer, sizeof buffer, 0);
    if (n < 0)
        die("data connection: %s", strerror(errno));
    s->got += (int)n;
    if (n == 0) {
        if (s->got != SIZE)
            die("%d bytes came instead of %d", s->got, SIZE);
        shut(&s->data);
        s->data_done = true;
        quit_when_complete(s);
    }
}

static void accept_data(struct session *s) {
    s->data.fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK);
    if (s->data.fd < 0)
        die("accept: %s", strerror(errno));
    shut(&s->listener);
    s->data_open = true;
    watch(epoll, EPOLL_CTL_ADD, s->data.fd, EPOLLIN, &s->data);
}

int main(int argc, char **argv) {
    if (argc != 6)
        die("usage: ftpload ADDRESS PORT pasv|epsv|port|none PARALLEL SECONDS");
    server = address(argv[1], atoi(argv[2]));
    mode = !strcmp(argv[3], "pasv") ? PASV : !strcmp(argv[3], "epsv") ? EPSV : !strcmp(argv[3], "port") ? PORT : NONE;
    int parallel = atoi(argv[4]);
    if (parallel < 1 || parallel > MOST)
        die("parallel: 1 to %d", MOST);
    epoll = epoll_create1(0);
    start_time = last = now_ns();
    end_time = start_time + (int64_t)(atof(argv[5]) * SECOND);
    for (running = 0; running < parallel; running++)
        begin(&all[running]);
    while (running > 0) {
        struct epoll_event events[64];
        int n = epoll_wait(epoll, events, 64, 5000);
        if (n == 0)
            die("%d sessions stand still, the first at step %d", running, all[0].step);
        for (int i = 0; i < n; i++) {
            struct handle *h = events[i].data.ptr;
            if (h->fd < 0)
                continue;
            if (h == &h->session->control)
                read_control(h->session);
            else if (h == &h->session->data)
                read_data(h->session);
            else
                accept_data(h->session);
        }
    }
    printf("sessions=%ld seconds=%.6f\n", sessions, (double)(last - start_time) / SECOND);
    return 0;
}
