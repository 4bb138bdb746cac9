/* Files written past the page cache: the same bytes, whatever their length, wherever they come from and go to. */
#include "base/fs_direct.h"

#include <fcntl.h>

#include "base/mem.h"
#include "check.h"
#include "fixture.h"

enum { BLOCK = LRB_FS_DIRECT_BLOCK_BYTES, LEAST = LRB_FS_DIRECT_MIN_BYTES, MOST = 3 * LEAST };

static lrb_err err;

static bool holds(const char *path, const uint8_t *bytes, size_t count) {
    static uint8_t back[MOST + 1];
    FILE *file = fopen(path, "rb");
    size_t got = file ? fread(back, 1, sizeof back, file) : 0;
    if (file) fclose(file);
    return got == count && !memcmp(back, bytes, count);
}

/* Whether the descriptor is as it was created. */
static bool is_plain(int fd) { return !(fcntl(fd, F_GETFL) & O_DIRECT); }

static bool comes_back(const char *path, const uint8_t *bytes, size_t count) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return perror(path), false;
    bool good = !lrb_fs_write_direct(fd, bytes, count, 0, "file", &err) && is_plain(fd) && !lrb_fs_sync_data(fd, "file", &err);
    close(fd);
    good = good && holds(path, bytes, count);
    unlink(path);
    return good;
}

static void all_come_back(const char *path) {
    static const size_t lengths[] = {0, 1, BLOCK, LEAST - 1, LEAST, LEAST + 1, LEAST + BLOCK - 1, LEAST + BLOCK, MOST - BLOCK - 7};
    uint8_t *pages = lrb_resize_pages(NULL, 0, MOST);
    fixture_fill(pages, MOST, 1);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (size_t at = 0; at <= BLOCK; at += at < 16 ? 8 : BLOCK - 16) /* 0 and BLOCK are at the start of a page */
            CHECK(comes_back(path, pages + at, lengths[i]));
    lrb_free_pages(pages, MOST);
}

TEST(bytes_of_any_length_and_address_come_back) {
    fixture f;
    char path[512];
    fixture_open(&f);
    fixture_path(path, f.root, "file");
    all_come_back(path);
    fixture_close(&f);
}

/* Files in memory: what a file system makes of the wish is its own affair. */
TEST(other_file_systems_take_them_too) {
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/lrb-test-%d", (int)getpid());
    all_come_back(path);
}

TEST(a_refused_write_is_an_error) {
    fixture f;
    char path[512];
    fixture_open(&f);
    fixture_write(f.root, "file", 0, 1);
    fixture_path(path, f.root, "file");
    uint8_t *pages = lrb_resize_pages(NULL, 0, MOST);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK_FAILS(lrb_fs_write_direct(fd, pages, LEAST, 0, "file", &err), LRB_E_IO);
    CHECK(is_plain(fd));
    close(fd);
    CHECK_FAILS(lrb_fs_write_direct(-1, pages, LEAST, 0, "file", &err), LRB_E_IO);
    lrb_free_pages(pages, MOST);
    fixture_close(&f);
}

TEST(a_full_device_is_an_error) {
    uint8_t *pages = lrb_resize_pages(NULL, 0, MOST);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    CHECK_FAILS(lrb_fs_write_direct(full, pages, LEAST + 5, 0, "file", &err), LRB_E_NO_SPACE);
    close(full);
    lrb_free_pages(pages, MOST);
}

int main(void) {
    RUN(bytes_of_any_length_and_address_come_back);
    RUN(other_file_systems_take_them_too);
    RUN(a_refused_write_is_an_error);
    RUN(a_full_device_is_an_error);
    return check_report();
}
