/* Cheap OpenAI-speaking mock upstream.  One epoll loop, no allocation per request.
 *
 *   cc -O2 -o mock mock.c && ./mock PORT
 *
 * POST .../chat/completions   600-byte answer, or SSE when the body holds "stream": true;
 *                             CHUNKS=n anywhere in the prompt sets the number of content chunks
 * POST .../embeddings         16-dimension answer
 * GET  /stats                 counts since start; GET anything else answers 200 (health probes)
 *
 * env MOCK_DELAY_MS  wait before the first byte of an answer      (default 0)
 *     MOCK_CHUNKS    content chunks of a streamed answer          (default 20)
 *     MOCK_CHUNK_MS  wait between two chunks                      (default 0)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INBUF (1 << 20)
typedef struct conn {
    int fd, left;               /* left: stream steps still to send */
    size_t n;                   /* bytes in buf */
    char *buf;
    size_t cap;
    int waiting;                /* in a timer queue: do not parse the next request yet */
    int chat, fresh;            /* fresh: the head of a streamed answer is still to send */
    struct conn *next;          /* timer queue link */
    unsigned long long due;
} conn;

/* All waits in one queue have the same length, so each queue is sorted by itself. */
typedef struct { conn *head, *tail; } queue;
static queue q_first, q_chunk;
static int ep, delay_ms, chunk_ms, chunks;
static unsigned long long n_chat, n_stream, n_embed;
static char chat_resp[4096], embed_resp[4096], sse_head[512], sse_chunk[2048], sse_last[2048], ok_resp[256];
static int chat_len, embed_len, head_len, chunk_len, last_len, ok_len;

static unsigned long long now_us(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}
static void push(queue *q, conn *c, int ms) {
    c->due = now_us() + ms * 1000ULL; c->next = NULL; c->waiting = 1;
    if (q->tail) q->tail->next = c; else q->head = c;
    q->tail = c;
}
static void drop_from(queue *q, conn *c) {
    conn *p = NULL;
    for (conn *i = q->head; i; p = i, i = i->next)
        if (i == c) {
            if (p) p->next = i->next; else q->head = i->next;
            if (q->tail == i) q->tail = p;
            return;
        }
}
static void finish(conn *c) {
    if (c->waiting) { drop_from(&q_first, c); drop_from(&q_chunk, c); }
    close(c->fd); free(c->buf); free(c);
}
static int put(conn *c, const char *s, int n) {      /* answers are small: a full socket buffer is a dead client */
    while (n > 0) {
        ssize_t w = send(c->fd, s, n, MSG_NOSIGNAL);
        if (w < 0) { if (errno == EINTR) continue; return -1; }
        s += w; n -= w;
    }
    return 0;
}
static void build(void) {
    char body[2048];
    int n = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-mock000000000000000000001\",\"object\":\"chat.completion\",\"created\":1760000000,"
        "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
        "\"The quick brown fox jumps over the lazy dog, and then it sits down to think about what a gateway is "
        "really for, which is mostly to stay out of the way of the request.\",\"refusal\":null,\"annotations\":[]},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":36,"
        "\"total_tokens\":60,\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":"
        "{\"reasoning_tokens\":0}},\"system_fingerprint\":\"fp_mock\"}");
    chat_len = snprintf(chat_resp, sizeof chat_resp,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body);
    n = snprintf(body, sizeof body,
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.01,0.02,0.03,0.04,0.05,"
        "0.06,0.07,0.08,0.09,0.1,0.11,0.12,0.13,0.14,0.15,0.16]}],\"model\":\"text-embedding-3-small\","
        "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}");
    embed_len = snprintf(embed_resp, sizeof embed_resp,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body);
    n = snprintf(body, sizeof body, "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\",\"created\":1}]}");
    ok_len = snprintf(ok_resp, sizeof ok_resp,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body);
    head_len = snprintf(sse_head, sizeof sse_head,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n\r\n");
    n = snprintf(body, sizeof body,
        "data: {\"id\":\"chatcmpl-mock000000000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
        "\"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"delta\":"
        "{\"role\":\"assistant\",\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    chunk_len = snprintf(sse_chunk, sizeof sse_chunk, "%x\r\n%s\r\n", n, body);
    n = snprintf(body, sizeof body,
        "data: {\"id\":\"chatcmpl-mock000000000000000000001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
        "\"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"delta\":{},"
        "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":%d,"
        "\"total_tokens\":%d}}\n\ndata: [DONE]\n\n", chunks, 24 + chunks);
    last_len = snprintf(sse_last, sizeof sse_last, "%x\r\n%s\r\n0\r\n\r\n", n, body);
}
/* One step of an answer; returns -1 when the peer is gone. */
static int step(conn *c) {
    if (c->left < 0) {                                   /* plain answer */
        c->waiting = 0;
        return c->chat ? put(c, chat_resp, chat_len) : put(c, embed_resp, embed_len);
    }
    if (c->fresh && put(c, sse_head, head_len)) return -1;
    c->fresh = 0;
    while (c->left > 0) {
        c->left--;
        if (c->left == 0) { c->waiting = 0; return put(c, sse_last, last_len); }
        if (put(c, sse_chunk, chunk_len)) return -1;
        if (chunk_ms) { push(&q_chunk, c, chunk_ms); return 0; }
    }
    c->waiting = 0;
    return 0;
}
static int serve(conn *c) {                              /* handle every whole request in the buffer */
    while (!c->waiting && c->n) {
        c->buf[c->n] = 0;
        char *eoh = memmem(c->buf, c->n, "\r\n\r\n", 4);
        if (!eoh) return 0;
        size_t hl = eoh + 4 - c->buf, bl = 0, used;
        char save = *eoh; *eoh = 0;
        char *cl = strcasestr(c->buf, "\r\ncontent-length:"), *te = strcasestr(c->buf, "\r\ntransfer-encoding: chunked");
        char *ex = strcasestr(c->buf, "\r\nexpect: 100-continue");
        if (cl) bl = strtoul(cl + 17, NULL, 10);
        *eoh = save;
        if (ex && c->n == hl && put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25)) return -1;
        if (te) {
            char *e = memmem(c->buf + hl - 2, c->n - hl + 2, "\r\n0\r\n\r\n", 7);
            if (!e) return 0;
            used = e + 7 - c->buf; bl = used - hl;
        } else {
            if (c->n < hl + bl) return 0;
            used = hl + bl;
        }
        int rc = 0;
        if (c->buf[0] == 'G') {
            if (!strncmp(c->buf, "GET /stats ", 11)) {
                char b[256], o[512];
                int n = snprintf(b, sizeof b, "{\"chat\":%llu,\"stream\":%llu,\"embed\":%llu}", n_chat, n_stream, n_embed);
                n = snprintf(o, sizeof o, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, b);
                rc = put(c, o, n);
            } else rc = put(c, ok_resp, ok_len);
        } else {
            char *eol = memchr(c->buf, '\r', hl), *body = c->buf + hl;
            c->chat = !memmem(c->buf, eol - c->buf, "/embeddings", 11);
            char *s = c->chat ? memmem(body, bl, "\"stream\"", 8) : NULL;
            c->left = -1;
            if (s) {
                s += 8; while (s < body + bl && (*s == ':' || *s == ' ')) s++;
                if (!strncmp(s, "true", 4)) {
                    char *m = memmem(body, bl, "CHUNKS=", 7);
                    c->left = (m ? atoi(m + 7) : chunks) + 1; c->fresh = 1;
                }
            }
            if (!c->chat) n_embed++; else if (c->left > 0) n_stream++; else n_chat++;
            if (delay_ms) push(&q_first, c, delay_ms); else rc = step(c);
        }
        if (rc) return -1;
        memmove(c->buf, c->buf + used, c->n - used); c->n -= used;
    }
    return 0;
}
static void run_due(queue *q, unsigned long long t) {
    while (q->head && q->head->due <= t) {
        conn *c = q->head; q->head = c->next; if (!q->head) q->tail = NULL;
        c->waiting = 0;
        if (step(c) || serve(c)) finish(c);
    }
}
int main(int argc, char **argv) {
    if (argc < 2) { fprintf(stderr, "usage: mock PORT\n"); return 2; }
    char *e;
    signal(SIGPIPE, SIG_IGN);
    delay_ms = (e = getenv("MOCK_DELAY_MS")) ? atoi(e) : 0;
    chunk_ms = (e = getenv("MOCK_CHUNK_MS")) ? atoi(e) : 0;
    chunks = (e = getenv("MOCK_CHUNKS")) ? atoi(e) : 20;
    build();
    int one = 1, ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(ls, (void *)&a, sizeof a) || listen(ls, 1024)) { perror("bind"); return 1; }
    ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
    for (;;) {
        unsigned long long t = now_us(), d = 0;
        if (q_first.head) d = q_first.head->due;
        if (q_chunk.head && (!d || q_chunk.head->due < d)) d = q_chunk.head->due;
        /* Rounded up to whole milliseconds: epoll_pwait2 would be finer, and is missing in older systems. */
        int wait_ms = !d ? -1 : d > t ? (int)((d - t + 999) / 1000) : 0;
        int n = epoll_wait(ep, evs, 256, wait_ms);
        for (int i = 0; i < n; i++) {
            conn *c = evs[i].data.ptr;
            if (!c) {
                int fd;
                while ((fd = accept4(ls, NULL, NULL, 0)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    c = calloc(1, sizeof *c); c->fd = fd; c->cap = 16384; c->buf = malloc(c->cap + 1);
                    ev.events = EPOLLIN; ev.data.ptr = c; epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
                }
                continue;
            }
            if (c->n == c->cap) {
                if (c->cap >= INBUF) { finish(c); continue; }
                c->cap *= 2; c->buf = realloc(c->buf, c->cap + 1);
            }
            ssize_t r = recv(c->fd, c->buf + c->n, c->cap - c->n, MSG_DONTWAIT);
            if (r < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (r <= 0) { finish(c); continue; }
            c->n += r;
            if (serve(c)) finish(c);
        }
        t = now_us(); run_due(&q_first, t); run_due(&q_chunk, t);
    }
}
