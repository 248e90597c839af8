/* A channel that is plain or TLS 1.3, blocking, for the tools that use one thread a session. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include "common.h"
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>

enum { PATIENCE = 20, READ_AHEAD = 256 << 10 };

struct channel {
    int fd;
    SSL *ssl; /* NULL while it is plain */
    int have;
    char in[2048];
};

UNUSED static SSL_CTX *tls_context(const SSL_METHOD *method) {
    SSL_CTX *context = SSL_CTX_new(method);
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Bulk: many records in one system call, so that the ends are cheap. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD);
    return context;
}

UNUSED static const char *tls_cause(void) {
    unsigned long why = ERR_peek_last_error();
    return why ? ERR_reason_error_string(why) : errno ? strerror(errno) : "end of file";
}

UNUSED static void be_patient(int fd) {
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

UNUSED static ssize_t channel_read(struct channel *c, void *to, size_t room) {
    if (c->ssl == NULL)
        return recv(c->fd, to, room, 0);
    ERR_clear_error();
    return SSL_read(c->ssl, to, (int)room);
}

UNUSED static bool channel_write(struct channel *c, const void *from, size_t size) {
    if (c->ssl != NULL)
        return SSL_write(c->ssl, from, (int)size) == (int)size;
    return send(c->fd, from, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* The next line without its end, in `line`; false at the end of the channel. */
UNUSED static bool channel_line(struct channel *c, char *line, size_t room) {
    char *newline;
    while ((newline = memchr(c->in, '\n', (size_t)c->have)) == NULL) {
        if (c->have == sizeof c->in)
            return false;
        ssize_t n = channel_read(c, c->in + c->have, sizeof c->in - (size_t)c->have);
        if (n <= 0)
            return false;
        c->have += (int)n;
    }
    size_t size = (size_t)(newline - c->in), keep = size < room - 1 ? size : room - 1;
    memcpy(line, c->in, keep);
    line[keep] = 0;
    if (keep > 0 && line[keep - 1] == '\r')
        line[keep - 1] = 0;
    c->have -= (int)size + 1;
    memmove(c->in, newline + 1, (size_t)c->have);
    return true;
}

UNUSED static void channel_close(struct channel *c) {
    if (c->ssl != NULL) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->have = 0;
}

/* 1.3 for TLS 1.3, 0 for plain. */
UNUSED static double channel_version(const struct channel *c) {
    const char *name = c->ssl ? SSL_get_version(c->ssl) : "";
    return strncmp(name, "TLSv", 4) ? 0 : atof(name + 4);
}

UNUSED static bool channel_resumed(const struct channel *c) {
    return c->ssl != NULL && SSL_session_reused(c->ssl);
}

#endif
