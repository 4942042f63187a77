/* batch.h - what travels from the data room to the model: packed tokens and what to predict. No padding anywhere.
 *
 *   tokens        <cls> M K V <eos> <cls> A C ... <eos> ...        [N]
 *   cu_seqlens    0               5                     ... N      [S+1]
 *
 * All host memory, owned by whoever made the batch; read-only for everyone else.
 */
#ifndef PROTLM_BATCH_H
#define PROTLM_BATCH_H

#include <stdbool.h>
#include <stdint.h>

typedef struct plm_tokens {
  int64_t N, S;
  int64_t max_length;         /* longest sequence, tokens */
  const int32_t *tokens;      /* [N] */
  const int32_t *positions;   /* [N] position in its (cropped) sequence, from 0 */
  const int32_t *cu_seqlens;  /* [S+1] */
  const int64_t *sequence_id; /* [S] index in the dataset */
  const int32_t *crop_offset; /* [S] first kept token of the uncropped token sequence */
} plm_tokens;

typedef enum plm_loss_kind { PLM_LOSS_CROSS_ENTROPY } plm_loss_kind;

/* One thing to predict. Rows are strictly increasing. */
typedef struct plm_objective {
  plm_loss_kind kind;
  int64_t M;
  const int32_t *rows;    /* [M] index into tokens */
  const int32_t *targets; /* [M] token id */
  double weight;          /* of this objective's sum in the total; 1 */
} plm_objective;

enum { PLM_MAX_OBJECTIVES = 2 };

typedef struct plm_batch {
  plm_tokens encoder;
  bool has_decoder; /* T5 */
  plm_tokens decoder;
  int objective_count;
  plm_objective objectives[PLM_MAX_OBJECTIVES];
} plm_batch;

#endif
