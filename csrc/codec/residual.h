/* The difference between a float32 row and what its float16 payload predicts of it.
 *
 * Prediction of one element: the half as a float, times the row's scale in float32; a half that is no number predicts
 * itself. The distance is that of the ordered numbers (ordered.h), modulo 2^32, so adding it to the prediction gives
 * the element whatever both are.
 *
 * A half stands for what lies within half a unit of its last place. In units of the float32 predicted, that is about
 * t * 2^12 to either side, where 1 <= t < 2 is the scale's significand, and half as much where the product's exponent is
 * one higher: for the elements whose 10 bits of mantissa are not below a threshold that the scale gives. These are
 * called halved.
 *
 * Rows are little-endian, at any alignment. Call between lrb_float_env_begin and lrb_float_env_end; the functions
 * neither allocate nor fail.
 */
#ifndef LRB_CODEC_RESIDUAL_H
#define LRB_CODEC_RESIDUAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Scales are positive, finite and normal: no other is stored, and none is believed. */
bool lrb_residual_scale_usable(uint32_t scale_bits);

/* The scale with which the halves come closest to the row; the same bits on every machine. */
float lrb_residual_scale(const uint8_t *halves, const uint8_t *row, size_t dim);

void lrb_residual_take(const uint8_t *halves, const uint8_t *row, size_t dim, float scale, uint32_t *distances);
void lrb_residual_add(const uint8_t *halves, const uint32_t *distances, size_t dim, float scale, uint8_t *row);

/* halved[i] = 1 where the element is halved, else 0. */
void lrb_residual_halved(const uint8_t *halves, size_t dim, float scale, uint8_t *halved);

#endif
