/* safetensors_dtype.c - element types of the format, and floating-point ones as F32. */
#include <string.h>

#include "formats/safetensors_internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are little-endian in the file and used as they lie");

static const plm_tensor_dtype dtypes[] = {
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64},
};

const plm_tensor_dtype *plm_tensor_dtype_find(const char *name) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
  return NULL;
}

static float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* IEEE binary16: 1 sign, 5 exponent, 10 fraction bits. Exact, NaN stays NaN. */
static float float_of_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31u, fraction = half & 1023u;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent > 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float magnitude = (float)fraction * 0x1p-24f; /* zero and subnormal numbers */
  return sign != 0 ? -magnitude : magnitude;
}

/* Elements are loaded through memcpy because files of older tools are not aligned. */
plm_status plm_tensor_to_f32(const plm_safetensors *file, const plm_tensor_info *tensor, float *ret_values) {
  const char *from = tensor->data;
  if (strcmp(tensor->dtype, "F32") == 0) {
    if (tensor->bytes > 0) memcpy(ret_values, from, (size_t)tensor->bytes);
  } else if (strcmp(tensor->dtype, "F64") == 0) {
    for (int64_t i = 0; i < tensor->bytes / 8; i++) {
      double value;
      memcpy(&value, from + 8 * i, sizeof value);
      ret_values[i] = (float)value;
    }
  } else if (strcmp(tensor->dtype, "F16") == 0 || strcmp(tensor->dtype, "BF16") == 0) {
    bool is_bf16 = tensor->dtype[0] == 'B';
    for (int64_t i = 0; i < tensor->bytes / 2; i++) {
      uint16_t bits;
      memcpy(&bits, from + 2 * i, sizeof bits);
      ret_values[i] = is_bf16 ? float_of_bits((uint32_t)bits << 16) : float_of_half(bits);
    }
  } else {
    return plm_fail(PLM_E_INPUT, "%s: tensor '%s' has type %s; F32, F16, BF16 and F64 can be read",
                    plm_safetensors_path(file), tensor->name, tensor->dtype);
  }
  return PLM_OK;
}
