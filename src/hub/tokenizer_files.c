/* tokenizer_files.c - what AutoTokenizer wants beside an ESM-2 (model_spec 11), in the published layout. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "hub/internal.h"

plm_status plm_model_file_write(const char *directory, const char *name, const char *text) {
  char *path;
  plm_writer *writer = NULL;
  plm_status status;
  PLM_TRY(plm_path_join(directory, name, &path));
  PLM_TRY_GOTO(plm_writer_open(path, &writer), out);
  PLM_TRY_GOTO(plm_writer_write(writer, text, strlen(text)), out);
  status = plm_writer_close(writer, NULL);
  writer = NULL;
out:
  plm_writer_abandon(writer);
  plm_free(path);
  return status;
}

/* One token a line, id = line number from 0, no newline after the last. */
static const char vocabulary[] =
    "<cls>\n<pad>\n<eos>\n<unk>\nL\nA\nG\nV\nS\nE\nR\nT\nI\nD\nP\nK\nQ\nN\nF\nY\nM\nH\nW\nC\nX\nB\nU\nZ\nO\n.\n-\n<null_1>\n<mask>";

plm_status plm_tokenizer_files_write(const char *directory) {
  static const char tokenizer_config[] =
      "{\n  \"model_max_length\": 1000000000000000019884624838656,\n  \"tokenizer_class\": \"EsmTokenizer\"\n}\n";
  static const char special_tokens[] =
      "{\n  \"cls_token\": \"<cls>\",\n  \"eos_token\": \"<eos>\",\n  \"mask_token\": \"<mask>\",\n  \"pad_token\": \"<pad>\",\n"
      "  \"unk_token\": \"<unk>\"\n}\n";
  PLM_TRY(plm_model_file_write(directory, "vocab.txt", vocabulary));
  PLM_TRY(plm_model_file_write(directory, "tokenizer_config.json", tokenizer_config));
  return plm_model_file_write(directory, "special_tokens_map.json", special_tokens);
}

/* The first token of `text` that is not the vocabulary's, both cut into lines; NULL when there is none. */
static const char *first_difference(const char *text, int *ret_line, int *ret_length) {
  const char *ours = vocabulary;
  for (*ret_line = 0; *ours != '\0'; (*ret_line)++) {
    size_t wanted = strcspn(ours, "\n"), length = strcspn(text, "\r\n");
    *ret_length = (int)length;
    if (length != wanted || memcmp(text, ours, wanted) != 0) return text;
    text += strcspn(text, "\n");
    text += *text == '\n';
    ours += wanted + (ours[wanted] == '\n');
  }
  return NULL;
}

plm_status plm_tokenizer_files_check(const char *directory) {
  enum { LARGEST = 1 << 20 };
  char *path, *text = NULL;
  size_t bytes;
  int line, length;
  PLM_TRY(plm_path_join(directory, "vocab.txt", &path));
  plm_status status = plm_file_exists(path) ? plm_file_read(path, LARGEST, &text, &bytes) : PLM_OK;
  const char *other = text != NULL ? first_difference(text, &line, &length) : NULL;
  if (other != NULL)
    status =
        plm_hint(plm_fail(PLM_E_INPUT, "%s: token %d is '%.*s', which is not ESM-2's: the model has another alphabet",
                          path, line, length < 40 ? length : 40, other),
                 "protlm reads models whose vocab.txt begins with ESM-2's 33 tokens");
  plm_free(text);
  plm_free(path);
  return status;
}
