/* The working memory of the vector codec and its stored form, shared by its two directions.
 *
 *   rows u32 | length of the planes u32 | rows x head | planes | rows x stream | rows x values
 *
 *   head, 10 bytes    scale float32 | length of the stream u24 | width u8 | patches u16
 *
 * Where the length of the stream is SPLIT, the stream is a stored block (planes.h), and only the low bytes of its halves
 * stand in its place; the high bytes of all such rows are the planes, one zstd frame, or as they are when the frame
 * would be no shorter. The values are distances (distances.h) of that width from the prediction (residual.h); a width of
 * 0 says that they are the row's float32 as they are, and scale and patches are then 0.
 */
#ifndef LRB_CODEC_VECTORS_PRIVATE_H
#define LRB_CODEC_VECTORS_PRIVATE_H

#include "base/buf.h"
#include "codec/compress.h"
#include "codec/distances.h"
#include "codec/inflate.h"
#include "codec/vectors.h"

enum { LRB_VECTORS_HEAD_BYTES = 8, LRB_VECTOR_HEAD_BYTES = 10, LRB_VECTOR_SPLIT = 0xFFFFFF };

struct lrb_vector_coder {
    lrb_inflater *inflater;
    lrb_compressor *compressor;
    lrb_buf streams;   /* an lrb_stream for each row; `good` says whether it holds halves */
    uint32_t inflated; /* how many of them are those of the content last encoded */
    lrb_buf halves;    /* of all rows, what the streams hold */
    lrb_buf planes;    /* high bytes of the rows that are split */
    lrb_buf joined;    /* halves of one row, put together from planes */
    lrb_buf halved;    /* of one row, as are the next two */
    lrb_buf numbers;
    lrb_buf distances;
    lrb_buf inverse;   /* of all */
};

/* Makes a buffer hold `count` bytes whose content is of no interest. */
int lrb_vector_coder_room(lrb_buf *buf, size_t count, lrb_err *err);
/* Room for what both directions need of so many rows. */
int lrb_vector_coder_rows(lrb_vector_coder *coder, uint32_t dim, uint32_t rows, lrb_err *err);

/* Inflates all streams, for which there is room. */
void lrb_vector_coder_inflate(lrb_vector_coder *coder, const lrb_vectors *vectors);

/* Decodes what was encoded just now: the coder's streams and halves are those of this very content, and no stream is
 * inflated again. */
int lrb_vectors_decode_known(lrb_vector_coder *coder, const lrb_vectors_stored *stored, uint32_t dim, lrb_err *err);

#endif
