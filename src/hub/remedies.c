/* remedies.c - lines for a shell that make a model of what was given in place of one. Each writes a directory of a new name, and
 * the tokenizer goes with it. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "hub/internal.h"

bool plm_hub_ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

plm_status plm_remedy_new_name(const char *directory, const char *end, char **ret_name) {
  int length = (int)strlen(directory);
  while (length > 1 && directory[length - 1] == '/') length--;
  PLM_TRY(plm_sprintf(ret_name, "%.*s%s", length, directory, end));
  for (int i = 2; i < 100 && plm_name_is_taken(*ret_name); i++) {
    plm_free(*ret_name);
    PLM_TRY(plm_sprintf(ret_name, "%.*s%s-%d", length, directory, end, i));
  }
  return PLM_OK;
}

/* " && cp m/vocab.txt m-new": what save_pretrained of a model leaves behind. Empty where there is none. */
static void put_copies(plm_text *line, const char *from, const char *to) {
  char word[PLM_SHELL_WORD];
  bool any = false;
  for (int i = 0; plm_tokenizer_file(i) != NULL; i++) {
    char *path;
    if (!plm_directory_holds(from, plm_tokenizer_file(i)) ||
        plm_path_join(from, plm_tokenizer_file(i), &path) != PLM_OK)
      continue;
    plm_text_printf(line, "%s %s", any ? "" : " && cp", plm_shell_word(path, word));
    any = true;
    plm_free(path);
  }
  if (any) plm_text_printf(line, " %s", plm_shell_word(to, word));
}

/* `before` and a line of Python that is given one directory or two and a new one; the tokenizer of the first goes with
 * it. */
plm_status plm_remedy_python(plm_status status, const char *before, const char *python, const char *first,
                             const char *second, const char *to) {
  char words[3][PLM_SHELL_WORD];
  plm_text line = {0};
  plm_text_printf(&line, "%s`python3 -c \"%s\" %s", before, python, plm_shell_word(first, words[0]));
  if (second != NULL) plm_text_printf(&line, " %s", plm_shell_word(second, words[1]));
  plm_text_printf(&line, " %s", plm_shell_word(to, words[2]));
  put_copies(&line, first, to);
  plm_text_printf(&line, "`, then --model %s", words[2]);
  if (line.data != NULL) plm_hint(status, "%s", line.data);
  plm_text_free(&line);
  return status;
}

/* transformers reads the directory and writes it anew, as a model of the family's class. */
plm_status plm_remedy_resave(plm_status status, const char *before, const plm_family *family, const char *directory,
                             const char *end) {
  char python[256], *to;
  if (plm_remedy_new_name(directory, end, &to) != PLM_OK) return status;
  snprintf(python, sizeof python,
           "import sys; from transformers import %s as M; M.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2])",
           family->architecture);
  plm_remedy_python(status, before, python, directory, NULL, to);
  plm_free(to);
  return status;
}

/* A pickle of tensors under the name of safetensors: its tensors, in a directory of their own. */
plm_status plm_remedy_rewrite(plm_status status, const char *directory, const char *path) {
  static const char python[] =
      "import sys, torch; from safetensors.torch import save_file; save_file({k: v.clone() for k, v in "
      "torch.load(open(sys.argv[1], 'rb'), map_location='cpu', weights_only=True).items()}, sys.argv[2])";
  char words[3][PLM_SHELL_WORD], *to, *config;
  plm_text line = {0};
  if (plm_remedy_new_name(directory, "-safetensors", &to) != PLM_OK) return status;
  if (plm_path_join(directory, "config.json", &config) == PLM_OK) {
    plm_text_printf(&line, "`mkdir %s && cp %s %s", plm_shell_word(to, words[0]), plm_shell_word(config, words[1]),
                    words[0]);
    put_copies(&line, directory, to);
    plm_text_printf(&line, " && python3 -c \"%s\" %s %s/%s`, then --model %s", python, plm_shell_word(path, words[2]),
                    words[0], plm_path_name(path), words[0]);
    if (line.data != NULL) plm_hint(status, "%s", line.data);
    plm_free(config);
  }
  plm_text_free(&line);
  plm_free(to);
  return status;
}
