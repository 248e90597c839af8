/* ftpsload ADDRESS PORT AUTHORITY plain|tls|front sessions|bulk COUNT SECONDS: FTP clients against ftpsd, a thread each.
 * `tls`: AUTH TLS and PROT P, TLS 1.3, the gateway's certificate verified; the server must report the same of its
 * own two channels. `front`: TLS here, and the server must report none. Every session makes a new handshake on its
 * control connection, and its data connection resumes that one, as curl and lftp do.
 *   sessions: COUNT at a time: login, TYPE, PASV, RETR of 1 KiB, QUIT.
 *   bulk: COUNT endless RETR; prints `begin` when the window opens and the figures when it shuts, then holds the
 *   connections until stdin says that the gateway's CPU has been read. */
#include "tls.h"

enum { MOST = 256, SMALL = 1024, CHUNK = 1 << 20 };

struct worker {
    struct channel control, data;
    volatile int64_t bytes;
    long sessions, data_resumed, server_control_resumed, server_data_resumed;
    int64_t last;
    pthread_t thread;
};

static struct worker all[MOST];
static struct sockaddr_in server;
static SSL_CTX *context;
static bool private, bulk;
static double want_here, want_there;
static int64_t end_time;

static void send_line(struct worker *w, const char *text) {
    if (!channel_write(&w->control, text, strlen(text)))
        die("%s on the control connection", tls_cause());
}

/* Send a command (none when NULL); the last line of its reply, which must have this code, is left in `line`. */
static void ask(struct worker *w, const char *text, int code, char *line, size_t room) {
    if (text != NULL)
        send_line(w, text);
    do {
        if (!channel_line(&w->control, line, room))
            die("%s instead of the reply to %.4s", tls_cause(), text ? text : "nothing");
    } while (strlen(line) < 4 || line[3] != ' ' || line[0] < '1' || line[0] > '5');
    if (atoi(line) != code)
        die("%.4s wants %d and got: %s", text ? text : "(none)", code, line);
}

static void start_tls(struct channel *c, SSL_SESSION *earlier) {
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    X509_VERIFY_PARAM *check = SSL_get0_param(c->ssl);
    X509_VERIFY_PARAM_set1_ip(check, (const unsigned char *)&server.sin_addr, sizeof server.sin_addr);
    if (earlier != NULL)
        SSL_set_session(c->ssl, earlier);
    if (SSL_connect(c->ssl) != 1)
        die("handshake on the %s connection: %s", earlier ? "data" : "control", tls_cause());
    if (channel_version(c) != want_here)
        die("%s instead of TLS %.1f", SSL_get_version(c->ssl), want_here);
}

static void log_in(struct worker *w) {
    char line[512];
    w->control = (struct channel){.fd = dial(server, true)};
    w->data = (struct channel){.fd = -1};
    if (w->control.fd < 0)
        die("connect: %s", strerror(errno));
    be_patient(w->control.fd);
    ask(w, NULL, 220, line, sizeof line);
    if (private) {
        ask(w, "AUTH TLS\r\n", 234, line, sizeof line);
        start_tls(&w->control, NULL);
    }
    ask(w, "USER bench\r\n", 331, line, sizeof line);
    ask(w, "PASS bench\r\n", 230, line, sizeof line);
    if (private) {
        ask(w, "PBSZ 0\r\n", 200, line, sizeof line);
        ask(w, "PROT P\r\n", 200, line, sizeof line);
    }
    ask(w, "TYPE I\r\n", 200, line, sizeof line);
}

/* Up to the point where the file begins. */
static void retrieve(struct worker *w, const char *size) {
    unsigned a[6];
    char line[512], text[64];
    ask(w, "PASV\r\n", 227, line, sizeof line);
    const char *numbers = strchr(line, '(');
    if (numbers == NULL || sscanf(numbers, "(%u,%u,%u,%u,%u,%u)", a, a + 1, a + 2, a + 3, a + 4, a + 5) != 6)
        die("no address in: %s", line);
    snprintf(text, sizeof text, "%u.%u.%u.%u", a[0] & 255, a[1] & 255, a[2] & 255, a[3] & 255);
    w->data.fd = dial(address(text, (int)((a[4] & 255) << 8 | (a[5] & 255))), true);
    if (w->data.fd < 0)
        die("data connection: %s", strerror(errno));
    be_patient(w->data.fd);
    snprintf(text, sizeof text, "RETR %s\r\n", size);
    ask(w, text, 150, line, sizeof line);
    if (private) {
        SSL_SESSION *earlier = SSL_get1_session(w->control.ssl);
        start_tls(&w->data, earlier);
        SSL_SESSION_free(earlier);
    }
}

static void small(struct worker *w) {
    char buffer[4096], line[512];
    int got = 0, control_resumed, data_resumed;
    double control, data;
    ssize_t n;
    retrieve(w, "1024");
    while ((n = channel_read(&w->data, buffer, sizeof buffer)) > 0)
        got += (int)n;
    if (got != SMALL)
        die("%d bytes came instead of %d: %s", got, SMALL, tls_cause());
    w->data_resumed += channel_resumed(&w->data);
    channel_close(&w->data);
    ask(w, NULL, 226, line, sizeof line);
    const char *report = strstr(line, "control=");
    if (report == NULL || sscanf(report, "control=%lf data=%lf control-resumed=%d data-resumed=%d", &control, &data,
                                 &control_resumed, &data_resumed) != 4)
        die("no report in: %s", line);
    if (control != want_there || data != want_there)
        die("the server was to have TLS %.1f on both channels and says: %s", want_there, line);
    w->server_control_resumed += control_resumed;
    w->server_data_resumed += data_resumed;
}

static void *run_sessions(void *self) {
    struct worker *w = self;
    char line[512];
    do {
        log_in(w);
        small(w);
        ask(w, "QUIT\r\n", 221, line, sizeof line);
        channel_close(&w->control);
        w->sessions++;
        w->last = now_ns();
    } while (w->last < end_time);
    return NULL;
}

static void *run_bulk(void *self) {
    struct worker *w = self;
    char *buffer = malloc(CHUNK);
    log_in(w);
    small(w); /* it checks both legs */
    retrieve(w, "0");
    for (;;) {
        /* Plain data is dropped in the kernel, unread, so that the relay is the limit. */
        ssize_t n = w->data.ssl ? SSL_read(w->data.ssl, buffer, CHUNK) : recv(w->data.fd, buffer, CHUNK, MSG_TRUNC);
        if (n <= 0)
            die("the transfer ended after %lld bytes: %s", (long long)w->bytes, tls_cause());
        w->bytes += n;
    }
}

static void pause_for(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static void report_sessions(int count, int64_t start) {
    long sessions = 0, resumed = 0, control = 0, data = 0;
    int64_t last = start;
    for (int i = 0; i < count; i++) {
        pthread_join(all[i].thread, NULL);
        sessions += all[i].sessions;
        resumed += all[i].data_resumed;
        control += all[i].server_control_resumed;
        data += all[i].server_data_resumed;
        last = all[i].last > last ? all[i].last : last;
    }
    double each = 1.0 / (double)sessions;
    printf("sessions=%ld seconds=%.6f here=%.1f there=%.1f data-resumed=%.3f server-control-resumed=%.3f "
           "server-data-resumed=%.3f\n",
           sessions, (double)(last - start) / SECOND, want_here, want_there, (double)resumed * each,
           (double)control * each, (double)data * each);
}

static void report_bulk(int count, double seconds) {
    int64_t before[MOST], bytes = 0, give_up = now_ns() + 2 * PATIENCE * SECOND;
    int starved = 0;
    for (int i = 0; i < count; i++)
        while (all[i].bytes == 0 && now_ns() < give_up)
            pause_for(0.01);
    pause_for(0.3); /* slow start and the relay's own start-up are over */
    puts("begin");
    fflush(stdout);
    int64_t start = now_ns();
    for (int i = 0; i < count; i++)
        before[i] = all[i].bytes;
    pause_for(seconds);
    for (int i = 0; i < count; i++) {
        int64_t more = all[i].bytes - before[i];
        bytes += more;
        starved += more == 0;
    }
    printf("bytes=%lld seconds=%.6f starved=%d here=%.1f there=%.1f\n", (long long)bytes,
           (double)(now_ns() - start) / SECOND, starved, want_here, want_there);
    fflush(stdout);
    getchar();
}

int main(int argc, char **argv) {
    if (argc != 8)
        die("usage: ftpsload ADDRESS PORT AUTHORITY plain|tls|front sessions|bulk COUNT SECONDS");
    server = address(argv[1], atoi(argv[2]));
    private = strcmp(argv[4], "plain") != 0;
    bulk = !strcmp(argv[5], "bulk");
    want_here = private ? 1.3 : 0;
    want_there = !strcmp(argv[4], "tls") ? 1.3 : 0;
    int count = atoi(argv[6]);
    double seconds = atof(argv[7]);
    if (count < 1 || count > MOST)
        die("count: 1 to %d", MOST);
    signal(SIGPIPE, SIG_IGN);
    context = tls_context(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(context, argv[3], NULL) != 1)
        die("%s: %s", argv[3], tls_cause());
    int64_t start = now_ns();
    end_time = start + (int64_t)(seconds * SECOND);
    for (int i = 0; i < count; i++)
        if (pthread_create(&all[i].thread, NULL, bulk ? run_bulk : run_sessions, &all[i]) != 0)
            die("no thread: %s", strerror(errno));
    if (bulk)
        report_bulk(count, seconds);
    else
        report_sessions(count, start);
    fflush(stdout);
    _exit(0); /* bulk threads are still at work */
}
