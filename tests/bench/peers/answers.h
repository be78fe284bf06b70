/* What the load server answers: a picture's document, a picture, or what it has seen. Part of `loadserver.c`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MOST_PICTURES = 64, REQUEST_BYTES = 16384, EVENTS = 512 };

typedef struct {
    int fd;
    off_t size;
} File;

typedef struct Client {
    int fd;
    int close_after, is_post, waits_to_write;
    size_t have;                /* bytes of the request that have come */
    size_t request;             /* length of the request that is being answered */
    char head[768];             /* the answer's headers, or a whole small answer */
    size_t head_size, head_sent;
    int file;                   /* what follows the headers; -1: nothing */
    off_t file_at, file_end;
    double due;
    struct Client *earlier, *later; /* in the queue of answers that are not due yet */
    char in[REQUEST_BYTES];
} Client;

static File answers[MOST_PICTURES], pictures[MOST_PICTURES];
static int n_pictures, always_close, is_url, epoll, port;
static double latency_s;
static Client *oldest, *newest;
static long posts, gets, answered, connections, in_flight, most_in_flight, turn;
static double first_s, last_s;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static File open_file(const char *folder, const char *kind, int number, const char *ending)
{
    char path[4096];
    struct stat about;
    snprintf(path, sizeof path, "%s/%s.%d.%s", folder, kind, number, ending);
    File file = {open(path, O_RDONLY), 0};
    if (file.fd < 0 || fstat(file.fd, &about))
        fail(path);
    file.size = about.st_size;
    return file;
}

static int picture_of(const char *body, size_t size)
{
    static const char mark[] = "number ";
    const char *end = body + size, *found = NULL, *at = body;
    while ((at = memmem(at, end - at, mark, sizeof mark - 1)))
        found = at += sizeof mark - 1;
    return (found ? strtol(found, NULL, 10) : turn++) % n_pictures;
}

static void set_head(Client *client, int status, const char *type, off_t size)
{
    client->head_size = snprintf(
        client->head, sizeof client->head,
        "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %lld\r\n%s\r\n", status, type, (long long)size,
        client->close_after ? "Connection: close\r\n" : "");
    client->head_sent = 0;
}

static void say(Client *client, int status, const char *text)
{
    set_head(client, status, "application/json", strlen(text));
    client->head_size += snprintf(
        client->head + client->head_size, sizeof client->head - client->head_size, "%s", text);
    client->file = -1;
}

static void send_file(Client *client, File file, const char *type)
{
    set_head(client, 200, type, file.size);
    client->file = file.fd;
    client->file_at = 0;
    client->file_end = file.size;
}

static void answer_post(Client *client, const char *body, size_t size)
{
    char text[256];
    int number = picture_of(body, size);
    if (!is_url) {
        send_file(client, answers[number], "application/json");
        return;
    }
    snprintf(text, sizeof text,
             "{\"created\": 1760000000, \"data\": [{\"url\": \"http://127.0.0.1:%d/%d.png?sig=a%%2Fb\"}]}", port, number);
    say(client, 200, text);
}

static void answer_get(Client *client)
{
    char text[400];
    int number;
    if (sscanf(client->in, "GET /%d.png", &number) == 1 && number >= 0 && number < n_pictures) {
        gets++;
        send_file(client, pictures[number], "image/png");
        return;
    }
    if (strncmp(client->in, "GET /stats", 10)) {
        say(client, 404, "{}");
        return;
    }
    snprintf(text, sizeof text,
             "{\"posts\": %ld, \"gets\": %ld, \"answered\": %ld, \"connections\": %ld, \"most_in_flight\": %ld, "
             "\"first_s\": %.6f, \"last_s\": %.6f}",
             posts, gets, answered, connections, most_in_flight, first_s, last_s);
    say(client, 200, text);
}

/* Whether the headers ask for the connection to be closed. */
static int wants_close(const char *head, size_t size)
{
    char copy[REQUEST_BYTES];
    memcpy(copy, head, size);
    copy[size] = 0;
    return strcasestr(copy, "\nconnection: close") != NULL;
}
