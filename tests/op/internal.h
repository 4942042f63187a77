/* internal.h - the checker's own state, shared by its core files; cases see check.h only. */
#ifndef TESTS_OP_INTERNAL_H
#define TESTS_OP_INTERNAL_H

#include "check.h"

enum { MAX_TENSORS = 64 };

struct tensor {
  tensor_spec spec;
  plm_device *device;
  plm_dtype truth_type;
  int64_t stride;                      /* TESTED */
  size_t block_bytes, offset;          /* of the whole block; of the first element in it */
  unsigned char *before, *after;       /* the block in host memory: as set up, and as the call left it */
  unsigned char *block;                /* the block in device memory; NULL for an alias */
  unsigned char *truth_before, *truth; /* packed */
  bool is_overwritten;                 /* an output aliases it */
  bool is_kept;
};

struct check {
  /* the backend */
  const char *backend, *level; /* level NULL: the reference */
  plm_device *device, *truth_device;
  plm_exec *tested, *single, *truth;            /* `single` is the backend on one thread */
  plm_exec *current;                            /* tested or single */
  unsigned char *workspace, *workspace_pattern; /* in device memory; in host memory */
  size_t workspace_capacity;
  /* the run */
  uint64_t seed;
  bool bench, has_failed;
  int64_t failures, comparisons;
  /* the case */
  const check_family *family;
  int number;
  char description[256];
  double slack;
  tensor *tensors[MAX_TENSORS];
  int tensor_count;
  uint64_t random_count;
};

/* Canary bytes read as NaN in every float type (odd ones are 0xff, even ones 0x81..0xff), so a kernel that reads them
 * spoils its result, and are not constant, so one that writes NaN over them is caught as well. */
static inline unsigned char canary_byte(size_t i) { return i % 2 == 1 ? 0xff : (unsigned char)(0x81 + i * 37 % 0x7f); }

/* Nothing works without memory and threads: print why and exit. */
void must(plm_status status);

void tensor_destroy(tensor *t);
void tensor_upload(tensor *t);   /* `before` to the device */
void tensor_download(tensor *t); /* the device to `after` */
int64_t tensor_bytes(const tensor *t);

/* Returns NULL, or what is wrong around the tensor: canaries, gaps, a changed input. */
const char *tensor_find_damage(const tensor *t);
/* Compare result and truth of an output; false after check_fail. */
void tensor_compare(check *k, const tensor *t);

void check_free_workspace(check *k);
void bench_call(check *k, check_call_fn *call, void *context);

#endif
