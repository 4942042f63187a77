/* bf16.h - the upper half of an IEEE binary32: 8 exponent bits, 7 mantissa bits. Conversions round to nearest even; NaN
 * stays NaN. */
#ifndef PLM_KERNELS_BF16_H
#define PLM_KERNELS_BF16_H

#include <stdint.h>
#include <string.h>

typedef uint16_t plm_bf16;

static inline uint32_t plm_float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float plm_float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float plm_bf16_to_float(plm_bf16 value) { return plm_float_from_bits((uint32_t)value << 16); }

static inline plm_bf16 plm_bf16_from_float(float value) {
  uint32_t bits = plm_float_bits(value);
  uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  uint32_t quiet_nan = bits >> 16 | 0x40u; /* rounding could carry a NaN into an infinity */
  return (plm_bf16)((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}

/* Rounding to binary32 first and then again could go wrong by one at a tie. So the first step rounds to odd: towards
 * zero, with the last bit set if anything was lost (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded
 * sums"). */
static inline plm_bf16 plm_bf16_from_double(double value) {
  float near = (float)value;
  if (value != value || (double)near == value) return plm_bf16_from_float(near);
  uint32_t bits = plm_float_bits(near);
  double magnitude = value < 0 ? -value : value, near_magnitude = near < 0 ? -(double)near : (double)near;
  if (near_magnitude > magnitude) bits--;
  return plm_bf16_from_float(plm_float_from_bits(bits | 1u));
}

#endif
