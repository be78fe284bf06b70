/* loadserver FOLDER KIND PICTURES LATENCY_MS close|keep
 *
 * Answers every POST with FOLDER/KIND.N.json after LATENCY_MS, and GET /N.png with FOLDER/big.N.png. KIND is big, small or
 * url; the answers of url are made here, because they name this server's port. N is the number that ends the prompt
 * ("..., number 17") modulo PICTURES, so that who checks a file knows which picture it must be. GET /stats tells what
 * was seen. "close" as the last argument closes every connection after its answer; a request can ask for that too.
 * Prints its port. One thread, epoll and sendfile: it must cost little beside the clients that it serves.
 */
#include "answers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static void watch(Client *client, int writing)
{
    struct epoll_event event = {.events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = client};
    if (client->waits_to_write != writing)
        epoll_ctl(epoll, EPOLL_CTL_MOD, client->fd, &event);
    client->waits_to_write = writing;
}

static void unqueue(Client *client)
{
    if (client->earlier) client->earlier->later = client->later;
    else if (oldest == client) oldest = client->later;
    if (client->later) client->later->earlier = client->earlier;
    else if (newest == client) newest = client->earlier;
    client->earlier = client->later = NULL;
}

static void drop(Client *client)
{
    if (client->due > 0)
        unqueue(client);
    if (client->request && client->is_post)
        in_flight--;
    close(client->fd);
    free(client);
}

/* Prepares the answer to the request at the start of the buffer. 0 when it is not whole yet, -1 when it is too long. */
static int understand(Client *client)
{
    char *end = memmem(client->in, client->have, "\r\n\r\n", 4);
    if (!end)
        return client->have == REQUEST_BYTES ? -1 : 0;
    size_t head = end + 4 - client->in, body = 0;
    *end = 0;
    char *length = strcasestr(client->in, "\ncontent-length:");
    if (length)
        body = strtoul(length + 16, NULL, 10);
    *end = '\r';
    if (head + body > REQUEST_BYTES)
        return -1;
    if (client->have < head + body)
        return 0;
    client->request = head + body;
    client->close_after = always_close || wants_close(client->in, head - 2);
    client->is_post = !strncmp(client->in, "POST ", 5);
    client->due = 0;
    if (!client->is_post) {
        answer_get(client);
        return 1;
    }
    if (!posts++)
        first_s = now();
    if (++in_flight > most_in_flight)
        most_in_flight = in_flight;
    answer_post(client, client->in + head, body);
    if (latency_s > 0) {
        client->due = now() + latency_s;
        client->earlier = newest;
        if (newest) newest->later = client;
        else oldest = client;
        newest = client;
    }
    return 1;
}

/* Sends what the socket takes. 1 when the answer is out, 0 when it is not, -1 when the client is gone. */
static int send_some(Client *client)
{
    while (client->head_sent < client->head_size) {
        ssize_t sent = send(client->fd, client->head + client->head_sent, client->head_size - client->head_sent,
                            MSG_NOSIGNAL | (client->file >= 0 ? MSG_MORE : 0));
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        client->head_sent += sent;
    }
    while (client->file >= 0 && client->file_at < client->file_end) {
        ssize_t sent = sendfile(client->fd, client->file, &client->file_at, client->file_end - client->file_at);
        if (sent <= 0)
            return sent < 0 && errno == EAGAIN ? 0 : -1;
    }
    return 1;
}

/* Goes on with a client as far as possible; it may be gone afterwards. */
static void go_on(Client *client)
{
    for (;;) {
        if (!client->request) {
            int whole = understand(client);
            if (whole < 0) {
                drop(client);
                return;
            }
            if (!whole || client->due > 0)
                return;
        }
        int done = send_some(client);
        if (done == 0) {
            watch(client, 1);
            return;
        }
        if (done > 0 && client->is_post) {
            answered++;
            last_s = now();
        }
        if (done < 0 || client->close_after) {
            drop(client);
            return;
        }
        in_flight -= client->is_post;
        client->have -= client->request;
        memmove(client->in, client->in + client->request, client->have);
        client->request = 0;
        watch(client, 0);
    }
}

static void receive(Client *client)
{
    ssize_t got = recv(client->fd, client->in + client->have, REQUEST_BYTES - client->have, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(client);
        return;
    }
    client->have += got;
    if (!client->request)
        go_on(client);
}

static void welcome(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        Client *client = malloc(sizeof *client);
        if (!client)
            fail("malloc");
        memset(client, 0, offsetof(Client, in));
        client->fd = fd;
        client->file = -1;
        connections++;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_somewhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8192))
        fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    port = ntohs(address.sin_port);
    return listener;
}

static void load(char **arguments)
{
    n_pictures = atoi(arguments[3]);
    latency_s = atof(arguments[4]) / 1000;
    always_close = !strcmp(arguments[5], "close");
    is_url = !strcmp(arguments[2], "url");
    if (n_pictures < 1 || n_pictures > MOST_PICTURES)
        fail("PICTURES");
    for (int number = 0; number < n_pictures; number++) {
        pictures[number] = open_file(arguments[1], "big", number, "png");
        if (!is_url)
            answers[number] = open_file(arguments[1], arguments[2], number, "json");
    }
}

static void serve(int listener)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int wait_ms = -1;
        if (oldest) {
            double left = oldest->due - now();
            wait_ms = left > 0 ? (int)(left * 1000) + 1 : 0;
        }
        int count = epoll_wait(epoll, events, EVENTS, wait_ms);
        for (int i = 0; i < count; i++) {
            Client *client = events[i].data.ptr;
            if (!client) welcome(listener);
            else if (events[i].events & EPOLLOUT) go_on(client);
            else receive(client);
        }
        while (oldest && oldest->due <= now()) {
            Client *client = oldest;
            unqueue(client);
            client->due = 0;
            go_on(client);
        }
    }
}

int main(int count, char **arguments)
{
    struct rlimit files;
    if (count != 6) {
        fprintf(stderr, "usage: loadserver FOLDER KIND PICTURES LATENCY_MS close|keep\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    load(arguments);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_somewhere();
    printf("%d\n", port);
    fflush(stdout);
    serve(listener);
}
