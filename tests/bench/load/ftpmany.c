/* ftpmany ADDRESS PORT FIRST-CLIENT ADDRESSES CLIENTS BYTES: as many client processes, each with one passive
 * transfer. With BYTES they end in good order and `done` is printed; with 0 the file is endless, `running` is printed
 * when every client is in mid-transfer, and all go on, slowly, until they are killed. */
#include "ftpdial.h"
#include <sys/prctl.h>
#include <sys/wait.h>

enum { BLOCK = 256 << 10, UNDER_WAY = 1 << 20, PAUSE_US = 100000 };

static void transfer(struct sockaddr_in source, struct sockaddr_in to, const char *bytes, int report) {
    static char line[2048], command[64], buffer[BLOCK];
    unsigned a[6];
    char ip[20];
    int control = log_in(source, to);
    if (control < 0)
        die("a client cannot log in: %s", strerror(errno));
    if (ask(control, "PASV\r\n", line, sizeof line) != 227 || strchr(line, '(') == NULL ||
        sscanf(strchr(line, '('), "(%u,%u,%u,%u,%u,%u)", a, a + 1, a + 2, a + 3, a + 4, a + 5) != 6)
        die("PASV failed: %s", line);
    snprintf(ip, sizeof ip, "%u.%u.%u.%u", a[0] & 255, a[1] & 255, a[2] & 255, a[3] & 255);
    struct sockaddr_in data_at = address(ip, (int)((a[4] & 255) << 8 | (a[5] & 255)));
    /* From the same address as the control connection: a gateway may insist on that. */
    int data = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 10};
    setsockopt(data, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (bind(data, (struct sockaddr *)&source, sizeof source) < 0 ||
        connect(data, (struct sockaddr *)&data_at, sizeof data_at) < 0)
        die("data connection: %s", strerror(errno));
    snprintf(command, sizeof command, "RETR %s\r\n", bytes);
    if (send(control, command, strlen(command), MSG_NOSIGNAL) < 0)
        die("RETR: %s", strerror(errno));
    bool endless = !strcmp(bytes, "0");
    int64_t got = 0;
    ssize_t n;
    while ((n = recv(data, buffer, sizeof buffer, 0)) > 0) {
        if (endless && got < UNDER_WAY && got + n >= UNDER_WAY && write(report, "x", 1) != 1)
            exit(1);
        got += n;
        if (endless && got >= UNDER_WAY)
            usleep(PAUSE_US);
    }
    if (endless || got != atoll(bytes))
        die("the transfer ended after %lld bytes", (long long)got);
    close(data);
    ask(control, NULL, line, sizeof line); /* 150, and 226 unless it comes apart */
    ask(control, "QUIT\r\n", line, sizeof line);
    exit(0);
}

int main(int argc, char **argv) {
    if (argc != 7)
        die("usage: ftpmany ADDRESS PORT FIRST-CLIENT ADDRESSES CLIENTS BYTES");
    struct sockaddr_in to = address(argv[1], atoi(argv[2]));
    int addresses = atoi(argv[4]), clients = atoi(argv[5]), report[2], status;
    if (pipe(report) < 0)
        die("pipe: %s", strerror(errno));
    for (int i = 0; i < clients; i++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(report[0]);
            transfer(client(argv[3], addresses, i), to, argv[6], report[1]);
        }
    }
    close(report[1]);
    if (!strcmp(argv[6], "0")) {
        char byte;
        for (int i = 0; i < clients; i++)
            if (read(report[0], &byte, 1) != 1)
                die("a client failed");
        printf("running=%d\n", clients);
        fflush(stdout);
        getchar();
        return 0;
    }
    int good = 0;
    while (wait(&status) > 0)
        good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("done=%d\n", good);
    return good == clients ? 0 : 1;
}
