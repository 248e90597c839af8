/* ftpd ADDRESS PORT: a small FTP server, so that the gateway is the limit and not the server. One process, one
 * epoll. Knows USER, PASS, TYPE, NOOP, PASV, EPSV, PORT, EPRT, RETR, STOR and QUIT; anyone may log in; the name of
 * a file is its size in bytes, 0 being endless. What is stored is dropped in the kernel, unread. */
#include "common.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { BLOCK = 1 << 20, LINE = 512 };
enum kind { LISTENER, CONTROL, PASSIVE, DATA };

struct handle {
    enum kind kind;
    int fd;
    struct session *session;
};

struct session {
    struct handle control, passive, data;
    struct sockaddr_in active;
    bool transfer, upload, endless, ready, dead;
    int64_t left;
    int have;
    char line[LINE];
    struct session *next_dead;
};

static int epoll, block_fd;
static struct session *dead;

static void shut(struct handle *h) {
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}

/* Events of this session may still wait in the same batch: it is freed after the batch. */
static void end(struct session *s) {
    if (s->dead)
        return;
    shut(&s->control);
    shut(&s->passive);
    shut(&s->data);
    s->dead = true;
    s->next_dead = dead;
    dead = s;
}

static void say(struct session *s, const char *text) {
    if (s->dead)
        return;
    size_t size = strlen(text);
    if (send(s->control.fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
        end(s);
}

static void finish(struct session *s, const char *text) {
    shut(&s->data);
    shut(&s->passive);
    s->transfer = s->ready = false;
    say(s, text);
}

/* Drop what came; one read at a time, so that many uploads share this server. */
static void swallow(struct session *s) {
    static char unread[BLOCK];
    ssize_t n = recv(s->data.fd, unread, sizeof unread, MSG_TRUNC);
    if (n == 0)
        finish(s, "226 Done.\r\n");
    else if (n < 0 && errno != EAGAIN)
        finish(s, "426 The data connection broke.\r\n");
    else
        watch(epoll, EPOLL_CTL_MOD, s->data.fd, EPOLLIN, &s->data);
}

/* Send what the data connection takes now, or take what it has. */
static void pump(struct session *s) {
    if (s->upload) {
        swallow(s);
        return;
    }
    while (s->left > 0 || s->endless) {
        off_t from = 0;
        size_t want = s->endless || s->left > BLOCK ? BLOCK : (size_t)s->left;
        ssize_t n = sendfile(s->data.fd, block_fd, &from, want);
        if (n < 0 && errno == EAGAIN) {
            watch(epoll, EPOLL_CTL_MOD, s->data.fd, EPOLLOUT, &s->data);
            return;
        }
        if (n <= 0) {
            finish(s, "426 The data connection broke.\r\n");
            return;
        }
        s->left -= s->endless ? 0 : n;
    }
    finish(s, "226 Done.\r\n");
}

static void begin_transfer(struct session *s, const char *name, bool upload) {
    if (s->data.fd < 0 && s->passive.fd < 0) {
        if (s->active.sin_port == 0) {
            say(s, "425 PASV or PORT first.\r\n");
            return;
        }
        s->data.fd = dial(s->active, false);
        s->active.sin_port = 0;
        if (s->data.fd < 0) {
            say(s, "425 Cannot connect.\r\n");
            return;
        }
        watch(epoll, EPOLL_CTL_ADD, s->data.fd, EPOLLOUT, &s->data);
    }
    s->left = atoll(name);
    s->endless = s->left == 0;
    s->upload = upload;
    s->transfer = true;
    say(s, "150 Here it comes.\r\n");
    if (!s->dead && s->ready)
        pump(s);
}

static void passive(struct session *s, bool extended) {
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    char text[80];
    shut(&s->passive);
    shut(&s->data);
    s->ready = false;
    getsockname(s->control.fd, (struct sockaddr *)&here, &size);
    s->passive.fd = listen_data(&here);
    if (s->passive.fd < 0) {
        say(s, "425 No port.\r\n");
        return;
    }
    watch(epoll, EPOLL_CTL_ADD, s->passive.fd, EPOLLIN, &s->passive);
    unsigned char *a = (unsigned char *)&here.sin_addr;
    int port = ntohs(here.sin_port);
    if (extended)
        snprintf(text, sizeof text, "229 Entering extended passive mode (|||%d|)\r\n", port);
    else
        snprintf(text, sizeof text, "227 Entering passive mode (%d,%d,%d,%d,%d,%d)\r\n", a[0], a[1], a[2], a[3],
                 port >> 8, port & 255);
    say(s, text);
}

static void active(struct session *s, const char *text, bool extended) {
    unsigned a[6], port;
    char ip[20];
    if (extended && sscanf(text, "|1|%19[0-9.]|%u|", ip, &port) == 2) {
        s->active = address(ip, (int)port);
    } else if (!extended && sscanf(text, "%u,%u,%u,%u,%u,%u", a, a + 1, a + 2, a + 3, a + 4, a + 5) == 6) {
        snprintf(ip, sizeof ip, "%u.%u.%u.%u", a[0] & 255, a[1] & 255, a[2] & 255, a[3] & 255);
        s->active = address(ip, (int)((a[4] & 255) << 8 | (a[5] & 255)));
    } else {
        say(s, "501 No such address.\r\n");
        return;
    }
    shut(&s->passive);
    shut(&s->data);
    s->ready = false;
    say(s, "200 Good.\r\n");
}

static void command(struct session *s, char *line) {
    char *argument = strchr(line, ' ');
    argument = argument ? argument + 1 : line + strlen(line);
    if (!strncasecmp(line, "USER", 4))
        say(s, "331 Password, please.\r\n");
    else if (!strncasecmp(line, "PASS", 4))
        say(s, "230 Welcome.\r\n");
    else if (!strncasecmp(line, "TYPE", 4) || !strncasecmp(line, "NOOP", 4))
        say(s, "200 Good.\r\n");
    else if (!strncasecmp(line, "PASV", 4))
        passive(s, false);
    else if (!strncasecmp(line, "EPSV", 4))
        passive(s, true);
    else if (!strncasecmp(line, "PORT", 4))
        active(s, argument, false);
    else if (!strncasecmp(line, "EPRT", 4))
        active(s, argument, true);
    else if (!strncasecmp(line, "RETR", 4))
        begin_transfer(s, argument, false);
    else if (!strncasecmp(line, "STOR", 4))
        begin_transfer(s, argument, true);
    else if (!strncasecmp(line, "QUIT", 4)) {
        say(s, "221 Goodbye.\r\n");
        end(s);
    } else
        say(s, "502 Not here.\r\n");
}

static void read_control(struct session *s) {
    ssize_t n = recv(s->control.fd, s->line + s->have, (size_t)(LINE - 1 - s->have), 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            end(s);
        return;
    }
    s->have += (int)n;
    s->line[s->have] = 0;
    char *from = s->line, *newline;
    while (!s->dead && (newline = strchr(from, '\n')) != NULL) {
        *newline = 0;
        if (newline > from && newline[-1] == '\r')
            newline[-1] = 0;
        command(s, from);
        from = newline + 1;
    }
    s->have -= (int)(from - s->line);
    memmove(s->line, from, (size_t)s->have + 1);
    if (s->have == LINE - 1)
        end(s);
}

static void accept_control(int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct session *s = calloc(1, sizeof *s);
        no_delay(fd);
        s->control = (struct handle){CONTROL, fd, s};
        s->passive = (struct handle){PASSIVE, -1, s};
        s->data = (struct handle){DATA, -1, s};
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, &s->control);
        say(s, "220 Ready.\r\n");
    }
}

static void accept_data(struct session *s) {
    int fd = accept4(s->passive.fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    shut(&s->passive);
    s->data.fd = fd;
    s->ready = true;
    watch(epoll, EPOLL_CTL_ADD, fd, 0, &s->data);
    if (s->transfer)
        pump(s);
}

static void on_data(struct session *s, uint32_t events) {
    if (s->transfer && (events & EPOLLERR)) {
        finish(s, "425 The data connection failed.\r\n");
    } else if (s->transfer) {
        s->ready = true;
        pump(s);
    } else {
        shut(&s->data); /* the client closed it before RETR */
        s->ready = false;
    }
}

int main(int argc, char **argv) {
    if (argc != 3)
        die("usage: ftpd ADDRESS PORT");
    signal(SIGPIPE, SIG_IGN);
    block_fd = memfd_create("block", 0);
    if (block_fd < 0 || ftruncate(block_fd, BLOCK) < 0)
        die("memfd: %s", strerror(errno));
    epoll = epoll_create1(0);
    struct handle listener = {LISTENER, listen_at(address(argv[1], atoi(argv[2])), 4096), NULL};
    if (listener.fd < 0)
        die("cannot listen at %s:%s: %s", argv[1], argv[2], strerror(errno));
    watch(epoll, EPOLL_CTL_ADD, listener.fd, EPOLLIN, &listener);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct handle *h = events[i].data.ptr;
            if (h->kind == LISTENER)
                accept_control(h->fd);
            else if (h->session->dead || h->fd < 0)
                continue;
            else if (h->kind == CONTROL)
                read_control(h->session);
            else if (h->kind == PASSIVE)
                accept_data(h->session);
            else
                on_data(h->session, events[i].events);
        }
        while (dead != NULL) {
            struct session *s = dead;
            dead = s->next_dead;
            free(s);
        }
    }
}
