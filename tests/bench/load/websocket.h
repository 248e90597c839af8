/* WebSocket (RFC 6455) for the load generators and their echo server: the upgrade, frame headers, masking.
 * A gateway may change the case of field names (HAProxy writes them in lower case) and where the bytes
 * are cut; it may not change a byte of a frame's payload. */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include "common.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/random.h>

enum { FIN = 0x80, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, MASKED = 0x80, HEAD_MOST = 14, ACCEPT = 28, KEY = 24 };
enum { REQUEST_MOST = 2048, SMALL = 125, NUMBER = 8 };

/* Four bytes as they stand on the wire. */
static const unsigned char mask_key[4] UNUSED = {0x37, 0xfa, 0x21, 0x3d};

/* A frame's header, collected byte by byte, and how much of the payload has been seen. */
struct frame {
    unsigned char head[HEAD_MOST];
    size_t have;
    bool ready;
    uint64_t length, at;
};

/* The bytes that the header still lacks, as far as one can know. */
UNUSED static size_t frame_lacks(const struct frame *f) {
    if (f->have < 2)
        return 2 - f->have;
    int code = f->head[1] & 127;
    size_t whole = 2 + (code == 127 ? 8 : code == 126 ? 2 : 0) + (f->head[1] & MASKED ? 4 : 0);
    return whole - f->have;
}

/* Take header bytes until the header is complete; returns how many were taken. */
UNUSED static size_t frame_feed(struct frame *f, const unsigned char *data, size_t n) {
    size_t taken = 0;
    while (!f->ready && taken < n) {
        f->head[f->have++] = data[taken++];
        if (f->have < 2 || frame_lacks(f) > 0)
            continue;
        int code = f->head[1] & 127, wide = code == 127 ? 8 : code == 126 ? 2 : 0;
        f->length = wide ? 0 : (uint64_t)code;
        for (int i = 0; i < wide; i++)
            f->length = f->length << 8 | f->head[2 + i];
        f->ready = true;
    }
    return taken;
}

UNUSED static void frame_next(struct frame *f) {
    memset(f, 0, sizeof *f);
}

/* Write a header; `key` is NULL for a server. Returns its size. */
UNUSED static size_t frame_head(unsigned char *out, unsigned char first, uint64_t length, const unsigned char *key) {
    size_t n = 0;
    int wide = length > 65535 ? 8 : length > 125 ? 2 : 0;
    out[n++] = first;
    out[n++] = (unsigned char)((key ? MASKED : 0) | (wide == 8 ? 127 : wide == 2 ? 126 : (int)length));
    for (int i = wide - 1; i >= 0; i--)
        out[n++] = (unsigned char)(length >> (8 * i));
    for (int i = 0; key && i < 4; i++)
        out[n++] = key[i];
    return n;
}

typedef uint64_t wide __attribute__((vector_size(32), aligned(1), may_alias));

/* XOR with the mask, 32 bytes at a time; `phase` is the place of the first byte within the frame's payload. */
UNUSED static void mask(unsigned char *restrict out, const unsigned char *restrict in, size_t n,
                        const unsigned char *key, uint64_t phase) {
    unsigned char turned[32];
    for (size_t i = 0; i < sizeof turned; i++)
        turned[i] = key[(phase + i) & 3];
    wide pattern = *(const wide *)turned;
    size_t i = 0;
    for (; i + sizeof pattern <= n; i += sizeof pattern)
        *(wide *)(out + i) = *(const wide *)(in + i) ^ pattern;
    for (; i < n; i++)
        out[i] = in[i] ^ turned[i & 31];
}

/* What Sec-WebSocket-Accept must be for a key of 24 characters. */
UNUSED static void accept_for(const char *key, char accept[ACCEPT + 1]) {
    unsigned char text[KEY + 36], digest[SHA_DIGEST_LENGTH];
    memcpy(text, key, KEY);
    memcpy(text + KEY, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    SHA1(text, sizeof text, digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
}

/* The value of a field of a head that ends in a null byte; NULL where it is missing. */
UNUSED static const char *field(const char *head, const char *name) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\r\n%s:", name);
    const char *found = strcasestr(head, wanted);
    if (found == NULL)
        return NULL;
    found += strlen(wanted);
    return found + strspn(found, " \t");
}

/* A request to upgrade, with a fresh key; returns its length. */
UNUSED static int upgrade_request(char *out, char key[KEY + 1]) {
    unsigned char nonce[16];
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce)
        die("getrandom: %s", strerror(errno));
    EVP_EncodeBlock((unsigned char *)key, nonce, sizeof nonce);
    return snprintf(out, REQUEST_MOST,
                    "GET /echo HTTP/1.1\r\nHost: bench.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                    key);
}

/* Ends the program unless this head, which ends in a null byte, accepts the upgrade that was asked with the key. */
UNUSED static void check_upgrade(const char *head, const char *key) {
    char wanted[ACCEPT + 1];
    accept_for(key, wanted);
    const char *accept = field(head, "Sec-WebSocket-Accept"), *upgrade = field(head, "Upgrade");
    if (strncmp(head, "HTTP/1.1 101 ", 13) || upgrade == NULL || strncasecmp(upgrade, "websocket\r\n", 11))
        die("no upgrade: %.60s", head);
    if (accept == NULL || strncmp(accept, wanted, ACCEPT) || accept[ACCEPT] != '\r')
        die("a wrong Sec-WebSocket-Accept");
}

/* Words that do not repeat within a message. */
UNUSED static void make_payload(unsigned char *out, size_t size) {
    uint64_t word = 88172645463325252ULL;
    for (size_t i = 0; i < size; i++) {
        word ^= word << 13, word ^= word >> 7, word ^= word << 17;
        out[i] = (unsigned char)word;
    }
}

/* An upgraded socket, all done blocking, from a local address; what it then waits for comes within ten seconds. */
UNUSED static int open_websocket(struct sockaddr_in from, struct sockaddr_in to) {
    char request[REQUEST_MOST], head[REQUEST_MOST], key[KEY + 1];
    int one = 1, length = upgrade_request(request, key), fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 10};
    if (fd < 0)
        die("socket: %s", strerror(errno));
    no_delay(fd);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect: %s", strerror(errno));
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        die("the request to upgrade: %s", strerror(errno));
    for (size_t have = 0;;) {
        ssize_t n = recv(fd, head + have, sizeof head - 1 - have, 0);
        if (n <= 0)
            die("no answer to the upgrade: %s", n == 0 ? "end of file" : strerror(errno));
        head[have += (size_t)n] = 0;
        char *end = strstr(head, "\r\n\r\n");
        if (end == NULL)
            continue;
        if (end[4] != 0)
            die("bytes after the upgrade that nobody sent");
        check_upgrade(head, key);
        return fd;
    }
}

#endif
