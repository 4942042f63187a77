/* shared_parts.c - see shared_parts.h. Contents: descriptions, tensors to all, reading, writing. */
#include "train/shared_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/alphabet.h"
#include "model/family.h"

/* ---- descriptions ---- */

static const plm_family *find_family(const char *name) {
  const plm_family *family = NULL;
  for (int i = 0; (family = plm_family_at(i)) != NULL; i++)
    if (strcmp(family->name, name) == 0) return family;
  return NULL;
}

/* The tokens behind the family's, each with its NUL. */
static plm_status join_added(const plm_model_config *config, plm_text *words) {
  const plm_alphabet *base = plm_family_alphabet(config->family);
  for (int32_t id = base->size; id < config->alphabet->size; id++)
    plm_text_append_bytes(words, config->alphabet->tokens[id], strlen(config->alphabet->tokens[id]) + 1);
  return words->status;
}

static plm_status extend_alphabet(const plm_family *family, const char *words, int64_t count,
                                  const plm_alphabet **ret_alphabet) {
  const char **tokens;
  PLM_TRY(PLM_NEW(&tokens, count + 1));
  for (int64_t i = 0; i < count; i++, words += strlen(words) + 1) tokens[i] = words;
  plm_status status = plm_alphabet_extend(plm_family_alphabet(family), tokens, (size_t)count, ret_alphabet, NULL);
  plm_free(tokens);
  return status;
}

typedef struct config_header {
  plm_model_config config; /* but for what its pointers point to */
  char family[64];
  int64_t added, bytes; /* tokens beyond the family's, and their texts */
} config_header;

static plm_status take_config(const config_header *header, const char *words, plm_model_config *config) {
  *config = header->config;
  config->family = find_family(header->family);
  PLM_ASSERT(config->family != NULL);
  return extend_alphabet(config->family, words, header->added, &config->alphabet);
}

plm_status plm_shared_config(plm_comm *comm, plm_model_config *config) {
  config_header header = {.bytes = 0};
  plm_text words = {0};
  char *received = NULL;
  plm_status status = PLM_OK;
  if (comm->size == 1) return PLM_OK;
  if (comm->rank == 0) {
    status = join_added(config, &words);
    header.config = *config;
    snprintf(header.family, sizeof header.family, "%s", config->family->name);
    header.added = config->alphabet->size - plm_family_alphabet(config->family)->size;
    header.bytes = (int64_t)words.length;
  }
  PLM_TRY_GOTO(plm_agree(comm, "model", status), out);
  PLM_TRY_GOTO(plm_agree_on_first(comm, "model", &header, sizeof header), out);
  if (comm->rank != 0) status = PLM_NEW(&received, header.bytes + 1);
  PLM_TRY_GOTO(plm_agree(comm, "model", status), out);
  if (header.bytes > 0)
    PLM_TRY_GOTO(comm->broadcast(comm, "model", comm->rank == 0 ? words.data : received, header.bytes, 0), out);
  if (comm->rank != 0) status = take_config(&header, received, config);
  status = plm_agree(comm, "model", status);
out:
  plm_free(received);
  plm_text_free(&words);
  return status;
}

plm_status plm_shared_document(plm_comm *comm, const char *what, json_t **document) {
  enum { DEPTH = 64 };
  char *text = NULL;
  plm_status status = PLM_OK;
  if (comm->size == 1) return PLM_OK;
  if (comm->rank == 0) status = plm_json_dump(*document, &text);
  PLM_TRY_GOTO(plm_agree(comm, what, status), out);
  PLM_TRY_GOTO(plm_agree_on_text(comm, what, &text), out);
  if (comm->rank != 0) status = plm_json_parse(text, strlen(text), DEPTH, what, document);
  status = plm_agree(comm, what, status);
out:
  plm_free(text);
  return status;
}

/* ---- tensors to all ---- */

enum { PARAMETERS, STATES, END };

/* What precedes each tensor. */
typedef struct tensor_header {
  int32_t kind, index; /* END: rank 0 has read all, or failed */
} tensor_header;

typedef struct passing {
  plm_comm *comm;
  plm_model *model;
  const plm_tensor_list *states; /* NULL: weights alone */
  float *buffer;                 /* of the largest tensor, where others' are received */
} passing;

static plm_status send_header(plm_comm *comm, int32_t kind, int32_t index) {
  tensor_header header = {kind, index};
  return plm_agree_on_first(comm, "load", &header, sizeof header);
}

static plm_status pass_on(const passing *p, int32_t kind, int32_t index, const void *values, int64_t bytes) {
  PLM_TRY(send_header(p->comm, kind, index));
  return p->comm->broadcast(p->comm, "load", (void *)(uintptr_t)values, bytes, 0);
}

/* A parameter that rank 0 has read. */
static plm_status set_parameter(void *user, int index, const float *values) {
  const passing *p = user;
  const int64_t count = plm_model_get_params(p->model)->items[index].count;
  PLM_TRY(pass_on(p, PARAMETERS, index, values, count * (int64_t)sizeof *values));
  return plm_model_set(p->model, index, values);
}

/* A state that rank 0 has read. Values in a file need not be aligned. */
static plm_status take_state(void *user, const plm_tensor_info *tensor, const void *data) {
  const passing *p = user;
  PLM_TRY(pass_on(p, STATES, (int32_t)(tensor - p->states->items), data, tensor->bytes));
  return p->states->take(p->states->user, tensor, data);
}

static int64_t largest_bytes(const passing *p) {
  const plm_params *params = plm_model_get_params(p->model);
  int64_t largest = 0;
  for (int i = 0; i < params->count; i++)
    if (params->items[i].count > largest) largest = params->items[i].count;
  largest *= (int64_t)sizeof(float);
  for (size_t i = 0; p->states != NULL && i < p->states->count; i++)
    if (p->states->items[i].bytes > largest) largest = p->states->items[i].bytes;
  return largest;
}

static int64_t bytes_of(const passing *p, const tensor_header *header) {
  return header->kind == PARAMETERS
             ? plm_model_get_params(p->model)->items[header->index].count * (int64_t)sizeof(float)
             : p->states->items[header->index].bytes;
}

static plm_status keep(const passing *p, const tensor_header *header) {
  if (header->kind == PARAMETERS) return plm_model_set(p->model, header->index, p->buffer);
  return p->states->take(p->states->user, &p->states->items[header->index], p->buffer);
}

/* Until rank 0 has no more. What goes wrong here is told afterwards: the rest is received all the same. */
static plm_status receive_all(const passing *p) {
  plm_error_record first = {.code = PLM_OK};
  for (;;) {
    tensor_header header;
    PLM_TRY(plm_agree_on_first(p->comm, "load", &header, sizeof header));
    if (header.kind == END) return plm_error_give(&first);
    PLM_TRY(p->comm->broadcast(p->comm, "load", p->buffer, bytes_of(p, &header), 0));
    const plm_status status = first.code == PLM_OK ? keep(p, &header) : PLM_OK;
    if (status != PLM_OK) plm_error_take(status, &first);
  }
}

/* After rank 0 has read all it could. */
static plm_status end_passing(const passing *p, plm_status status) {
  plm_error_record failure;
  plm_error_take(status, &failure);
  const plm_status sent = send_header(p->comm, END, 0);
  return failure.code != PLM_OK ? plm_error_give(&failure) : sent;
}

/* ---- reading ---- */

static plm_status begin_passing(passing *p) {
  plm_status status = PLM_OK;
  if (p->comm->rank != 0) {
    void *memory = NULL;
    status = plm_alloc_bytes(&memory, (size_t)largest_bytes(p), 1);
    p->buffer = memory;
  }
  return plm_agree(p->comm, "load", status);
}

static plm_status read_weights(const passing *p, const char *directory, bool own, plm_load_report *ret_report) {
  const plm_parameter_sink sink = {.set = set_parameter, .user = (void *)(uintptr_t)p};
  return own ? plm_model_dir_load_own_into(directory, p->model, &sink)
             : plm_model_dir_load_into(directory, p->model, &sink, ret_report);
}

plm_status plm_shared_load_weights(plm_comm *comm, const char *directory, bool own, plm_model *model,
                                   plm_load_report *ret_report) {
  passing p = {.comm = comm, .model = model};
  if (comm->size == 1)
    return own ? plm_model_dir_load_own(directory, model) : plm_model_dir_load(directory, model, ret_report);
  PLM_TRY(begin_passing(&p));
  plm_status status = comm->rank == 0 ? end_passing(&p, read_weights(&p, directory, own, ret_report)) : receive_all(&p);
  plm_free(p.buffer);
  return plm_agree(comm, "load", status);
}

static plm_status read_model(void *user, const char *directory) {
  const passing *p = user;
  return read_weights(p, directory, true, NULL);
}

/* The parts as they are read alone, with what each rank takes passed on. */
static plm_status read_checkpoint(passing *p, const char *path, plm_training_parts *parts) {
  plm_tensor_list states = parts->states;
  json_t *state = NULL;
  states.take = take_state;
  states.user = p;
  plm_checkpoint_part items[] = {parts->items[0], parts->items[1], parts->items[2]};
  items[0].read = read_model;
  items[0].user = p;
  items[2].tensors = &states;
  plm_status status = plm_checkpoint_load(path, items, sizeof items / sizeof *items, &state);
  json_decref(state);
  return status;
}

plm_status plm_shared_load(plm_comm *comm, const char *path, plm_model *model, plm_optimiser *optimiser) {
  plm_training_parts parts = {0};
  passing p = {.comm = comm, .model = model};
  if (comm->size == 1) return plm_training_load(path, model, optimiser, NULL);
  plm_status status = plm_agree(comm, "load", plm_training_parts_create(model, optimiser, NULL, &parts));
  p.states = &parts.states;
  if (status == PLM_OK) status = begin_passing(&p);
  if (status == PLM_OK) {
    status = comm->rank == 0 ? end_passing(&p, read_checkpoint(&p, path, &parts)) : receive_all(&p);
    status = plm_agree(comm, "load", status);
  }
  plm_free(p.buffer);
  plm_training_parts_free(&parts);
  return status;
}

/* ---- writing ---- */

/* What precedes each tensor that rank 0 writes. */
typedef struct wanted {
  int32_t list; /* -1: nothing any more */
  int32_t tensor;
} wanted;

static plm_status send_wanted(plm_comm *comm, int32_t list, int32_t tensor) {
  wanted next = {list, tensor};
  return plm_agree_on_first(comm, "save", &next, sizeof next);
}

/* On all ranks at once. */
static plm_status fill_together(const plm_shared_lists *lists, const wanted *next, void *buffer) {
  const plm_tensor_list *list = lists->given[next->list];
  return plm_agree(lists->comm, "save", plm_tensor_list_fill(list, &list->items[next->tensor], buffer));
}

static plm_status fill(void *user, const plm_tensor_info *tensor, void *buffer) {
  const struct plm_shared_user *shared = user;
  const plm_shared_lists *lists = shared->lists;
  const wanted next = {shared->number, (int32_t)(tensor - lists->shared[shared->number].items)};
  PLM_TRY(send_wanted(lists->comm, next.list, next.tensor));
  return fill_together(lists, &next, buffer);
}

void plm_shared_lists_init(plm_shared_lists *lists, plm_comm *comm, const plm_tensor_list *const *given, int count) {
  *lists = (plm_shared_lists){.comm = comm, .count = count};
  for (int i = 0; i < count; i++) {
    lists->given[i] = given[i];
    lists->users[i] = (struct plm_shared_user){lists, i};
    lists->shared[i] = *given[i];
    if (comm->size == 1) continue;
    lists->shared[i].fill = fill;
    lists->shared[i].user = &lists->users[i];
  }
}

/* A failure of a fill is rank 0's too, which then ends, or begins again. One of the transport comes back at once. */
static plm_status serve(const plm_shared_lists *lists) {
  for (;;) {
    wanted next;
    PLM_TRY(plm_agree_on_first(lists->comm, "save", &next, sizeof next));
    if (next.list < 0) return PLM_OK;
    if (fill_together(lists, &next, NULL) != PLM_OK) plm_error_clear();
  }
}

static plm_status write_first(const plm_shared_lists *lists, plm_status (*write)(void *user), void *user) {
  plm_error_record failure;
  plm_error_take(write(user), &failure);
  const plm_status sent = send_wanted(lists->comm, -1, 0);
  return failure.code != PLM_OK ? plm_error_give(&failure) : sent;
}

plm_status plm_shared_write(plm_shared_lists *lists, const char *stage, plm_status (*write)(void *user), void *user) {
  plm_comm *comm = lists->comm;
  if (comm->size == 1) return write(user);
  return plm_agree(comm, stage, comm->rank == 0 ? write_first(lists, write, user) : serve(lists));
}
