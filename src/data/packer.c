/* packer.c - from sequence ids to a packed batch: tokenise, crop, mask. The division of a global
 * batch is in shard.c. */
#include "data/packer.h"

#include "base/alloc.h"

struct plm_packed_memory {
  int32_t *tokens, *positions, *labels, *original, *rows, *targets; /* [token_room] */
  int32_t *cu_seqlens, *crop_offset;                                /* [sequence_room + 1] */
  int64_t *sequence_id;
  size_t token_room, sequence_room;
};

static void free_memory(struct plm_packed_memory *m) {
  int32_t *arrays[] = {m->tokens, m->positions, m->labels,     m->original,
                       m->rows,   m->targets,   m->cu_seqlens, m->crop_offset};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) plm_free(arrays[i]);
  plm_free(m->sequence_id);
  *m = (struct plm_packed_memory){0};
}

/* What was in the arrays before is not kept. On failure there are none. */
static plm_status make_room(struct plm_packed_memory *m, size_t tokens, size_t sequences) {
  if (tokens <= m->token_room && sequences <= m->sequence_room) return PLM_OK;
  plm_status status = PLM_OK;
  if (tokens < m->token_room) tokens = m->token_room;
  if (sequences < m->sequence_room) sequences = m->sequence_room;
  free_memory(m);
  int32_t **arrays[] = {&m->tokens, &m->positions, &m->labels, &m->original, &m->rows, &m->targets};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) PLM_TRY_GOTO(PLM_NEW(arrays[i], tokens), fail);
  PLM_TRY_GOTO(PLM_NEW(&m->cu_seqlens, sequences + 1), fail);
  PLM_TRY_GOTO(PLM_NEW(&m->crop_offset, sequences + 1), fail);
  PLM_TRY_GOTO(PLM_NEW(&m->sequence_id, sequences + 1), fail);
  m->token_room = tokens;
  m->sequence_room = sequences;
  return PLM_OK;
fail:
  free_memory(m);
  return status;
}

plm_status plm_packed_create(plm_packed **ret_packed) {
  plm_status status = PLM_OK;
  plm_packed *packed = NULL;
  PLM_TRY(PLM_NEW(&packed, 1));
  PLM_TRY_GOTO(PLM_NEW(&packed->memory, 1), fail);
  PLM_TRY_GOTO(make_room(packed->memory, 1, 1), fail);
  *ret_packed = packed;
  return PLM_OK;
fail:
  plm_packed_destroy(packed);
  return status;
}

void plm_packed_destroy(plm_packed *packed) {
  if (packed == NULL) return;
  if (packed->memory != NULL) free_memory(packed->memory);
  plm_free(packed->memory);
  plm_free(packed);
}

int64_t plm_token_length(const plm_dataset *dataset, const plm_alphabet *alphabet, int64_t id, int64_t max_length) {
  int64_t tokens = plm_dataset_length(dataset, id) + plm_alphabet_specials(alphabet);
  return max_length > 0 && tokens > max_length ? max_length : tokens;
}

static plm_status refused(const plm_dataset *dataset, const char *name, unsigned char letter) {
  plm_fail(PLM_E_INPUT, "%s:%s%s: the character '%c' (byte %d) is not an amino acid",
           plm_dataset_get_info(dataset)->source, name[0] != '\0' ? " sequence " : "", name,
           letter >= ' ' && letter < 127 ? letter : '?', letter);
  return plm_hint(PLM_E_INPUT,
                  "choose --on-invalid x to read such characters as X, or make the packed file again without them");
}

plm_status plm_packer_check(const plm_dataset *dataset, const plm_packer_options *options) {
  int32_t map[256];
  plm_alphabet_map(options->alphabet, &options->policy, map);
  for (int c = 0; c < 256; c++)
    if (map[c] < 0 && plm_dataset_get_info(dataset)->histogram[c] > 0) return refused(dataset, "", (unsigned char)c);
  return PLM_OK;
}

/* One call of plm_pack. */
typedef struct packing {
  const plm_dataset *dataset;
  const plm_packer_options *options;
  struct plm_packed_memory *memory;
  int32_t map[256];
  uint32_t draw;
} packing;

/* Tokens offset .. offset+n-1 of a protein in its frame. */
static plm_status tokenise(const packing *p, int64_t id, int64_t offset, int64_t n, int32_t *tokens) {
  const plm_frame *frame = &p->options->alphabet->frame;
  const int64_t opening = frame->opens >= 0; /* residue r is token opening + r */
  int64_t length;
  const char *residues = plm_dataset_residues(p->dataset, id, &length);
  const bool opens = opening > 0 && (offset == 0 || frame->every_window),
             closes = frame->closes >= 0 && (offset + n > opening + length || frame->every_window);
  int64_t i = 0, end = n - closes; /* of the residues in the window */
  int32_t lowest = 0;
  if (end > opening + length - offset) end = opening + length - offset; /* the file was overwritten meanwhile */
  if (opens) tokens[i++] = frame->opens;
  for (; i < end; i++) {
    tokens[i] = p->map[(unsigned char)residues[offset + i - opening]];
    lowest = tokens[i] < lowest ? tokens[i] : lowest;
  }
  if (closes) tokens[i] = frame->closes;
  if (lowest >= 0) return PLM_OK;
  char name[128];
  for (i = opens; tokens[i] >= 0;) i++;
  plm_dataset_name(p->dataset, id, name, sizeof name);
  return refused(p->dataset, name, (unsigned char)residues[offset + i - opening]);
}

static plm_mask_key key_of(const packing *p, int64_t id) {
  plm_mask_key key = {
      .seed = p->options->seed,
      .evaluation = p->options->evaluation,
      .identity = (uint64_t)id,
      .draw = p->draw,
  };
  if (key.evaluation) {
    int64_t length;
    const char *residues = plm_dataset_residues(p->dataset, id, &length);
    key.identity = plm_residue_hash(residues, length);
  }
  return key;
}

/* Sequence `id` as sequence `s` of the batch, in rows begin .. begin+n-1. */
static plm_status pack_sequence(const packing *p, int64_t id, int64_t s, int64_t begin, int64_t n) {
  struct plm_packed_memory *m = p->memory;
  plm_mask_key key = key_of(p, id);
  int64_t offset = plm_crop_offset(&key, plm_token_length(p->dataset, p->options->alphabet, id, 0), n);
  PLM_TRY(tokenise(p, id, offset, n, m->tokens + begin));
  for (int64_t i = 0; i < n; i++) {
    m->positions[begin + i] = (int32_t)i;
    m->original[begin + i] = m->tokens[begin + i];
    m->labels[begin + i] = -100;
  }
  if (p->options->masked)
    plm_mask_tokens(p->options->alphabet, &p->options->mask, &key, offset, n, m->tokens + begin, m->labels + begin);
  m->cu_seqlens[s + 1] = (int32_t)(begin + n);
  m->sequence_id[s] = id;
  m->crop_offset[s] = (int32_t)offset;
  return PLM_OK;
}

static int64_t gather_rows(struct plm_packed_memory *m, int64_t n) {
  int64_t selected = 0;
  for (int64_t i = 0; i < n; i++) {
    if (m->labels[i] < 0) continue;
    m->rows[selected] = (int32_t)i;
    m->targets[selected++] = m->labels[i];
  }
  return selected;
}

static void fill_batch(const packing *p, int64_t tokens, int64_t sequences, int64_t longest, plm_packed *packed) {
  const struct plm_packed_memory *m = p->memory;
  packed->batch = (plm_batch){
      .encoder =
          {
              .N = tokens,
              .S = sequences,
              .max_length = longest,
              .tokens = m->tokens,
              .positions = m->positions,
              .cu_seqlens = m->cu_seqlens,
              .sequence_id = m->sequence_id,
              .crop_offset = m->crop_offset,
          },
  };
  packed->labels = m->labels;
  packed->original = m->original;
  packed->residues = 0;
  for (int64_t i = 0; i < tokens; i++)
    packed->residues += !plm_alphabet_is_framing(p->options->alphabet, m->original[i]);
  if (!p->options->masked) return;
  packed->batch.objective_count = 1;
  packed->batch.objectives[0] = (plm_objective){
      .kind = PLM_LOSS_CROSS_ENTROPY,
      .M = gather_rows(p->memory, tokens),
      .rows = m->rows,
      .targets = m->targets,
      .weight = 1,
  };
}

plm_status plm_pack(const plm_dataset *dataset, const plm_packer_options *options, uint32_t draw, const int64_t *ids,
                    int64_t count, plm_packed *packed) {
  PLM_ASSERT(options->max_length == 0 || options->max_length > plm_alphabet_specials(options->alphabet));
  PLM_ASSERT(!options->masked || options->alphabet->mask >= 0);
  packing p = {.dataset = dataset, .options = options, .memory = packed->memory, .draw = draw};
  int64_t tokens = 0, longest = 0, begin = 0;
  for (int64_t s = 0; s < count; s++) {
    int64_t n = plm_token_length(dataset, options->alphabet, ids[s], options->max_length);
    tokens += n;
    longest = n > longest ? n : longest;
  }
  if (tokens > INT32_MAX)
    return plm_hint(plm_fail(PLM_E_USAGE, "a batch of %lld tokens is too large to number its rows", (long long)tokens),
                    "lower --batch-tokens");
  PLM_TRY(make_room(packed->memory, (size_t)tokens, (size_t)count));
  plm_alphabet_map(options->alphabet, &options->policy, p.map);
  packed->memory->cu_seqlens[0] = 0;
  for (int64_t s = 0; s < count; s++) {
    int64_t n = plm_token_length(dataset, options->alphabet, ids[s], options->max_length);
    if (n > tokens - begin)
      return plm_fail(PLM_E_INPUT, "%s: changed while it was read", plm_dataset_get_info(dataset)->source);
    PLM_TRY(pack_sequence(&p, ids[s], s, begin, n));
    begin += n;
  }
  fill_batch(&p, tokens, count, longest, packed);
  return PLM_OK;
}
