/* family.h - what makes a model one of a kind: data, and the order in which its blocks are called.
 *
 * A family is one file in families/ (or in a test, or in a program that links the library) and a row in the registry.
 * Everything that is not named here is shared: the table of parameters, storage, the blocks (blocks.h), batches, plan,
 * checkpoints. No block asks which family it works for.
 */
#ifndef PLM_MODEL_FAMILY_H
#define PLM_MODEL_FAMILY_H

#include "data/alphabet.h"
#include "model/config.h"
#include "model/params.h"

typedef struct plm_model plm_model;
typedef struct plm_pass plm_pass;

/* A published shape, for training from scratch. */
typedef struct plm_preset {
  const char *name;
  int64_t layers, width, heads;
} plm_preset;

/* What a tensor of a file is to the family, and what its parameter is called in the table. */
typedef enum plm_tensor_use {
  PLM_TENSOR_OWN,    /* a parameter, or the name of something this family does not know */
  PLM_TENSOR_ALIAS,  /* a second name of a tied parameter: the first one wins */
  PLM_TENSOR_USELESS /* known, and of no use to training or reading */
} plm_tensor_use;

typedef struct plm_family {
  const char *name;     /* "esm2" */
  const char *words;    /* as people call it: "ESM-2" */
  const char *alphabet; /* in the registry of data/alphabet.h */
  bool rotary;          /* positions by rotation of q and k, whose width is then even */

  /* ---- config.json ---- */
  const char *model_type; /* as a message names it: "\"esm\" (ESM-2)" */
  const char *claim;      /* the same where there is no model_type: "\"model_type\": \"esm\" or ..." */
  bool (*claims)(const json_t *document);
  plm_status (*read_config)(const json_t *document, const char *what, plm_model_config *config);
  plm_status (*write_config)(const plm_model_config *config, json_t **ret_document);

  const char *architecture; /* transformers' class of it, with the head that is trained: "EsmForMaskedLM" */
  const char *head;         /* what the names of that head's tensors begin with */

  /* ---- from scratch ---- */
  const plm_preset *presets;
  int preset_count;
  void (*preset)(plm_model_config *config);          /* all that the shape does not say */
  int64_t (*intermediate_size)(int64_t hidden_size); /* where the width is chosen and this is not */

  /* ---- parameters ---- */
  plm_status (*parameters)(plm_params_builder *builder, const plm_model_config *config); /* in forward order */
  /* A name of a file, rid of what wrappers put before it, to that of the table, written to ret_name. */
  plm_tensor_use (*rename)(const char *name, char ret_name[PLM_PARAM_NAME]);

  /* ---- computation: internal.h and blocks.h ---- */
  plm_status (*bind)(plm_model *model);   /* typed views of the table; called once, before any pass */
  plm_status (*forward)(plm_pass *pass);  /* embedding to what the pass's request, or its loss, reads */
  plm_status (*backward)(plm_pass *pass); /* of the losses of the forward pass before it */
} plm_family;

extern const plm_family plm_family_esm2;

/* Add a family, which must live as long as the program. Its name must be new, its alphabet registered. Before any
 * model is opened: the registry has no lock. PLM_E_BUG: it is not so, or the registry is full. */
PLM_CHECKED plm_status plm_family_register(const plm_family *family);

const plm_family *plm_family_at(int i); /* in order of registration, esm2 first; NULL behind the last */
const plm_alphabet *plm_family_alphabet(const plm_family *family);

#endif
