#define _GNU_SOURCE 1
#include "disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum op_kind { BIND, UNBIND, MOVE, SWAP, WRITE, SIZE, ATTRIBUTES } op_kind;

typedef struct name_at {
    size_t dir;
    char *name;
} name_at;

typedef struct operation {
    op_kind kind;
    size_t event, object;
    name_at from, to;          /* BIND, UNBIND: from; MOVE: from, to; SWAP: both */
    uint8_t *bytes;            /* WRITE */
    size_t count;
    uint64_t offset;           /* WRITE; SIZE: the new size */
    mode_t mode;               /* ATTRIBUTES */
    struct timespec mtime;
    size_t synced, from_synced; /* the event that made it certain; from_synced: MOVE's old name */
} operation;

typedef struct entry {
    const char *name;
    size_t object;
} entry;

typedef struct object {
    ino_t inode;
    mode_t type;
    char *text;                /* of a symbolic link */
    uint8_t *base;             /* content, mode, time and names when watching began, or nothing when made since */
    size_t base_size, base_count, base_room;
    entry *base_entries;
    mode_t base_mode;
    struct timespec base_mtime;
    /* the state of the last cut */
    entry *entries;
    size_t entry_count, entry_room;
    uint8_t *bytes;
    size_t size, room;
    mode_t mode;
    struct timespec mtime;
    bool has_mtime;
    uint64_t mark;             /* stands for what was done to it */
} object;

struct disk {
    object *objects;
    size_t object_count, object_room;
    operation *ops;
    size_t op_count, op_room;
    char **events;
    size_t event_count, event_room;
};

enum { NEVER = -1 };
static const size_t never = (size_t)NEVER;

static disk *watching;

static void *grown(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room) return array;
    *room = *room ? *room * 2 : 64;
    array = realloc(array, *room * size);
    if (!array) abort();
    return array;
}

/* ---- what is there when watching begins ---- */

static size_t add_object(disk *d, ino_t inode, mode_t type) {
    d->objects = grown(d->objects, d->object_count, &d->object_room, sizeof *d->objects);
    d->objects[d->object_count] = (object){.inode = inode, .type = type & S_IFMT, .base_mode = type & 07777};
    return d->object_count++;
}

static void add_base_entry(disk *d, size_t dir, const char *name, size_t of) {
    object *o = &d->objects[dir];
    o->base_entries = grown(o->base_entries, o->base_count, &o->base_room, sizeof *o->base_entries);
    o->base_entries[o->base_count++] = (entry){strdup(name), of};
}

static uint8_t *read_all(int dir, const char *name, size_t size) {
    uint8_t *bytes = malloc(size + 1);
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW);
    if (fd < 0 || !bytes || pread(fd, bytes, size, 0) != (ssize_t)size) perror(name), abort();
    close(fd);
    return bytes;
}

static void scan(disk *d, size_t dir, int fd);

static void scan_one(disk *d, size_t dir, int fd, const char *name) {
    struct stat st;
    char text[4096] = "";
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW)) perror(name), abort();
    size_t at = add_object(d, st.st_ino, st.st_mode);
    add_base_entry(d, dir, name, at);
    d->objects[at].base_mtime = st.st_mtim;
    if (S_ISREG(st.st_mode)) {
        d->objects[at].base = read_all(fd, name, (size_t)st.st_size);
        d->objects[at].base_size = (size_t)st.st_size;
    } else if (S_ISLNK(st.st_mode)) {
        if (readlinkat(fd, name, text, sizeof text - 1) < 0) abort();
        d->objects[at].text = strdup(text);
    } else if (S_ISDIR(st.st_mode)) {
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY);
        scan(d, at, below);
        close(below);
    }
}

static void scan(disk *d, size_t dir, int fd) {
    DIR *stream = fdopendir(dup(fd));
    if (!stream) perror("scan"), abort();
    rewinddir(stream);
    for (struct dirent *found; (found = readdir(stream));)
        if (strcmp(found->d_name, ".") && strcmp(found->d_name, "..")) scan_one(d, dir, fd, found->d_name);
    closedir(stream);
}

/* ---- watching ---- */

/* The newest object with this inode number: numbers are used again. */
static size_t find(const disk *d, ino_t inode) {
    for (size_t i = d->object_count; i-- > 0;)
        if (d->objects[i].inode == inode) return i;
    return never;
}

static size_t object_of(const disk *d, int fd, const char *name, struct stat *st) {
    if (name ? fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) : fstat(fd, st)) return never;
    return find(d, st->st_ino);
}

static operation *add_op(disk *d, op_kind kind) {
    d->ops = grown(d->ops, d->op_count, &d->op_room, sizeof *d->ops);
    operation *op = &d->ops[d->op_count++];
    *op = (operation){.kind = kind, .event = d->event_count, .synced = never, .from_synced = never};
    return op;
}

/* Most names are one component; the storage path is made by its whole path. */
static name_at name_of(const disk *d, int fd, const char *name) {
    struct stat st;
    const char *slash = strrchr(name, '/');
    if (!slash) return (name_at){object_of(d, fd, NULL, &st), strdup(name)};
    char above[PATH_MAX];
    snprintf(above, sizeof above, "%.*s", (int)(slash - name), name);
    return (name_at){object_of(d, fd, above, &st), strdup(slash + 1)};
}

static void note_made(disk *d, const seam_call *call, long result) {
    struct stat st;
    bool opened = call->kind == SEAM_CREATE;
    if (opened ? fstat((int)result, &st) : fstatat(call->fd, call->name, &st, AT_SYMLINK_NOFOLLOW)) abort();
    size_t at = add_object(d, st.st_ino, st.st_mode);
    if (call->kind == SEAM_MAKE_LINK) d->objects[at].text = strdup(call->bytes);
    operation *op = add_op(d, BIND);
    op->object = at;
    op->from = name_of(d, call->fd, call->name);
}

static void note_names(disk *d, const seam_call *call) {
    static const op_kind kinds[SEAM_KINDS] = {[SEAM_LINK] = BIND, [SEAM_RENAME] = MOVE, [SEAM_EXCHANGE] = SWAP};
    struct stat st;
    operation *op = add_op(d, kinds[call->kind]);
    op->object = object_of(d, call->to_fd, call->to_name, &st);
    op->from = name_of(d, call->fd, call->name);
    op->to = name_of(d, call->to_fd, call->to_name);
    if (op->kind != BIND) return;
    free(op->from.name);
    op->from = op->to;
    op->to = (name_at){0};
}

static void note_content(disk *d, const seam_call *call, long result) {
    struct stat st;
    size_t at = object_of(d, call->fd, call->name, &st);
    if (at == never) return;
    operation *op = add_op(d, call->kind == SEAM_WRITE ? WRITE : call->kind == SEAM_SET_SIZE ? SIZE : ATTRIBUTES);
    op->object = at;
    op->offset = call->offset;
    op->mode = st.st_mode & 07777;
    op->mtime = st.st_mtim;
    if (op->kind != WRITE) return;
    op->count = (size_t)result;
    op->bytes = malloc(op->count + 1);
    memcpy(op->bytes, call->bytes, op->count);
}

static bool about_names(const operation *op) {
    return op->kind <= SWAP;
}

static void note_sync(disk *d, const seam_call *call) {
    struct stat st;
    bool all = call->kind == SEAM_SYNC_ALL;
    size_t of = object_of(d, call->fd, NULL, &st);
    for (size_t i = 0; i < d->op_count; i++) {
        operation *op = &d->ops[i];
        bool names = about_names(op);
        bool here = all || (names ? op->from.dir == of || (op->to.name && op->to.dir == of) : op->object == of);
        if (!here || (call->data_only && op->kind == ATTRIBUTES)) continue;
        if (op->synced == never) op->synced = d->event_count;
        if (op->kind == MOVE && op->from_synced == never && (all || op->from.dir == of)) op->from_synced = d->event_count;
    }
}

static void note(const seam_call *call, long result) {
    disk *d = watching;
    char line[PATH_MAX + 300];
    switch (call->kind) {
    case SEAM_CREATE:
    case SEAM_MAKE_DIR:
    case SEAM_MAKE_LINK: note_made(d, call, result); break;
    case SEAM_LINK:
    case SEAM_RENAME:
    case SEAM_EXCHANGE: note_names(d, call); break;
    case SEAM_WRITE:
    case SEAM_SET_SIZE:
    case SEAM_ATTRIBUTES: note_content(d, call, result); break;
    case SEAM_UNLINK:
    case SEAM_REMOVE_DIR: add_op(d, UNBIND)->from = name_of(d, call->fd, call->name); break;
    case SEAM_SYNC:
    case SEAM_SYNC_ALL: note_sync(d, call); break;
    default: return;
    }
    snprintf(line, sizeof line, "%s %s%s%s", seam_names[call->kind], call->path, call->to_name ? " to " : "",
             call->to_name ? call->to_name : "");
    d->events = grown(d->events, d->event_count, &d->event_room, sizeof *d->events);
    d->events[d->event_count++] = strdup(line);
}

disk *disk_begin(const char *root) {
    disk *d = calloc(1, sizeof *d);
    struct stat st;
    int fd = open(root, O_RDONLY | O_DIRECTORY);
    if (!d || fd < 0 || fstat(fd, &st)) perror(root), abort();
    add_object(d, st.st_ino, st.st_mode);
    scan(d, 0, fd);
    close(fd);
    watching = d;
    snprintf(seam.root, sizeof seam.root, "%s", root);
    seam.after = note;
    return d;
}

void disk_pause(disk *d) {
    if (watching != d) return;
    watching = NULL;
    seam.after = NULL;
    seam.root[0] = '\0';
}

void disk_end(disk *d) {
    disk_pause(d);
    for (size_t i = 0; i < d->object_count; i++) {
        object *o = &d->objects[i];
        for (size_t k = 0; k < o->base_count; k++) free((char *)o->base_entries[k].name);
        free(o->base_entries);
        free(o->entries);
        free(o->base);
        free(o->bytes);
        free(o->text);
    }
    for (size_t i = 0; i < d->op_count; i++) {
        free(d->ops[i].from.name);
        free(d->ops[i].to.name);
        free(d->ops[i].bytes);
    }
    for (size_t i = 0; i < d->event_count; i++) free(d->events[i]);
    free(d->events);
    free(d->objects);
    free(d->ops);
    free(d);
}

size_t disk_events(const disk *d) { return d->event_count; }
size_t disk_operations(const disk *d) { return d->op_count; }
const char *disk_event(const disk *d, size_t event) { return event < d->event_count ? d->events[event] : "the end"; }
const char *disk_operation(const disk *d, size_t operation) { return disk_event(d, d->ops[operation].event); }

/* ---- what is uncertain ---- */

size_t disk_uncertain(const disk *d, size_t cut, size_t *operations, size_t room) {
    size_t count = 0;
    for (size_t i = 0; i < d->op_count && d->ops[i].event < cut && count < room; i++)
        for (disk_harm harm = DISK_LOST; harm < DISK_HARMS; harm++)
            if (disk_possible(d, cut, i, harm)) {
                operations[count++] = i;
                break;
            }
    return count;
}

bool disk_possible(const disk *d, size_t cut, size_t operation_at, disk_harm harm) {
    const operation *op = &d->ops[operation_at];
    if (op->event >= cut) return false;
    switch (harm) {
    case DISK_WHOLE: return true;
    case DISK_LOST: return op->synced >= cut;
    case DISK_HALF: return op->synced >= cut && op->kind == WRITE && op->count > 1;
    case DISK_ZEROS: return op->synced >= cut && op->kind == WRITE;
    case DISK_BOTH_NAMES: return op->from_synced >= cut && op->kind == MOVE && op->from.dir != op->to.dir;
    default: return false;
    }
}

/* ---- the state after a cut ---- */

static entry *look_up(object *dir, const char *name) {
    for (size_t i = 0; i < dir->entry_count; i++)
        if (!strcmp(dir->entries[i].name, name)) return &dir->entries[i];
    return NULL;
}

static void bind(disk *d, const name_at *at, size_t to) {
    object *dir = &d->objects[at->dir];
    entry *found = look_up(dir, at->name);
    if (found) {
        found->object = to;
        return;
    }
    dir->entries = grown(dir->entries, dir->entry_count, &dir->entry_room, sizeof *dir->entries);
    dir->entries[dir->entry_count++] = (entry){at->name, to};
}

/* Only of this object, unless `of` is never: what another operation put there stays. */
static void unbind(disk *d, const name_at *at, size_t of) {
    object *dir = &d->objects[at->dir];
    entry *found = look_up(dir, at->name);
    if (found && (of == never || found->object == of)) *found = dir->entries[--dir->entry_count];
}

static void resize(object *o, size_t size) {
    if (size > o->room) {
        o->room = size + 4096;
        o->bytes = realloc(o->bytes, o->room);
        if (!o->bytes) abort();
    }
    if (size > o->size) memset(o->bytes + o->size, 0, size - o->size);
    o->size = size;
}

static void put_bytes(object *o, const operation *op, disk_harm harm) {
    size_t count = harm == DISK_HALF ? op->count / 2 : op->count, end = (size_t)op->offset + count;
    if (end > o->size) resize(o, end);
    if (harm != DISK_ZEROS) memcpy(o->bytes + op->offset, op->bytes, count);
}

static void mark(object *o, uint64_t with) {
    o->mark = (o->mark ^ with) * 0x100000001b3u;
}

static void swap(disk *d, const operation *op) {
    entry *one = look_up(&d->objects[op->from.dir], op->from.name), *other = look_up(&d->objects[op->to.dir], op->to.name);
    if (!one || !other) return;
    size_t kept = one->object;
    one->object = other->object;
    other->object = kept;
}

static void apply(disk *d, size_t at, disk_harm harm) {
    const operation *op = &d->ops[at];
    object *o = &d->objects[op->object];
    switch (op->kind) {
    case BIND: bind(d, &op->from, op->object); break;
    case UNBIND: unbind(d, &op->from, never); break;
    case MOVE:
        bind(d, &op->to, op->object);
        if (harm != DISK_BOTH_NAMES) unbind(d, &op->from, op->object);
        break;
    case SWAP: swap(d, op); break;
    case WRITE: put_bytes(o, op, harm); break;
    case SIZE: resize(o, (size_t)op->offset); break;
    case ATTRIBUTES:
        o->mode = op->mode;
        o->mtime = op->mtime;
        o->has_mtime = true;
        break;
    }
    if (!about_names(op)) mark(o, at * DISK_HARMS + harm + 1);
}

static void begin_state(disk *d) {
    for (size_t i = 0; i < d->object_count; i++) {
        object *o = &d->objects[i];
        o->entry_count = 0;
        o->size = 0;
        o->mode = o->base_mode;
        o->mtime = o->base_mtime;
        o->has_mtime = o->base_mtime.tv_sec != 0;
        o->mark = i + 1;
        for (size_t k = 0; k < o->base_count; k++) bind(d, &(name_at){i, (char *)o->base_entries[k].name}, o->base_entries[k].object);
        if (o->base_size) {
            resize(o, o->base_size);
            memcpy(o->bytes, o->base, o->base_size);
        }
    }
}

/* Independent of the order of names. */
static uint64_t sum(const disk *d, size_t at, unsigned depth) {
    const object *o = &d->objects[at];
    uint64_t total = o->mark * 0x9e3779b97f4a7c15u;
    if (!S_ISDIR(o->type) || depth > 100) return total;
    for (size_t i = 0; i < o->entry_count; i++) {
        uint64_t hash = 0xcbf29ce484222325u;
        for (const char *c = o->entries[i].name; *c; c++) hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
        uint64_t below = sum(d, o->entries[i].object, depth + 1);
        hash = (hash ^ below) * 0xff51afd7ed558ccdu;
        total += hash ^ hash >> 29;
    }
    return total * 0xc4ceb9fe1a85ec53u;
}

uint64_t disk_cut(disk *d, size_t cut, const uint8_t *harm) {
    begin_state(d);
    for (size_t i = 0; i < d->op_count && d->ops[i].event < cut; i++)
        if (harm[i] != DISK_LOST) apply(d, i, (disk_harm)harm[i]);
    return sum(d, 0, 0);
}

static void write_below(const disk *d, size_t at, int fd);

static void write_one(const disk *d, const entry *e, int fd) {
    const object *o = &d->objects[e->object];
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, o->mtime};
    if (S_ISLNK(o->type)) {
        if (symlinkat(o->text, fd, e->name)) perror(e->name), abort();
    } else if (S_ISDIR(o->type)) {
        if (mkdirat(fd, e->name, 0700)) perror(e->name), abort();
        int below = openat(fd, e->name, O_RDONLY | O_DIRECTORY);
        write_below(d, e->object, below);
        if (o->has_mtime) futimens(below, times);
        fchmod(below, o->mode);
        close(below);
    } else {
        int file = openat(fd, e->name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (file < 0 || write(file, o->bytes, o->size) != (ssize_t)o->size) perror(e->name), abort();
        if (o->has_mtime) futimens(file, times);
        fchmod(file, o->mode);
        close(file);
    }
}

static void write_below(const disk *d, size_t at, int fd) {
    for (size_t i = 0; i < d->objects[at].entry_count; i++) write_one(d, &d->objects[at].entries[i], fd);
}

void disk_write(const disk *d, const char *into) {
    int fd = open(into, O_RDONLY | O_DIRECTORY);
    if (fd < 0) perror(into), abort();
    write_below(d, 0, fd);
    close(fd);
}
