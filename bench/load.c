/* Closed-loop load generator for streamed (SSE) answers; also does plain JSON answers.
 *
 *   cc -O2 -o load load.c
 *   ./load HOST PORT PATH BODY CONCURRENCY SECONDS MAX_REQUESTS [HEADER ...]
 *
 * Each connection sends one request, reads the answer to its end, and sends the next.  One JSON line
 * comes out: requests, failures, "data:" events, percentiles (microseconds) of the time to the first
 * byte of the first event (ttft), of the whole answer (total), and of the gap between two reads that
 * brought events (gap).  Bounded by SECONDS and MAX_REQUESTS, whichever is first; what is still open
 * ten seconds later counts as failed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    int fd, busy, head_done, chunked, keep, status, events;
    long long want;                 /* bytes of body still to come, when not chunked */
    double t0, tfirst, tlast;
    char head[16384]; size_t hn;
    char tail[32]; int tn;          /* last bytes of the answer: tells the end of a chunked body */
    int mark;                       /* how much of "data:" at a line start has matched */
} conn;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }
typedef struct { float *v; size_t n, cap; } list;
static list ttft, total, gaps;
static void add(list *l, double x) {
    if (l->n == l->cap) { l->cap = l->cap ? l->cap * 2 : 65536; l->v = realloc(l->v, l->cap * sizeof *l->v); }
    l->v[l->n++] = x;
}
static int cmp(const void *a, const void *b) { float x = *(float *)a, y = *(float *)b; return x < y ? -1 : x > y; }
static void show(const char *name, list *l) {
    qsort(l->v, l->n, sizeof *l->v, cmp);
    double s = 0; for (size_t i = 0; i < l->n; i++) s += l->v[i];
    printf(",\"%s\":{\"n\":%zu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, l->n,
           l->n ? s / l->n : 0, l->n ? l->v[l->n / 2] : 0, l->n ? l->v[(size_t)(l->n * .9)] : 0,
           l->n ? l->v[(size_t)(l->n * .99)] : 0, l->n ? l->v[l->n - 1] : 0);
}
static struct sockaddr_in addr;
static int ep; static char *req; static size_t reqlen;
static long long sent, done, failed, events, max_req, reconnects, bytes;
static int stopping;

static int start(conn *c) {
    if (stopping || sent >= max_req) { c->busy = 0; return 0; }
    if (c->fd < 0) {
        int one = 1;
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (void *)&addr, sizeof addr)) { close(c->fd); c->fd = -1; return -1; }
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
        reconnects++;
    }
    c->head_done = c->chunked = c->status = c->events = c->tn = c->mark = 0; c->keep = 1; c->hn = 0; c->want = -1;
    c->tfirst = c->tlast = 0; c->busy = 1; c->t0 = now(); sent++;
    if (send(c->fd, req, reqlen, MSG_NOSIGNAL) != (ssize_t)reqlen) return -1;
    return 0;
}
static void end(conn *c, double t, int ok) {
    if (ok && c->status == 200) {
        done++; events += c->events;
        add(&total, t - c->t0);
        if (c->tfirst) add(&ttft, c->tfirst - c->t0);
    } else failed++;
    if (!ok || !c->keep) { close(c->fd); c->fd = -1; }
    if (failed > 1000) stopping = 1;
    if (start(c)) { failed++; if (c->fd >= 0) close(c->fd); c->fd = -1; c->busy = 0; }
}
static void body(conn *c, const char *p, size_t n, double t) {
    int ev = 0;
    for (size_t i = 0; i < n; i++) {                  /* count "data:" at line starts */
        char ch = p[i];
        if (ch == '\n') c->mark = 1;
        else if (c->mark && ch == "data:"[c->mark - 1]) { if (++c->mark == 6) { ev++; c->mark = 0; } }
        else c->mark = 0;
    }
    if (ev) {
        if (!c->tfirst) c->tfirst = t; else add(&gaps, t - c->tlast);
        c->tlast = t; c->events += ev;
    }
    if (n >= sizeof c->tail) { memcpy(c->tail, p + n - sizeof c->tail, sizeof c->tail); c->tn = sizeof c->tail; }
    else {
        int keep = c->tn + n > sizeof c->tail ? (int)(sizeof c->tail - n) : c->tn;
        memmove(c->tail, c->tail + c->tn - keep, keep); memcpy(c->tail + keep, p, n); c->tn = keep + n;
    }
    int fin = 0;
    if (c->chunked) fin = (c->tn >= 7 && !memcmp(c->tail + c->tn - 7, "\r\n0\r\n\r\n", 7)) || (c->tn == 5 && !memcmp(c->tail, "0\r\n\r\n", 5));
    else if (c->want >= 0) { c->want -= n; fin = c->want <= 0; }
    if (fin) end(c, t, 1);
}
int main(int argc, char **argv) {
    if (argc < 8) { fprintf(stderr, "usage: load HOST PORT PATH BODY CONCURRENCY SECONDS MAX_REQUESTS [HEADER ...]\n"); return 2; }
    int conc = atoi(argv[5]); double secs = atof(argv[6]); max_req = atoll(argv[7]);
    if (strncmp(argv[1], "127.", 4)) { fprintf(stderr, "loopback only\n"); return 2; }
    signal(SIGPIPE, SIG_IGN);
    addr.sin_family = AF_INET; addr.sin_port = htons(atoi(argv[2])); inet_pton(AF_INET, argv[1], &addr.sin_addr);
    size_t room = 1;
    for (int i = 8; i < argc; i++) room += strlen(argv[i]) + 2;
    char *hdr = calloc(1, room);
    for (int i = 8; i < argc; i++) { strcat(hdr, argv[i]); strcat(hdr, "\r\n"); }
    reqlen = asprintf(&req, "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
                      argv[3], argv[1], argv[2], strlen(argv[4]), hdr, argv[4]);
    ep = epoll_create1(0);
    conn *cs = calloc(conc, sizeof *cs);
    double t0 = now(), stop = t0 + secs * 1e6, hard = stop + 10e6;
    for (int i = 0; i < conc; i++) { cs[i].fd = -1; if (start(&cs[i])) { perror("cannot connect"); return 1; } }
    struct epoll_event ev[256]; static char buf[65536];
    for (;;) {
        double t = now();
        if (t > stop) stopping = 1;
        int busy = 0; for (int i = 0; i < conc; i++) busy += cs[i].busy;
        if (t > hard) failed += busy;               /* an answer that never ends is a failure */
        if (!busy || t > hard) break;
        int n = epoll_wait(ep, ev, 256, 100);
        for (int i = 0; i < n; i++) {
            conn *c = ev[i].data.ptr;
            if (c->fd < 0) continue;
            ssize_t r = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
            t = now();
            if (r < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            if (r <= 0) {
                if (!c->busy) { close(c->fd); c->fd = -1; }
                else end(c, t, c->head_done && !c->chunked && c->want < 0 && r == 0 && (c->keep = 0, 1));
                continue;
            }
            bytes += r;
            if (c->head_done) { body(c, buf, r, t); continue; }
            if (c->hn + r >= sizeof c->head) { end(c, t, 0); continue; }
            memcpy(c->head + c->hn, buf, r); c->hn += r; c->head[c->hn] = 0;
            char *e = memmem(c->head, c->hn, "\r\n\r\n", 4);
            if (!e) continue;
            *e = 0; c->head_done = 1; c->mark = 1;
            c->status = atoi(c->head + 9);
            char *cl = strcasestr(c->head, "\r\ncontent-length:");
            c->chunked = !!strcasestr(c->head, "\r\ntransfer-encoding: chunked");
            c->keep = !strcasestr(c->head, "\r\nconnection: close");
            if (cl) c->want = atoll(cl + 17);
            size_t off = e + 4 - c->head, rest = c->hn - off;
            if (rest || c->want == 0) body(c, c->head + off, rest, t);
        }
    }
    double el = (now() - t0) / 1e6;
    struct rusage ru; getrusage(RUSAGE_SELF, &ru);
    double cpu = ru.ru_utime.tv_sec + ru.ru_stime.tv_sec + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
    printf("{\"requests\":%lld,\"failed\":%lld,\"seconds\":%.3f,\"rps\":%.1f,\"events\":%lld,\"connects\":%lld,\"bytes\":%lld,\"client_cpu_s\":%.3f",
           done, failed, el, done / el, events, reconnects, bytes, cpu);
    show("ttft", &ttft); show("total", &total); show("gap", &gaps);
    printf("}\n");
    return 0;
}
