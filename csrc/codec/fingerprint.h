/* Whether a file has the bytes it had, without its SHA-256: segments of a fixed size have a tag each, computed in any
 * order and by any threads, and a file of the same size whose tags are all the same has the same bytes.
 *
 * A tag is GMAC (NIST SP 800-38D): AES-256-GCM of nothing, the segment's bytes being what is sealed along, and the
 * segment's number the nonce. Two different segments have one tag under one key and number only if the polynomial of
 * their difference, of degree 2^15 + 1 at most, is zero at the point the key makes: for fewer than one key in 2^112.
 * So the key is random, kept where the tags are, and whoever writes the files does not know it: no bytes can be chosen
 * to look like others, nor does a failed try tell more than that it failed. Tags of one number are compared with each
 * other and shown to nobody who has not the key; that several files have tags of one number therefore gives nothing away.
 */
#ifndef LRB_CODEC_FINGERPRINT_H
#define LRB_CODEC_FINGERPRINT_H

#include "codec/seal.h"

enum { LRB_SEGMENT_BYTES = 512 << 10, LRB_SEGMENTS_MAX = 1 << 20 };

/* Numbers for what is tagged under the same key beside segments: two parts of a section of a vector file, whatever its place
 * (engine/intake_known.c). Two different ones of a part have one tag for fewer than one key in 2^103, for none has more
 * than 2^28 bytes. */
enum { LRB_TAG_OF_RECORDS = LRB_SEGMENTS_MAX, LRB_TAG_OF_ROWS };

typedef struct lrb_tag { uint8_t bytes[LRB_TAG_BYTES]; } lrb_tag;

/* How many segments a file has, the last of which may be shorter; 0 for one of more than LRB_SEGMENTS_MAX, half a TiB. */
size_t lrb_segment_count(uint64_t size_bytes);

/* The tags of segments that lie together, the first of number `first`. Any thread, each with a sealer of its own. */
int lrb_segment_tags(lrb_sealer *sealer, const uint8_t key[LRB_KEY_BYTES], size_t first, const uint8_t *bytes, size_t count,
                     lrb_tag *tags, lrb_err *err);

#endif
