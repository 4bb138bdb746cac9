/* cache/sources-<label>: what a source's files looked like when they were last backed up, so that unchanged files are not read.
 *
 *   0 "lrbsrcs4" | 8 version u16 | 10 zero[6] | 16 repository id[16] | 32 observed i64 (ns) | 40 records u64
 *   key[32]
 *   records: name length u16 | name | device u64 | inode u64 | size u64 | mtime i64 | ctime i64 | SHA-256[32] | root row[40]
 *            | tags u32 | sections u32 | clear u8 | tags[16 each] | sections' tags[32 each]
 *   SHA-256 of all before[32]
 *
 * In a sealed repository byte 10 is 1, the header ends with salt[32], and the key, records and tags come in frames of whole ones,
 * length u32 | ciphertext | tag[16], sealed under the key "cache" of that salt, frame k with number k and the header and
 * length as associated data; <label> is a keyed digest.
 *
 * A record serves as "the same bytes" only when device, inode, size, mtime and ctime are equal and both times lie at least
 * LRB_SAFE_MARGIN_NS before `observed`: a file changed within the clock's tick after it was looked at would otherwise look unchanged. Otherwise it
 * serves as the recipe to compare with, and its tags, if the size is the same, tell whether the bytes are, too (codec/fingerprint.h): there are none,
 * or one for each segment. Those of a vector file's sections tell which of them are as they were in a file of any size, and `clear` is
 * 1 when its rows were compared and clear (engine/intake.h). Their key stays when the cache is written anew, for files that are not read keep their tags. In a repository
 * that is not sealed whoever may read this file learns it, and could then write a file that is taken for what it was before; the files of
 * such a repository are open to the same readers, and its directories keep others out.
 *
 * What earlier versions wrote ("lrbsrcs1" to "lrbsrcs3") is no cache. Disposable: any defect means "no cache". Written without fsync, by rename.
 */
#ifndef LRB_ENGINE_SOURCE_CACHE_H
#define LRB_ENGINE_SOURCE_CACHE_H

#include "engine/intake.h"

#define LRB_SAFE_MARGIN_NS (2 * 1000000000LL)

/* Offers every record whose name is in the source. *found: whether there was a cache. NOMEM is the only error. */
int lrb_source_cache_load(lrb_repo *repo, const char *label, lrb_source *source, lrb_intake *intake, bool *found, lrb_err *err);
/* Remembers the intake's results; failure is no error but one lost saving. */
void lrb_source_cache_save(lrb_repo *repo, const char *label, int64_t observed_ns, const lrb_source *source, lrb_intake *intake);

#endif
