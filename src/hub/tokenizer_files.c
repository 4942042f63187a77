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

plm_status plm_tokenizer_files_write(const char *directory, const plm_alphabet *alphabet) {
  static const char *const names[] = {"cls", "eos", "mask", "pad", "unk"};
  const int32_t specials[] = {alphabet->frame.opens, alphabet->frame.closes, alphabet->mask, alphabet->pad,
                              alphabet->unk};
  plm_text text = {0};
  for (int32_t id = 0; id < alphabet->size; id++) /* id = line number from 0, no newline after the last */
    plm_text_printf(&text, id > 0 ? "\n%s" : "%s", alphabet->tokens[id]);
  PLM_TRY(write_text(directory, "vocab.txt", &text));
  plm_text_printf(&text,
                  "{\n  \"model_max_length\": 1000000000000000019884624838656,\n  \"tokenizer_class\": \"%s\"\n}\n",
                  alphabet->tokenizer);
  PLM_TRY(write_text(directory, "tokenizer_config.json", &text));
  plm_text_append(&text, "{");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (specials[i] >= 0)
      plm_text_printf(&text, "%s\n  \"%s_token\": \"%s\"", text.length > 1 ? "," : "", names[i],
                      alphabet->tokens[specials[i]]);
  plm_text_append(&text, "\n}\n");
  return write_text(directory, "special_tokens_map.json", &text);
}

/* The first token of the file that is not the alphabet's own; one that is missing is "". */
static plm_status compare(const char *path, const plm_alphabet *file, const plm_family *family) {
  const plm_alphabet *own = plm_family_alphabet(family);
  for (int32_t id = 0; id < own->size; id++) {
    const char *token = id < file->size ? file->tokens[id] : "";
    if (strcmp(token, own->tokens[id]) == 0) continue;
    return plm_hint(plm_fail(PLM_E_INPUT, "%s: token %d is '%.40s', which is not %s's: the model has another alphabet",
                             path, (int)id, token, family->words),
                    "protlm reads models whose vocab.txt begins with %s's %d tokens", family->words, (int)own->size);
  }
  return PLM_OK;
}

plm_status plm_tokenizer_files_check(const char *directory, const plm_family *family) {
  enum { LARGEST = 1 << 20 };
  char *path, *text = NULL;
  plm_alphabet *file = NULL;
  size_t bytes;
  plm_status status = PLM_OK;
  PLM_TRY(plm_path_join(directory, "vocab.txt", &path));
  if (!plm_file_exists(path)) goto out;
  PLM_TRY_GOTO(plm_file_read(path, LARGEST, &text, &bytes), out);
  PLM_TRY_GOTO(plm_alphabet_read(text, &file), out);
  status = compare(path, file, family);
out:
  plm_free(file);
  plm_free(text);
  plm_free(path);
  return status;
}
