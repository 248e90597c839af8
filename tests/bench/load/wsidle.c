/* wsidle ADDRESS PORT FIRST-CLIENT ADDRESSES: upgraded WebSockets that stay idle. Obeys stdin: `open N` upgrades until
 * N are held, `check` sends a message of 125 bytes on every one and counts the right echoes, `close` ends them. One
 * line of figures answers each. */
#include "websocket.h"

enum { MOST = 16384, HEAD = 6, ECHO = 2 + SMALL };

static int held[MOST], count;
static unsigned char message[HEAD + SMALL], echo[ECHO];

static bool answers(int fd) {
    unsigned char got[ECHO];
    if (send(fd, message, sizeof message, MSG_NOSIGNAL) != (ssize_t)sizeof message)
        return false;
    for (size_t have = 0; have < ECHO;) {
        ssize_t n = recv(fd, got + have, ECHO - have, 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return !memcmp(got, echo, ECHO);
}

int main(int argc, char **argv) {
    if (argc != 5)
        die("usage: wsidle ADDRESS PORT FIRST-CLIENT ADDRESSES");
    struct sockaddr_in to = address(argv[1], atoi(argv[2]));
    int addresses = atoi(argv[4]), n;
    char word[16];
    make_payload(echo + frame_head(echo, FIN | BINARY, SMALL, NULL), SMALL);
    mask(message + frame_head(message, FIN | BINARY, SMALL, mask_key), echo + 2, SMALL, mask_key, 0);
    while (scanf("%15s", word) == 1) {
        if (!strcmp(word, "open") && scanf("%d", &n) == 1) {
            for (; count < n && count < MOST; count++)
                held[count] = open_websocket(client(argv[3], addresses, count), to);
            printf("held=%d\n", count);
        } else if (!strcmp(word, "check")) {
            int answered = 0;
            for (int i = 0; i < count; i++)
                answered += answers(held[i]);
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
