/* A small HTTP server on loopback for the prober's tests. What it answers is in the path:
 *
 *   /good    what a receiver says, if X-API-Key is "secret", else 401     /plain   404, as LightRAG without a receiver
 *   /hang    nothing, and keeps the connection                            /close   nothing, and closes it
 *   /long    more than anybody should read                                /moved   302 to /good
 *   /paced   404 after a moment: many of them come shortly one after the other
 *
 * While `down` is set it closes every connection. One thread; every answer ends its connection.
 */
#ifndef LRB_TESTS_SMALL_SERVER_H
#define LRB_TESTS_SMALL_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL_SERVER_HELD = 1024, SMALL_SERVER_PACE_US = 100 };

typedef struct small_server {
    pthread_t thread;
    int fd, port, held[SMALL_SERVER_HELD], held_count;
    atomic_bool down;
    atomic_int requests;
} small_server;

#define SMALL_SERVER_GOOD "{\"product\":\"lightrag-bkp\",\"protocol\":1,\"version\":\"1\",\"instance_id\":\"here\",\"authenticated\":true,\"ready\":true}"

static void small_server_say(int fd, const char *status, const char *more, const char *body) {
    char head[512];
    int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status, strlen(body), more);
    if (send(fd, head, (size_t)length, MSG_NOSIGNAL) == length) (void)!send(fd, body, strlen(body), MSG_NOSIGNAL);
}

static void small_server_pour(int fd) {
    static char block[1 << 16];
    memset(block, ' ', sizeof block);
    (void)!send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, MSG_NOSIGNAL);
    for (int i = 0; i < 64; i++)
        if (send(fd, block, sizeof block, MSG_NOSIGNAL) < 0) return;
}

/* Whether the connection is kept. */
static bool small_server_answer(const char *request, int fd) {
    if (!strncmp(request, "GET /hang/", 10)) return true;
    if (!strncmp(request, "GET /long/", 10)) small_server_pour(fd);
    else if (!strncmp(request, "GET /moved/", 11)) small_server_say(fd, "302 Found", "Location: /good\r\n", "");
    else if (!strncmp(request, "GET /paced/", 11)) usleep(SMALL_SERVER_PACE_US), small_server_say(fd, "404 Not Found", "", "");
    else if (!strncmp(request, "GET /plain/", 11)) small_server_say(fd, "404 Not Found", "", "{\"detail\":\"Not Found\"}");
    else if (strncmp(request, "GET /good/api/v1/backup-replication/receive/capabilities ", 57)) return false;
    else if (strstr(request, "\r\nX-API-Key: secret\r\n")) small_server_say(fd, "200 OK", "", SMALL_SERVER_GOOD);
    else small_server_say(fd, "401 Unauthorized", "", "");
    return false;
}

static void *small_server_run(void *arg) {
    small_server *server = arg;
    for (int fd; (fd = accept(server->fd, NULL, NULL)) >= 0;) {
        char request[4096];
        ssize_t got = recv(fd, request, sizeof request - 1, 0);
        request[got > 0 ? got : 0] = 0;
        server->requests++;
        bool keep = !server->down && got > 0 && small_server_answer(request, fd) && server->held_count < SMALL_SERVER_HELD;
        if (keep) server->held[server->held_count++] = fd;
        else close(fd);
    }
    return NULL;
}

static void small_server_start(small_server *server) {
    *server = (small_server){0};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server->fd, (struct sockaddr *)&here, length) || listen(server->fd, 1024) || getsockname(server->fd, (struct sockaddr *)&here, &length))
        perror("server"), exit(2);
    server->port = ntohs(here.sin_port);
    if (pthread_create(&server->thread, NULL, small_server_run, server)) exit(2);
}

static void small_server_stop(small_server *server) {
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    while (server->held_count) close(server->held[--server->held_count]);
}

#endif
