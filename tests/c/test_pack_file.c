/* A finished pack on its way to packs/. */
#include "engine/pack_file.h"

#include "check.h"
#include "fixture.h"

static int build(lrb_repo *repo, lrb_worker *worker, lrb_pack_builder *builder, lrb_err *err) {
    lrb_id id;
    lrb_stored chunk;
    uint32_t ordinal;
    int code = lrb_pack_builder_init(builder, lrb_repo_vault(repo), err);
    if (!code) code = lrb_chunk_id(worker->coder, lrb_repo_vault(repo), LRB_CHUNK_RAW, 0, "hello", 5, &id, err);
    if (!code) code = lrb_chunk_encode(worker->coder, &id, LRB_CHUNK_RAW, 0, "hello", 5, &chunk, err);
    return code ? code : lrb_pack_builder_add(builder, &chunk, &ordinal, err);
}

TEST(a_pack_gets_its_name_when_it_is_durable) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_pack_builder builder;
    lrb_pack_file file;
    lrb_pack *pack;
    struct stat st;
    char path[512], name[65];
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(build(repo, &f.worker, &builder, &err));
    CHECK_OK(lrb_pack_file_begin(repo, &builder, lrb_coder_digest(f.worker.coder), &file, &err));
    lrb_hex(file.ref.id.bytes, 32, name);
    snprintf(path, sizeof path, "%s/graphs/g/packs/%s", f.storage, name);
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(lrb_pack_file_sync(&file, &err));
    CHECK(access(path, F_OK) != 0);
    CHECK_OK(lrb_pack_file_name(repo, &file, &err));
    CHECK(stat(path, &st) == 0 && (uint64_t)st.st_size == file.ref.size_bytes && (st.st_mode & 0777) == 0440);
    CHECK_OK(lrb_pack_open(lrb_repo_packs_dir(repo), &file.ref.id, file.ref.size_bytes, lrb_repo_vault(repo), &pack, &err));
    CHECK_OK(lrb_pack_read(pack, 0, f.worker.coder, true, &f.worker.content, &err));
    CHECK(f.worker.content.length == 5 && !memcmp(f.worker.content.data, "hello", 5));
    lrb_pack_close(pack);
    lrb_pack_builder_clear(&builder);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(equal_packs_have_different_names) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_pack_ref refs[2];
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    for (int i = 0; i < 2; i++) {
        lrb_pack_builder builder;
        CHECK_OK(build(repo, &f.worker, &builder, &err));
        CHECK_OK(lrb_pack_file_write(repo, &builder, lrb_coder_digest(f.worker.coder), &refs[i], &err));
        lrb_pack_builder_clear(&builder);
    }
    CHECK(lrb_id_compare(&refs[0].id, &refs[1].id));
    CHECK(refs[0].size_bytes == refs[1].size_bytes);
    lrb_repo_close(repo);
    fixture_close(&f);
}

TEST(a_discarded_pack_leaves_nothing) {
    fixture f;
    lrb_err err;
    lrb_repo *repo;
    lrb_pack_builder builder;
    lrb_pack_file file;
    char path[512];
    fixture_open(&f);
    CHECK_OK(lrb_repo_open(f.storage, "g", true, &repo, &err));
    CHECK_OK(build(repo, &f.worker, &builder, &err));
    CHECK_OK(lrb_pack_file_begin(repo, &builder, lrb_coder_digest(f.worker.coder), &file, &err));
    snprintf(path, sizeof path, "%s/graphs/g/tmp/%s", f.storage, file.tmp_name);
    CHECK(access(path, F_OK) == 0);
    lrb_pack_file_discard(repo, &file);
    CHECK(access(path, F_OK) != 0 && file.fd == -1);
    lrb_pack_builder_clear(&builder);
    lrb_repo_close(repo);
    fixture_close(&f);
}

int main(void) {
    RUN(a_pack_gets_its_name_when_it_is_durable);
    RUN(equal_packs_have_different_names);
    RUN(a_discarded_pack_leaves_nothing);
    return check_report();
}
