/* A real HTTP server on loopback that hears whole requests with their bodies, over connections that are kept: a thread
 * for each. What is answered is a function of the test's; what was heard is kept, the last one first.
 */
#ifndef LRB_TESTS_HEARING_H
#define LRB_TESTS_HEARING_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEARING_HEAD_BYTES = 4096, HEARING_LINES = 1024 };

typedef struct heard {
    char head[HEARING_HEAD_BYTES]; /* up to the empty line */
    uint8_t *body;
    size_t body_bytes;
    int line, nth; /* the connection's number, and which request of it this is; from 0 */
    struct heard *before;
} heard;

typedef struct hearing {
    /* Answers; false: the connection is closed then. On the connection's thread. */
    bool (*answer)(const heard *request, int fd);
    int fd, port;
    pthread_t thread, talkers[HEARING_LINES];
    int fds[HEARING_LINES];
    atomic_int lines, requests;
    atomic_size_t body_bytes; /* of all, as they come */
    pthread_mutex_t lock;
    heard *last;
} hearing;

typedef struct hearing_line {
    hearing *server;
    int fd, number;
} hearing_line;

/* The value of a header, or "": in one of the caller's thread's rooms. */
static const char *hearing_header(const heard *request, const char *name) {
    static _Thread_local char rooms[4][128];
    static _Thread_local unsigned next;
    char *room = rooms[next++ % 4];
    size_t length = strlen(name);
    *room = 0;
    for (const char *at = strstr(request->head, "\r\n"); at; at = strstr(at + 2, "\r\n"))
        if (!strncasecmp(at + 2, name, length) && at[2 + length] == ':') sscanf(at + 3 + length, " %127[^\r]", room);
    return room;
}

static bool hearing_send(int fd, const void *bytes, size_t count) {
    for (size_t done = 0; done < count;) {
        ssize_t sent = send(fd, (const char *)bytes + done, count - done, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        done += (size_t)sent;
    }
    return true;
}

static bool hearing_say(int fd, const char *status, const char *more, const char *body) {
    char head[512];
    int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, strlen(body), more);
    return hearing_send(fd, head, (size_t)length) && hearing_send(fd, body, strlen(body));
}

/* Byte by byte: a test's head is short, and what follows is the body's. What cannot be one is told so, as others do. */
static bool hearing_take_head(int fd, heard *request) {
    for (size_t length = 0; length + 1 < sizeof request->head;) {
        if (recv(fd, request->head + length, 1, 0) != 1) return false;
        if (request->head[0] < 'A') return hearing_say(fd, "400 Bad Request", "", "") && false;
        request->head[++length] = 0;
        if (length >= 4 && !memcmp(request->head + length - 4, "\r\n\r\n", 4)) return true;
    }
    return false;
}

static bool hearing_take_body(hearing *server, int fd, heard *request) {
    request->body_bytes = strtoull(hearing_header(request, "Content-Length"), NULL, 10);
    request->body = malloc(request->body_bytes + 1);
    for (size_t done = 0; done < request->body_bytes;) {
        ssize_t got = recv(fd, request->body + done, request->body_bytes - done, 0);
        if (got <= 0) return false;
        done += (size_t)got;
        server->body_bytes += (size_t)got;
    }
    return true;
}

static void *hearing_talk(void *arg) {
    hearing_line line = *(hearing_line *)arg;
    free(arg);
    bool stays = true;
    for (int nth = 0; stays; nth++) {
        heard *request = calloc(1, sizeof *request);
        request->line = line.number;
        request->nth = nth;
        if (!hearing_take_head(line.fd, request) || !hearing_take_body(line.server, line.fd, request)) {
            free(request->body);
            free(request);
            break;
        }
        pthread_mutex_lock(&line.server->lock);
        request->before = line.server->last;
        line.server->last = request;
        pthread_mutex_unlock(&line.server->lock);
        line.server->requests++;
        stays = line.server->answer(request, line.fd);
    }
    shutdown(line.fd, SHUT_RDWR);
    return NULL;
}

static void *hearing_accept(void *arg) {
    hearing *server = arg;
    while (server->lines < HEARING_LINES) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0 && errno != EMFILE) break;
        if (fd < 0) { /* a test sees to it, and only for a moment */
            usleep(1000);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* an answer goes in pieces */
        hearing_line *line = malloc(sizeof *line);
        int number = server->lines;
        *line = (hearing_line){server, server->fds[number] = fd, number};
        if (pthread_create(&server->talkers[number], NULL, hearing_talk, line)) exit(2);
        server->lines++;
    }
    return NULL;
}

/* At every address of this machine, those of IPv6 as well where there are any. */
static void hearing_start(hearing *server, bool (*answer)(const heard *request, int fd)) {
    *server = (hearing){.answer = answer, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
    struct sockaddr_in four = {.sin_family = AF_INET};
    socklen_t length = sizeof six;
    server->fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&six, sizeof six)) {
        if (server->fd >= 0) close(server->fd);
        server->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(server->fd, (struct sockaddr *)&four, sizeof four)) perror("server"), exit(2);
    }
    if (listen(server->fd, 1024) || getsockname(server->fd, (struct sockaddr *)&six, &length)) perror("server"), exit(2);
    server->port = ntohs(six.sin6_port); /* at the same place in both kinds */
    if (pthread_create(&server->thread, NULL, hearing_accept, server)) exit(2);
}

/* The request `back` before the last one that was heard, which is over. */
static const heard *hearing_last(hearing *server, int back) {
    pthread_mutex_lock(&server->lock);
    const heard *request = server->last;
    while (request && back--) request = request->before;
    pthread_mutex_unlock(&server->lock);
    return request;
}

static void hearing_stop(hearing *server) {
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    for (int i = 0; i < server->lines; i++) shutdown(server->fds[i], SHUT_RDWR);
    for (int i = 0; i < server->lines; i++) pthread_join(server->talkers[i], NULL), close(server->fds[i]);
    for (heard *request = server->last, *before; request; request = before) {
        before = request->before;
        free(request->body);
        free(request);
    }
}

#endif
