/* ftpsd ADDRESS PORT CERTIFICATE: a small FTP server with TLS 1.3 and without it, one thread a session. Knows AUTH TLS,
 * PBSZ, PROT, FEAT, USER, PASS, TYPE, NOOP, PASV, EPSV, RETR and QUIT; anyone may log in; the name of a file is its
 * size in bytes, 0 being endless. Its 226 says what its own two channels were: `control=1.3 data=1.3 ...`. */
#include "tls.h"
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { BLOCK = 1 << 20, STACK = 256 << 10, GATHER = 256 << 10 };

struct session {
    struct channel control;
    int passive;
    bool private;
};

static SSL_CTX *context;
static int block_fd;
static char *block;
static pthread_mutex_t ports = PTHREAD_MUTEX_INITIALIZER;

static bool say(struct session *s, const char *text) {
    return channel_write(&s->control, text, strlen(text));
}

static bool start_tls(struct channel *c) {
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    return SSL_accept(c->ssl) == 1;
}

static bool passive(struct session *s, bool extended) {
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    char text[80];
    if (s->passive >= 0)
        close(s->passive);
    getsockname(s->control.fd, (struct sockaddr *)&here, &size);
    pthread_mutex_lock(&ports);
    s->passive = listen_data(&here);
    pthread_mutex_unlock(&ports);
    if (s->passive < 0)
        return say(s, "425 No port.\r\n");
    unsigned char *a = (unsigned char *)&here.sin_addr;
    int port = ntohs(here.sin_port);
    if (extended)
        snprintf(text, sizeof text, "229 Entering extended passive mode (|||%d|)\r\n", port);
    else
        snprintf(text, sizeof text, "227 Entering passive mode (%d,%d,%d,%d,%d,%d)\r\n", a[0], a[1], a[2], a[3],
                 port >> 8, port & 255);
    return say(s, text);
}

/* Records leave many at a time: one system call for each of 16 KiB would make this server the limit. */
static void gather(SSL *ssl) {
    BIO *gathering = BIO_new(BIO_f_buffer());
    BIO_set_write_buffer_size(gathering, GATHER);
    SSL_set0_wbio(ssl, BIO_push(gathering, BIO_new_socket(SSL_get_fd(ssl), BIO_NOCLOSE)));
}

static bool pump(struct channel *data, int64_t left, bool endless) {
    while (left > 0 || endless) {
        size_t want = endless || left > BLOCK ? BLOCK : (size_t)left;
        off_t from = 0;
        ssize_t n = data->ssl ? SSL_write(data->ssl, block, (int)want) : sendfile(data->fd, block_fd, &from, want);
        if (n <= 0 || (data->ssl && BIO_flush(SSL_get_wbio(data->ssl)) != 1))
            return false;
        left -= endless ? 0 : n;
    }
    return true;
}

static bool retrieve(struct session *s, const char *name) {
    struct pollfd waiting = {s->passive, POLLIN, 0};
    struct channel data = {.fd = -1};
    char text[128];
    int64_t left = atoll(name);
    if (s->passive < 0)
        return say(s, "425 PASV first.\r\n");
    if (!say(s, "150 Here it comes.\r\n"))
        return false;
    if (poll(&waiting, 1, PATIENCE * 1000) == 1)
        data.fd = accept(s->passive, NULL, NULL);
    close(s->passive);
    s->passive = -1;
    if (data.fd < 0)
        return say(s, "425 Nobody came.\r\n");
    be_patient(data.fd);
    no_delay(data.fd);
    if (s->private && !start_tls(&data)) {
        channel_close(&data);
        return say(s, "425 The handshake failed.\r\n");
    }
    if (s->private)
        gather(data.ssl);
    bool whole = pump(&data, left, left == 0);
    snprintf(text, sizeof text, "226 Done control=%.1f data=%.1f control-resumed=%d data-resumed=%d\r\n",
             channel_version(&s->control), channel_version(&data), channel_resumed(&s->control),
             channel_resumed(&data));
    channel_close(&data);
    return say(s, whole ? text : "426 The data connection broke.\r\n");
}

/* False when the session is over. */
static bool command(struct session *s, const char *line) {
    const char *space = strchr(line, ' '), *argument = space ? space + 1 : "";
    if (!strncasecmp(line, "USER", 4))
        return say(s, "331 Password, please.\r\n");
    if (!strncasecmp(line, "PASS", 4))
        return say(s, "230 Welcome.\r\n");
    if (!strncasecmp(line, "FEAT", 4))
        return say(s, "211-Features:\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n EPSV\r\n211 End\r\n");
    if (!strncasecmp(line, "AUTH TLS", 8) && s->control.ssl == NULL)
        return say(s, "234 Go ahead.\r\n") && start_tls(&s->control);
    if (!strncasecmp(line, "PROT", 4))
        s->private = *argument == 'P' || *argument == 'p';
    if (!strncasecmp(line, "PROT", 4) || !strncasecmp(line, "PBSZ", 4) || !strncasecmp(line, "TYPE", 4) ||
        !strncasecmp(line, "NOOP", 4))
        return say(s, "200 Good.\r\n");
    if (!strncasecmp(line, "PASV", 4) || !strncasecmp(line, "EPSV", 4))
        return passive(s, (*line | 32) == 'e');
    if (!strncasecmp(line, "RETR", 4))
        return retrieve(s, argument);
    if (!strncasecmp(line, "QUIT", 4)) {
        say(s, "221 Goodbye.\r\n");
        return false;
    }
    return say(s, "502 Not here.\r\n");
}

static void *serve(void *fd) {
    struct session s = {.control = {.fd = (int)(intptr_t)fd}, .passive = -1};
    char line[512];
    no_delay(s.control.fd);
    bool on = say(&s, "220 Ready.\r\n");
    while (on && channel_line(&s.control, line, sizeof line))
        on = command(&s, line);
    if (s.passive >= 0)
        close(s.passive);
    channel_close(&s.control);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4)
        die("usage: ftpsd ADDRESS PORT CERTIFICATE");
    signal(SIGPIPE, SIG_IGN);
    context = tls_context(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, argv[3]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[3], SSL_FILETYPE_PEM) != 1)
        die("%s: %s", argv[3], tls_cause());
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"bench", 5);
    block_fd = memfd_create("block", 0);
    if (block_fd < 0 || ftruncate(block_fd, BLOCK) < 0)
        die("memfd: %s", strerror(errno));
    block = calloc(1, BLOCK);
    int listener = listen_at(address(argv[1], atoi(argv[2])), 4096);
    if (listener < 0)
        die("cannot listen at %s:%s: %s", argv[1], argv[2], strerror(errno));
    fcntl(listener, F_SETFL, 0);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}
