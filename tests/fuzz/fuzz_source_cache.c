/* cache/sources-*: a file nobody vouches for is offered wholly or ignored, no file of another identity than the recorded one is
 * ever left unread, and none that is smaller than two segments gets tags. */
#include "c/fixture.h"
#include "engine/source_cache.h"
#include "fuzz.h"

enum { ITEMS = 3, AT_REPOSITORY = 16, HEADER_BYTES = 48, IDENTITY_BYTES = 40, AT_RECORDS = HEADER_BYTES + LRB_KEY_BYTES };
enum { RECORD_BYTES = 2 + IDENTITY_BYTES + LRB_DIGEST_BYTES + LRB_ROW_BYTES + 4 + 5 }; /* without name and tags */

static const char label[] = "fuzz";
static lrb_repo *repo;
static lrb_source *source;
static lrb_writer *writer;
static lrb_job job;
static char cache_name[64];
static int cache_dir;

static void find_cache_name(void) {
    uint8_t digest[LRB_DIGEST_BYTES];
    lrb_err err;
    memcpy(cache_name, "sources-", 8);
    MUST_OK(lrb_sha256(label, strlen(label), digest, &err));
    lrb_hex(digest, 16, cache_name + 8);
}

/* A repository and a source of ITEMS files "a", "b", "c". */
static void make_scene(void) {
    static const lrb_job_ops nothing;
    char path[256];
    lrb_err err;
    snprintf(path, sizeof path, "%s/source", fuzz_directory());
    MUST(!mkdir(path, 0755));
    fixture_write(path, "a", 10, 1);
    fixture_write(path, "b", 20, 2);
    fixture_write(path, "c", 3 * LRB_SEGMENT_BYTES, 3);
    MUST_OK(fixture_list(path, &source, &err));
    MUST(lrb_source_count(source) == ITEMS);
    MUST_OK(lrb_repo_open(fuzz_directory(), "g", true, &repo, &err));
    cache_dir = lrb_repo_cache_dir(repo);
    lrb_job_init(&job, &nothing);
    MUST_OK(lrb_writer_new(repo, &job, &writer, &err));
    find_cache_name();
}

static void put_identity(uint8_t *at, const lrb_identity *identity) {
    lrb_put_u64(at, identity->device);
    lrb_put_u64(at + 8, identity->inode);
    lrb_put_u64(at + 16, identity->size_bytes);
    lrb_put_u64(at + 24, (uint64_t)identity->mtime_ns);
    lrb_put_u64(at + 32, (uint64_t)identity->ctime_ns);
}

/* Puts the true identity of the item of this name, if there is one, over an identity of zeros: no input knows it. */
static void fix_identity(const uint8_t *name, size_t length, uint8_t *at) {
    static const uint8_t zero[IDENTITY_BYTES];
    if (memcmp(at, zero, sizeof zero)) return;
    for (size_t i = 0; i < ITEMS; i++) {
        const lrb_source_item *item = lrb_source_at(source, i);
        if (item->name_length == length && !memcmp(item->name, name, length)) put_identity(at, &item->identity);
    }
}

static void fix(uint8_t *bytes, size_t size) {
    if (size < AT_RECORDS + LRB_DIGEST_BYTES) return;
    size_t end = size - LRB_DIGEST_BYTES, at = AT_RECORDS;
    memcpy(bytes + AT_REPOSITORY, lrb_repo_id(repo), LRB_REPO_ID_BYTES);
    while (at < end && end - at >= RECORD_BYTES) {
        size_t length = lrb_get_u16(bytes + at);
        if (end - at < RECORD_BYTES + length) break;
        fix_identity(bytes + at + 2, length, bytes + at + 2 + length);
        size_t tags = lrb_get_u32(bytes + at + RECORD_BYTES + length - 9) + 2 * (size_t)lrb_get_u32(bytes + at + RECORD_BYTES + length - 5);
        at += RECORD_BYTES + length;
        if (tags > (end - at) / LRB_TAG_BYTES) break;
        at += tags * LRB_TAG_BYTES;
    }
    fuzz_seal(bytes, size);
}

/* Whether the bytes hold the item's name followed by its true identity. */
static bool recorded(const uint8_t *bytes, size_t size, const lrb_source_item *item) {
    uint8_t wanted[1 + IDENTITY_BYTES];
    MUST(item->name_length == 1);
    wanted[0] = (uint8_t)item->name[0];
    put_identity(wanted + 1, &item->identity);
    return memmem(bytes, size, wanted, sizeof wanted) != NULL;
}

/* input: a source cache; repository, identities of zeros and digest are put right */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    lrb_intake *intake;
    lrb_err err;
    bool found;
    if (!repo) make_scene();
    uint8_t *bytes = fuzz_copy(data, size);
    fix(bytes, size);
    fuzz_write_file(cache_dir, cache_name, bytes, size);
    MUST_OK(lrb_intake_new(source, repo, writer, &job, &intake, &err));
    MUST_OK(lrb_source_cache_load(repo, label, source, intake, &found, &err));
    for (size_t i = 0; i < ITEMS; i++)
        if (lrb_intake_is_unread(intake, i)) MUST(found && recorded(bytes, size, lrb_source_at(source, i)));
    for (size_t i = 0; i < ITEMS; i++)
        if (lrb_intake_tags(intake, i)) MUST(found && lrb_source_at(source, i)->identity.size_bytes > LRB_SEGMENT_BYTES);
    for (size_t i = 0; i < ITEMS; i++) {
        const lrb_section_tags *sections = lrb_intake_sections(intake, i);
        MUST(!sections->sections == !sections->tags && (found || !sections->tags));
        if (sections->tags) MUST(memmem(bytes, size, sections->tags, 2 * sections->sections * sizeof *sections->tags)); /* they are the file's */
    }
    lrb_intake_free(intake);
    lrb_free(bytes);
    return 0;
}
