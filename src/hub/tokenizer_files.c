/* tokenizer_files.c - what AutoTokenizer wants beside a model (model_spec 11), in the published layout of ESM-2. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"

static plm_status write_text(const char *directory, const char *name, plm_text *built) {
  char *text;
  PLM_TRY(plm_text_take(built, &text));
  plm_status status = plm_file_create(directory, name, text, NULL, NULL);
  plm_free(text);
  return status;
}

static plm_status write_if_new(const char *directory, const char *name, const plm_model_origin *origin,
                               plm_text *built) {
  if (!plm_model_origin_has(origin, name)) return write_text(directory, name, built);
  plm_text_free(built);
  return PLM_OK;
}

plm_status plm_tokenizer_files_write(const char *directory, const plm_alphabet *alphabet,
                                     const plm_model_origin *origin) {
  if (origin != NULL) PLM_TRY(plm_model_origin_write_tokenizer(origin, directory));
  if (plm_model_origin_has(origin, "vocab.txt") || plm_model_origin_has(origin, "tokenizer.json")) return PLM_OK;
  static const char *const names[] = {"cls", "eos", "mask", "pad", "unk"};
  const int32_t specials[] = {alphabet->frame.opens, alphabet->frame.closes, alphabet->mask, alphabet->pad,
                              alphabet->unk};
  plm_text text = {0};
  for (int32_t id = 0; id < alphabet->size; id++) /* id = line number from 0, no newline after the last */
    plm_text_printf(&text, id > 0 ? "\n%s" : "%s", alphabet->tokens[id]);
  PLM_TRY(write_if_new(directory, "vocab.txt", origin, &text));
  plm_text_printf(&text,
                  "{\n  \"model_max_length\": 1000000000000000019884624838656,\n  \"tokenizer_class\": \"%s\"\n}\n",
                  alphabet->tokenizer);
  PLM_TRY(write_if_new(directory, "tokenizer_config.json", origin, &text));
  plm_text_append(&text, "{");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (specials[i] >= 0)
      plm_text_printf(&text, "%s\n  \"%s_token\": \"%s\"", text.length > 1 ? "," : "", names[i],
                      alphabet->tokens[specials[i]]);
  plm_text_append(&text, "\n}\n");
  return write_if_new(directory, "special_tokens_map.json", origin, &text);
}
