/* yardstick PORT IMAGES IN_FLIGHT FOLDER
 *
 * What one core can do: receives the answers of `loadserver`, decodes the base64 and writes each image into a file, with one
 * shared buffer, without an event library, a JSON parser or any check but that of the base64 itself.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

enum { RECEIVE = 256 * 1024, HEAD = 4096, SPARE = 64 };

typedef struct {
    int fd, file;
    long number;
    char head[HEAD + 1];        /* what came before the first digit of the image */
    size_t head_size;
    size_t left;                /* bytes of the body that have not come */
    uint8_t carried[4];         /* digits that do not make three bytes yet */
    size_t carry;
    int part;                   /* 0: before the image, 1: in it, 2: after it */
} Connection;

static uint8_t digits[RECEIVE + SPARE], decoded[RECEIVE + SPARE];
static int8_t value_of[256];
static long images, begun, done;
static const char *folder;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void refuse(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Decodes `size` digits, a multiple of four; the number of bytes. */
static size_t decode(const uint8_t *in, size_t size, uint8_t *out)
{
    uint8_t *start = out;
    const uint8_t *end = in + size;
#ifdef __AVX2__
    /* 32 digits a step: each one's high and low half say whether it is one and what to add; then 4 x 6 bits are joined. */
    const __m256i low = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1A, 0x1B, 0x1B, 0x1B, 0x1A));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10));
    const __m256i add = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    const __m256i gather = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7), slash = _mm256_set1_epi8('/');
    for (; end - in >= 48; in += 32, out += 24) {
        __m256i text = _mm256_loadu_si256((const __m256i *)in);
        __m256i upper = _mm256_and_si256(_mm256_srli_epi32(text, 4), slash);
        if (!_mm256_testz_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(text, slash)), _mm256_shuffle_epi8(high, upper)))
            break;
        __m256i six = _mm256_add_epi8(
            text, _mm256_shuffle_epi8(add, _mm256_add_epi8(_mm256_cmpeq_epi8(text, slash), upper)));
        __m256i twelve = _mm256_maddubs_epi16(six, _mm256_set1_epi32(0x01400140));
        __m256i bytes = _mm256_shuffle_epi8(_mm256_madd_epi16(twelve, _mm256_set1_epi32(0x00011000)), order);
        _mm256_storeu_si256((__m256i *)out, _mm256_permutevar8x32_epi32(bytes, gather));
    }
#endif
    for (; in < end; in += 4, out += 3) {
        int padding = in + 4 == end ? (in[3] == '=') + (in[2] == '=') : 0;
        int a = value_of[in[0]], b = value_of[in[1]], c = padding == 2 ? 0 : value_of[in[2]];
        int d = padding ? 0 : value_of[in[3]];
        if ((a | b | c | d) < 0)
            refuse("no base64");
        uint32_t bits = (uint32_t)a << 18 | b << 12 | c << 6 | d;
        out[0] = bits >> 16, out[1] = bits >> 8, out[2] = bits;
        out -= padding;
    }
    return out - start;
}

static void ask(Connection *connection)
{
    char body[256], request[512];
    if (begun == images) {
        close(connection->fd);
        return;
    }
    connection->number = begun++;
    connection->part = 0;
    connection->head_size = connection->carry = 0;
    int size = snprintf(body, sizeof body, "{\"model\":\"gpt-image-2\",\"prompt\":\"A quiet harbour, number %ld\",\"n\":1}",
                        connection->number);
    int all = snprintf(request, sizeof request,
                       "POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                       "Content-Length: %d\r\n\r\n%s", size, body);
    if (send(connection->fd, request, all, 0) != all)
        fail("send");
}

static void create(Connection *connection)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%08ld.png", folder, connection->number);
    connection->file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (connection->file < 0)
        fail(path);
}

/* Takes a piece of the base64 string, and what follows it. */
static void take(Connection *connection, const uint8_t *data, size_t size)
{
    const uint8_t *quote = memchr(data, '"', size);
    size_t length = quote ? (size_t)(quote - data) : size;
    size_t made = 0;
    while (connection->carry && connection->carry < 4 && length) {
        connection->carried[connection->carry++] = *data++;
        length--;
    }
    if (connection->carry == 4) {
        made = decode(connection->carried, 4, decoded);
        connection->carry = 0;
    }
    size_t whole = length & ~(size_t)3;
    made += decode(data, whole, decoded + made);
    if (made && write(connection->file, decoded, made) != (ssize_t)made)
        fail("write");
    for (size_t i = whole; i < length; i++)
        connection->carried[connection->carry++] = data[i];
    if (quote) {
        if (connection->carry)
            refuse("the base64 is cut");
        close(connection->file);
        connection->part = 2;
    }
}

/* Takes a piece that may have the headers and the start of the document. */
static void open_answer(Connection *connection, const uint8_t *data, size_t size)
{
    size_t old = connection->head_size, room = HEAD - old, copied = size < room ? size : room;
    memcpy(connection->head + old, data, copied);
    connection->head_size += copied;
    connection->head[connection->head_size] = 0;
    char *body = strstr(connection->head, "\r\n\r\n"), *key = body ? strstr(body, "\"b64_json\": \"") : NULL;
    char *length = body ? strcasestr(connection->head, "content-length:") : NULL;
    int whole = length && connection->head_size >= body + 4 - connection->head + strtoul(length + 15, NULL, 10);
    if (!key && (whole || connection->head_size == HEAD))
        refuse("no image");
    if (!key || !length)
        return;
    size_t used = key + 13 - connection->head - old; /* of this piece */
    connection->left = strtoul(length + 15, NULL, 10) - (old + size - (body + 4 - connection->head));
    connection->part = 1;
    create(connection);
    take(connection, data + used, size - used);
}

static void receive(Connection *connection)
{
    ssize_t got = recv(connection->fd, digits, RECEIVE, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        refuse("the server closed");
    if (connection->part == 0) {
        open_answer(connection, digits, got);
    } else {
        connection->left -= got;
        if (connection->part == 1)
            take(connection, digits, got);
    }
    if (connection->part && connection->left == 0) {
        if (connection->part != 2)
            refuse("the image is cut");
        done++;
        ask(connection);
    }
}

static void connect_to(Connection *connection, int port, int epoll)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event);
    ask(connection);
}

int main(int count, char **arguments)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct epoll_event events[256];
    if (count != 5) {
        fprintf(stderr, "usage: yardstick PORT IMAGES IN_FLIGHT FOLDER\n");
        return 2;
    }
    memset(value_of, -1, sizeof value_of);
    for (int i = 0; i < 64; i++)
        value_of[(uint8_t)alphabet[i]] = i;
    images = atol(arguments[2]);
    folder = arguments[4];
    long in_flight = atol(arguments[3]) < images ? atol(arguments[3]) : images;
    Connection *connections = calloc(in_flight, sizeof *connections);
    int epoll = epoll_create1(0);
    for (long i = 0; i < in_flight; i++)
        connect_to(&connections[i], atoi(arguments[1]), epoll);
    while (done < images) {
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++)
            receive(events[i].data.ptr);
    }
    printf("{\"images\": %ld}\n", done);
    return 0;
}
